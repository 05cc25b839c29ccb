"""Runs that are stopped go on to the result that they would have had."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from federation import opening
from federation.rules import InputError
from scenarios.runs.folder import RunFolder
from scenarios.runs.journal import Journal
from scenarios.runs.progress import Silent
from tests.commands import status
from tests.small import flags

SIMULATE = ("simulate", "digits", "--quiet", *flags())
COMPARE = ("compare", "digits", "--methods", "world,fedavg,head,oracle", "--seeds", "2", "--quiet", *flags())


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The folder of the simulation that nobody stopped."""
    out = tmp_path_factory.mktemp("simulated") / "whole"
    assert status(*SIMULATE, "--out", str(out)) == 0
    return out


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of the comparison that nobody stopped."""
    out = tmp_path_factory.mktemp("compared") / "whole"
    assert status(*COMPARE, "--out", str(out)) == 0
    return out


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scenarios.runs.journal.SHARE", 1.0)  # a checkpoint after every round


def stopped_after(rounds, monkeypatch, *arguments):
    """The command, interrupted as by Ctrl-C after so many rounds of training of all methods together."""
    left = rounds

    def advance(self):
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Silent, "advance", advance)
        assert status(*arguments) != 0


def results(folder, name):
    """What a finished run holds, but for the time that it took."""

    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(inner) for key, inner in value.items() if key not in ("seconds", "latency")}
        return [timeless(inner) for inner in value] if isinstance(value, list) else value

    rounds = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
    files = {file.name for file in Path(folder).iterdir()}
    return timeless(json.loads(Path(folder, name).read_text())), timeless(rounds), files


def same_weights(one, other):
    mine, theirs = (load_file(Path(folder, "world_model.safetensors")) for folder in (one, other))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("rounds", [1, 5])
def test_a_simulation_that_was_stopped_goes_on_to_the_same_world_model(rounds, simulated, monkeypatch, capsys):
    stopped_after(rounds, monkeypatch, *SIMULATE, "--out", "stopped")
    assert "manifold resume stopped goes on" in capsys.readouterr().err
    assert any(Path("stopped/checkpoints/world/seed-0-x1").iterdir())
    assert status("resume", "stopped", "--quiet") == 0
    assert results("stopped", "simulation.json") == results(simulated, "simulation.json")
    same_weights("stopped", simulated)
    assert status("resume", "stopped") == 2
    assert "stopped is finished; its results are in simulation.json" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "rounds"), [("feddf", 2), ("fedpft", 1)])
def test_a_method_whose_server_learns_goes_on_to_the_same_model(method, rounds, monkeypatch):
    words = (*SIMULATE, "--method", method, "--rounds", "3")
    assert status(*words, "--out", "whole") == 0
    stopped_after(rounds, monkeypatch, *words, "--out", "stopped")
    assert status("resume", "stopped", "--quiet") == 0
    whole, again = (load_file(f"{folder}/model.safetensors") for folder in ("whole", "stopped"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


def anew():
    """As in a new process, which has opened nothing yet."""
    opening._open_run.cache_clear()
    opening._federation.cache_clear()


def test_a_run_whose_data_or_scenario_have_changed_is_not_gone_on_with(monkeypatch, capsys, tmp_path):
    draw = np.random.default_rng(0)
    x, file, scenario = draw.normal(size=(90, 4)), tmp_path / "mine.npz", tmp_path / "own.py"
    np.savez(file, x_train=x, y_train=(x[:, 0] > 0).astype(int), x_test=x, y_test=(x[:, 0] > 0).astype(int))
    scenario.write_text("from scenarios.library.npz import SCENARIO as OWN, load\nSCENARIO = OWN\n")
    run = ["simulate", str(scenario), "--set", f"data.path={file}", *flags(), "--quiet"]
    stopped_after(2, monkeypatch, *run, "--out", "stopped")
    kept, text = file.read_bytes(), scenario.read_text()
    np.savez(file, x_train=x, y_train=(x[:, 0] > 1).astype(int), x_test=x, y_test=(x[:, 0] > 1).astype(int))
    anew()
    assert status("resume", "stopped") == 2
    assert "are not those with which it was begun" in capsys.readouterr().err
    file.write_bytes(kept)
    scenario.write_text(text + 'SCENARIO = OWN.model_copy(update={"held_out": 0.15001})\n')
    anew()
    assert status("resume", "stopped") == 2
    assert "begin anew" in capsys.readouterr().err
    scenario.write_text(text)
    anew()
    assert status("resume", "stopped", "--quiet") == 0


@pytest.mark.parametrize("rounds", [8, 17])
def test_a_comparison_that_was_stopped_trains_only_what_is_left(rounds, compared, monkeypatch):
    stopped_after(rounds, monkeypatch, *COMPARE, "--out", "stopped")
    done = Path("stopped/scores.jsonl")
    before = done.read_text() if done.exists() else ""
    assert status("resume", "stopped", "--quiet") == 0
    assert done.read_text().startswith(before)
    assert results("stopped", "comparison.json") == results(compared, "comparison.json")
    assert len(done.read_text().splitlines()) == 2 * 5  # the world model is scored without its experts, too
    same_weights("stopped", compared)


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_again(monkeypatch):
    stopped_after(1, monkeypatch, *SIMULATE, "--out", "stopped")
    for file in Path("stopped/checkpoints/world/seed-0-x1").iterdir():
        file.unlink()
    assert status("resume", "stopped", "--quiet") == 0
    assert Path("stopped/simulation.json").is_file()


def test_a_damaged_checkpoint_is_refused_and_an_earlier_one_can_be_taken(monkeypatch, capsys):
    stopped_after(4, monkeypatch, *SIMULATE, "--out", "stopped")
    *_, good, last = sorted(Path("stopped/checkpoints/world/seed-0-x1").iterdir())
    last.write_bytes(last.read_bytes()[:1000])
    capsys.readouterr()
    assert status("resume", "stopped", "--quiet") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert last.name in error
    number = int(good.stem.removeprefix("round-"))
    assert f"the last good one is that of --round {number}" in error
    assert status("resume", "stopped", "--quiet", "--round", str(number)) == 0


@pytest.mark.parametrize(
    ("prepare", "cause"),
    [
        (lambda: None, "stopped holds no readable config.json"),
        (lambda: Path("stopped/config.json").write_text('{"sweep": {}}'), "stopped holds no run"),
        (
            lambda: Path("stopped/config.json").write_text(
                json.dumps(
                    {
                        "job": {"kind": "simulate", "reference": "digits", "overrides": {}, "seed": 0},
                        "versions": {"torch": "1.0"},
                    }
                )
            ),
            "stopped was begun with torch 1.0; go on with these, or begin it again",
        ),
    ],
)
def test_a_folder_in_which_nothing_can_be_gone_on_with_is_refused(prepare, cause, capsys):
    Path("stopped").mkdir()
    prepare()
    assert status("resume", "stopped") == 2
    assert cause in capsys.readouterr().err


def test_scores_of_another_version_are_refused_in_one_line():
    Path("stopped").mkdir()
    Path("stopped/scores.jsonl").write_text('{"seed": 0, "method": "world", "union": 0.9}\n')
    with pytest.raises(InputError, match=r"scores.jsonl was written by another version"):
        Journal(RunFolder(Path("stopped")))
