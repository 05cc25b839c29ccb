"""What all tests share: shapes and types are checked at run time, examples are the same on every run."""

import logging
import os
import signal
import sys
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings
from typechecker import but_closures

PACKAGES = ("federation", "clients", "server", "scenarios")

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell all are deaf to it
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads that spin starve others on a busy machine
ROOT = str(Path(__file__).parents[1])
sys.path.insert(0, ROOT)  # tests/federation must not pass for the package federation
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))  # for Ray's workers
imported = [name for name in (*PACKAGES, "torch") if name in sys.modules]
if imported:
    raise RuntimeError(f"{', '.join(imported)} imported before the tests were set up")
jaxtyping.jaxtyped = but_closures(jaxtyping.jaxtyped)
jaxtyping.install_import_hook(list(PACKAGES), "typechecker.checked")

settings.register_profile("manifold", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("manifold")

LONG = ("benchmarks", "deployment", "scenarios", "server")
"""Folders of tests that run whole federations, where checks would take most of the time. The functions that these are
made of are checked by the tests of all other folders, and each phase by those of parity."""


LONGEST = ("test_processes.py", "test_workers.py", "test_readme.py")
"""Files that wait for processes: they begin first, so that nobody waits for them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_runtest_setup(item: pytest.Item) -> None:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    jaxtyping.config.update("jaxtyping_disable", folder in LONG)


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _quiet_flower() -> None:
    """Flower narrates every round; it sets its logger up when it is imported, so this comes after."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
