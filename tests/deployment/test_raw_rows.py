"""Sites bring raw rows: they are prepared alike by sums, and the world model is that of the simulation on all rows."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from federation.opening import changed, open_run, run_config
from federation.rules import InputError
from federation.world_model import WorldModel
from scenarios.deployment.check import problems
from scenarios.deployment.init import initialise
from scenarios.deployment.own_data import agreed
from scenarios.deployment.submission import configured
from server.agreement import agreed as settled
from tests.commands import status
from tests.deployment.test_own_data import Apart
from tests.raw import written
from tests.rows import ROUNDS, SHOPS, shared_out, shops


def settings(overrides):
    return [word for name, value in overrides.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture
def fleet(tmp_path):
    """A deployment whose sites have a file of raw rows each."""
    layout = initialise(tmp_path / "fleet", len(SHOPS))
    table, test = shops(), written(shops(60).drop(columns="shop"), tmp_path / "test.csv")
    written(table, tmp_path / "all.csv")
    shared_out(table, layout.root / "data", test)
    assert status("deploy", "task", str(layout.root), "--label", "bought") == 0
    return layout


def asked(layout):
    """What a server learns of sites, each in a place of its own."""
    config = run_config("own", configured(layout, "own", {"charts.min_count": 10}), 0)
    places = [changed(config, {"data.dir": str(site.data)}) for site in layout.sites]
    return settled(Apart(places), open_run(config).scenario.data.sites, 60)


def told_apart(change, layout):
    """The sites' files after a change to that of the last one."""
    file = layout.sites[-1].data / "client.csv"
    change(pd.read_csv(file)).to_csv(file, index=False)


@pytest.mark.slow
def test_three_real_sites_make_the_world_model_of_the_simulation(fleet, tmp_path):
    whole = ["--data", "all.csv", "--test", "test.csv"]
    words = [str(tmp_path / word) if word.endswith("csv") else word for word in whole]
    simulated = ["simulate", *words, "--label", "bought", "--client", "shop", *settings(ROUNDS), "--quiet"]
    assert status(*simulated, "--workers", "0", "--out", str(tmp_path / "simulated")) == 0
    deployed = ["deploy", "up", str(fleet.root), "own", "--local", *settings(ROUNDS)]
    assert status(*deployed, "--out", str(tmp_path / "deployed")) == 0
    one, other = (load_file(tmp_path / name / "world_model.safetensors") for name in ("simulated", "deployed"))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-6, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
    rows = pd.read_csv(tmp_path / "test.csv")
    answers = [WorldModel.load(tmp_path / name).predict(rows) for name in ("simulated", "deployed")]
    torch.testing.assert_close(*answers, rtol=1e-6, atol=1e-6)


def test_what_sites_tell_makes_the_preparation_of_all_rows(fleet, tmp_path):
    data = {"data.path": str(tmp_path / "all.csv"), "data.test": str(tmp_path / "test.csv"), "data.client": "shop"}
    whole = open_run(run_config("own", data | {"data.label": ["bought"]}, 0)).federation()
    found = asked(fleet)
    assert found.task == whole.task
    for one, other in zip(found.preparation.columns, whole.preparation.columns, strict=True):
        assert (one.name, one.kind, one.categories, one.missing) == (
            other.name,
            other.kind,
            other.categories,
            other.missing,
        )
        assert (one.centre, one.scale) == pytest.approx((other.centre, other.scale), rel=1e-12)
    assert problems(fleet) == []


def test_a_column_that_is_empty_at_a_site_is_missing_there(fleet):
    told_apart(lambda rows: rows.assign(c2=None, seconds=None), fleet)
    columns = {column.name: column for column in asked(fleet).preparation.columns}
    assert columns["c2"].missing
    assert columns["seconds"].missing


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda rows: rows.drop(columns="c2"),
            "column 'c2' is not at all sites (1 such columns in all); add it, empty",
        ),
        (lambda rows: rows.assign(price="dear"), "column 'price' is a number here and a category there; make it one"),
        (lambda rows: rows.assign(bought=np.arange(len(rows)) % 2), "labels are text here and whole numbers there"),
    ],
)
def test_sites_that_do_not_fit_together_are_refused_in_one_line(change, said, fleet, capsys):
    told_apart(change, fleet)
    with pytest.raises(InputError) as refused:
        asked(fleet)
    assert said in str(refused.value)
    assert "clients 0, 1, 2: " in str(refused.value)
    assert status("deploy", "check", str(fleet.root)) == 2
    assert said in capsys.readouterr().err


def test_a_site_tells_no_names_and_no_single_numbers(fleet):
    told_apart(lambda rows: rows.assign(c0=[f"name {n}" for n in range(len(rows))]), fleet)
    site = configured(fleet, "own", {})
    sites = open_run(run_config("own", site, 0)).scenario.data.sites
    told = sites.summary(fleet.sites[-1].data, 10)
    assert told.columns["c0"].counts is None
    assert set(json.loads(told.model_dump_json())["columns"]["price"]) == {
        "kind",
        "count",
        "missing",
        "spread",
        "counts",
    }
    assert "c0" not in [column.name for column in asked(fleet).preparation.columns]


def test_a_site_of_few_rows_tells_nothing_and_the_others_go_on(fleet, caplog):
    told_apart(lambda rows: rows[:9], fleet)
    assert asked(fleet).task.outputs == 3
    assert "client.csv has 9 rows; a site tells nothing of fewer than 10" in caplog.text


def test_either_samples_are_described_or_raw_rows(fleet, capsys):
    other = initialise(fleet.root.parent / "other", 1)
    assert status("deploy", "task", str(other.root), "--label", "y", "--shape", "3") == 2
    assert "are of raw rows" in capsys.readouterr().err
    assert agreed(fleet).meaning.label == ["bought"]
