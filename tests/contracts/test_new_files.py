"""A new file in a folder of rules, phases or rivals is found without being named anywhere else."""

import gc
import importlib
import sys

import pytest

from federation.models.sizes import SizeRule
from federation.optimizers import Optimizer
from federation.phases import Phase
from federation.routing import RoutingRule
from federation.rules import import_all
from federation.wire.contribution import AggregationRule
from scenarios.baselines import METHODS, found

FILES = {
    "federation.phases": (Phase, "from federation.phases.phase import Phase\n\n\nclass Newcomer(Phase):\n    pass\n"),
    "federation.routing": (
        RoutingRule,
        "from federation.routing.uniform import Uniform\n\n\nclass Newcomer(Uniform):\n    pass\n",
    ),
    "federation.models.sizes": (
        SizeRule,
        "from federation.models.sizes.full_size import FullSize\n\n\nclass Newcomer(FullSize):\n    pass\n",
    ),
    "federation.optimizers": (
        Optimizer,
        "from federation.optimizers.sgd import Sgd\n\n\nclass Newcomer(Sgd):\n    pass\n",
    ),
    "server.aggregation": (
        AggregationRule,
        "from server.aggregation.mean import Mean\n\n\nclass Newcomer(Mean):\n    pass\n",
    ),
}


def forget(package):
    """Leave no trace of the newcomer among the rules that other tests count."""
    vars(sys.modules[package]).pop("newcomer", None)
    sys.modules.pop(f"{package}.newcomer", None)
    gc.collect()


@pytest.fixture
def newcomer(tmp_path, monkeypatch, request):
    """Puts a file into a package, and takes it out again."""

    def put(package, text):
        (tmp_path / "newcomer.py").write_text(text, encoding="utf-8")
        folders = importlib.import_module(package).__path__
        monkeypatch.setattr(sys.modules[package], "__path__", [*folders, str(tmp_path)])
        import_all(package, [str(tmp_path)])
        request.addfinalizer(lambda: forget(package))

    return put


@pytest.mark.parametrize("package", FILES)
def test_a_file_with_a_rule_is_found(newcomer, package):
    family, text = FILES[package]
    newcomer(package, text)
    assert family.kinds()["newcomer"].__module__ == f"{package}.newcomer"


def test_a_file_with_a_rival_is_found(newcomer):
    newcomer(
        "scenarios.baselines",
        "from federation.phases.averaging import Averaging\nfrom scenarios.baselines.rival import Rival\n\n"
        "NEWCOMER = Rival('newcomer', 'A new rival', lambda rounds: (Averaging(rounds=rounds),))\n",
    )
    assert list(found()) == [*METHODS, "newcomer"]
