"""`manifold data score`: a saved world model on a user's or a site's own file has the score that its run told."""

import json
from pathlib import Path

import numpy as np
import pytest

from federation.data.sites import OWN, write_client
from federation.opening import open_run, run_config
from tests.commands import status
from tests.raw import frame, written
from tests.small import ROUNDS, flags


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def simulated(*arguments):
    assert status("simulate", *arguments, "--out", "run", "--quiet", *flags()) == 0
    return json.loads(Path("run/simulation.json").read_text())


def told(capsys, *arguments):
    capsys.readouterr()
    assert status("data", "score", "run", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("labels", [["bought"], ["euro"], ["euro", "kilo"]], ids=["names", "an amount", "two amounts"])
def test_a_table_has_the_score_and_the_measures_that_its_run_told(labels, capsys):
    table = frame().drop(columns=sorted({"bought", "euro", "kilo"} - set(labels)))
    train, test = (written(part, Path(name)) for part, name in ((table[:180], "mine.csv"), (table[180:], "test.csv")))
    label = [word for name in labels for word in ("--label", name)]
    run = simulated("--data", str(train), "--test", str(test), "--client", "shop", *label)
    found = told(capsys, "test.csv", *label)
    [row] = found["files"]
    assert row["samples"] == 60
    assert row["score"] == pytest.approx(run["union"], abs=1e-5)
    assert row["measures"] == pytest.approx(run["measures"], rel=1e-4)
    assert row["floor"] == pytest.approx(run["floor"], rel=1e-4, abs=1e-6)
    assert found["mean"] == found["worst_decile"] == row["score"]


def test_each_site_has_the_score_that_the_simulation_told_of_it(capsys):
    run = simulated("digits")
    clients, files = open_run(run_config("digits", ROUNDS, 0)).federation().clients, []
    for number, client in enumerate(clients):
        site = Path(f"site-{number}")
        site.mkdir()
        write_client(site, client)
        files.append(str(site / OWN))
    found = told(capsys, *files)
    assert [row["score"] for row in found["files"]] == run["by_client"]["scores"]
    assert [row["samples"] for row in found["files"]] == [len(client.test) for client in clients]
    assert (found["mean"], found["worst_decile"]) == (run["local"], run["worst_decile"])
    assert status("data", "score", "run", *files) == 0
    assert f"worst decile {run['worst_decile']:.4f}" in " ".join(capsys.readouterr().out.split())


def test_arrays_of_classes_with_gaps_are_asked_by_their_own_numbers(capsys):
    draw = np.random.Generator(np.random.PCG64(0))
    x, y = draw.normal(size=(200, 3)) * [1, 100, 1e4], np.arange(200) % 2 * 7 + 3
    x[:, 0] += y
    np.savez("mine.npz", x_train=x[:150], y_train=y[:150], x_test=x[150:], y_test=y[150:])
    run = simulated("npz", "--set", "data.path=mine.npz")
    assert told(capsys, "mine.npz")["files"][0]["score"] == pytest.approx(run["union"])
    np.savez("other.npz", x_test=x[150:], y_test=y[150:] + 1)
    assert status("data", "score", "run", "other.npz") == 2
    assert "y_test holds class 11, which the world model does not know" in capsys.readouterr().err
    assert status("data", "score", "run", "mine.csv") == 2
    assert "expected an npz file with x_test and y_test" in capsys.readouterr().err
