"""A method of the literature in place of a scenario's own phases: simulated, compared, killed and resumed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands import status
from tests.small import flags

SMALL = flags(partition__clients=5)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_simulate_runs_a_method_and_saves_its_model(capsys):
    assert status("simulate", "digits", *SMALL, "--method", "scaffold", "--rounds", "4", "--out", "x", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["union"] > 0.3
    assert "composition" not in result
    rounds = [json.loads(line) for line in Path("x/metrics.jsonl").read_text().splitlines()]
    assert [record["phase"] for record in rounds] == ["census", *["scaffold"] * 4]
    assert json.loads(Path("x/model.json").read_text())["kind"] == "global_model"
    assert load_file("x/model.safetensors")["head.bias"].shape == (1, 10)


def test_a_method_has_the_rounds_of_the_world_model_by_default(capsys):
    assert status("simulate", "digits", *SMALL, "--method", "fedavg", "--out", "x", "--quiet") == 0
    assert "model in x" in capsys.readouterr().out
    rounds = Path("x/metrics.jsonl").read_text().splitlines()
    assert len(rounds) == 1 + 2 + 1 + 1 + 1  # the census; rounds of prior, experts, head and router


def test_what_is_set_for_the_engine_holds_for_a_method_too():
    words = ["--method", "fedavg", "--rounds", "2", "--set", "aggregation.kind=momentum", "--set", "fraction=0.4"]
    assert status("simulate", "digits", *SMALL, *words, "--out", "x", "--quiet") == 0
    rounds = [json.loads(line) for line in Path("x/metrics.jsonl").read_text().splitlines()]
    assert [record["answered"] for record in rounds] == [5, 2, 2]
    settings = json.loads(Path("x/config.json").read_text())["settings"]
    assert settings["aggregation"]["kind"] == "momentum"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "scafold"], "did you mean 'scaffold'"),
        (["--method", "central"], "take one of fedavg"),
        (["--method", "heterofl"], "sizes.kind=tiers"),
        (["--method", "fedadam", "--set", "aggregation.kind=mean"], "leave one of the two out"),
        (["--rounds", "3"], "--rounds are those of --method"),
    ],
)
def test_what_makes_no_method_is_refused_in_one_line(words, said, capsys):
    assert status("simulate", "digits", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not list(Path().iterdir())


def test_methods_are_compared_without_a_world_model(capsys):
    words = ["--methods", "scaffold,fedavg,central,flwr:FedYogi", "--rounds", "3", "--out", "x", "--json"]
    assert status("compare", "digits", *SMALL, *words) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["union"]) == ["central", "fedavg", "scaffold", "flwr:FedYogi"]
    assert result["yardstick"] == "central"
    assert result["union"]["central"]["difference"]["mean"] == 0
    budget = result["budget"]
    assert budget["fedavg"]["total_parameters"] == budget["flwr:FedYogi"]["total_parameters"]
    assert budget["scaffold"]["bytes_down"] == 2 * budget["fedavg"]["bytes_down"]


def test_tables_without_a_world_model_name_what_they_subtract(capsys):
    assert status("compare", "digits", *SMALL, "--methods", "fedavg,ditto", "--rounds", "2", "--out", "x", "-q") == 0
    assert "minus fedavg" in " ".join(capsys.readouterr().out.split())


def test_rounds_of_a_comparison_are_for_methods_without_a_world_model(capsys):
    assert status("compare", "digits", "--methods", "fedavg,uniform", "--rounds", "2") == 2
    assert "leave it out, or uniform" in capsys.readouterr().err


def test_a_run_that_was_killed_goes_on_to_the_same_model_to_the_bit():
    words = ["simulate", "digits", *SMALL, "--method", "ifca", "--rounds", "60", "--set", "fraction=0.6", "--quiet"]
    assert status(*words, "--out", "whole") == 0
    command = [sys.executable, "-m", "scenarios.commands.cli", *words, "--out", "stopped"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path.cwd()) as process:
        while process.poll() is None and not list(Path().glob("stopped/checkpoints/*/*/round-*.safetensors")):
            pass
        process.kill()
    assert not Path("stopped/simulation.json").exists()
    assert status("resume", "stopped", "--quiet") == 0
    whole, again = (load_file(f"{folder}/model.safetensors") for folder in ("whole", "stopped"))
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())
    rounds = [Path(f"{folder}/metrics.jsonl").read_text().splitlines() for folder in ("whole", "stopped")]
    assert len(rounds[0]) == len(rounds[1])
