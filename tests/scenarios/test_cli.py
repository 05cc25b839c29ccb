"""The command line as a user meets it: results, one clear line for bad input, exit status 0, 1 or 2."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from federation.world_model import WorldModel
from tests.commands import status
from tests.federation.test_world_model import world
from tests.small import flags


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MANIFOLD_DATA", raising=False)


def npz(**changes):
    draw = np.random.Generator(np.random.PCG64(0))
    arrays = {
        "x_train": draw.normal(size=(120, 6)).astype(np.float32),
        "y_train": np.arange(120) % 3,
        "x_test": draw.normal(size=(30, 6)).astype(np.float32),
        "y_test": np.arange(30) % 3,
    }
    arrays |= changes
    np.savez("mine.npz", **{name: array for name, array in arrays.items() if array is not None})
    return ("compare", "npz", "--set", "data.path=mine.npz", "--quiet")


@pytest.mark.parametrize("words", [["--help"], ["simulate", "--help"], ["deploy", "run", "--help"], ["data", "check"]])
def test_help_and_mistakes_are_answered_before_anything_heavy_is_imported(words):
    heavy = {"torch", "ray", "flwr", "sklearn", "scipy", "numpy", "pandas", "pyarrow", "matplotlib"}
    code = (
        "import sys; from scenarios.commands.cli import main\n"
        f"try: main({words})\n"
        f"finally: print(sorted({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("Usage: manifold" in done.stdout) == (words[-1] == "--help")
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_run_says_nothing_of_its_own_on_standard_error_when_it_is_to_be_quiet():
    words = ["simulate", "digits", "--quiet", "--out", "run", *flags()]
    command = [sys.executable, "-m", "scenarios.commands.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "INFO" not in done.stdout


def test_list_names_scenarios_and_methods(capsys):
    assert status("list") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("digits", "domains", "npz", "fedavg_total", "oracle"))


def test_show_prints_what_config_reads(capsys):
    assert status("show", "digits", "--set", "local.learning_rate=0.05", "--set", "regions.kind=shared_regions") == 0
    text = capsys.readouterr().out
    Path("mine.toml").write_text(text, encoding="utf-8")
    assert status("show", "digits", "--config", "mine.toml") == 0
    assert capsys.readouterr().out == text
    assert "learning_rate = 0.05" in text
    assert 'kind = "shared_regions"' in text


def test_set_wins_over_the_file(capsys):
    Path("mine.toml").write_text("[local]\nlearning_rate = 0.5\n", encoding="utf-8")
    assert status("show", "digits", "--config", "mine.toml", "--set", "local.learning_rate=0.25", "--json") == 0
    assert json.loads(capsys.readouterr().out)["local"]["learning_rate"] == 0.25


def test_compare_prints_one_json_object_and_writes_the_run(capsys):
    assert (
        status(
            "compare", "digits", "--json", "--seeds", "2", "--methods", "world,central,fedavg", "--out", "run", *flags()
        )
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert result["scenario"] == "digits"
    assert result["seeds"] == [0, 1]
    assert list(result["union"]) == list(result["local"]) == list(result["budget"]) == [
        "world", "without_experts", "central", "fedavg",
    ]  # fmt: skip
    without = result["union"]["without_experts"]["difference"]
    assert result["experts_worth"]["mean"] == pytest.approx(-without["mean"])
    assert result["experts_worth"]["ci95"] == pytest.approx([-bound for bound in reversed(without["ci95"])])
    row = result["union"]["central"]
    assert row["mean"] == pytest.approx(sum(row["per_seed"]) / 2)
    assert row["ci95"][0] <= row["mean"] <= row["ci95"][1]
    assert set(result["budget"]["world"]) == {
        "total_parameters", "active_parameters", "bytes_up", "bytes_down", "training_flops", "budgets", "query_flops",
        "latency", "seconds",
    }  # fmt: skip
    assert [row["share"] for row in result["novelty"]["per_seed"]] == pytest.approx([1.0, 1.0], abs=0.1)
    assert result["novelty"]["covered"]["mean"] > 0.5
    assert result["out"] == "run"
    names = {file.name for file in Path("run").iterdir()}
    assert names >= {
        "config.json",
        "metrics.jsonl",
        "comparison.json",
        "report.html",
        "world_model.json",
        "world_model.safetensors",
    }
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Union test" in page
    assert "Local tests" in page
    assert "Membership entropy" in page
    assert "of the union test is covered" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert [file for file in Path("run").iterdir() if file.suffix in (".pkl", ".pt", ".pickle")] == []


def test_all_methods_run_and_a_report_can_be_drawn_again(capsys):
    assert status("compare", "digits", "--quiet", "--out", "run", *flags(sizes__kind="tiers")) == 0
    printed = capsys.readouterr().out
    assert "central_total" in printed
    comparison = json.loads(Path("run/comparison.json").read_text())
    assert list(comparison["union"]) == [
        "world", "without_experts", "world_1_2", "world_1_4", "world_1_8", "central", "central_converged",
        "central_total", "central_features", "central_told", "fedavg", "fedavg_total", "fedprox", "fedadam",
        "scaffold", "heterofl", "fedrolex", "fjord", "ifca", "fedem", "fedrep", "ditto", "feddf", "fedpft", "afl",
        "local", "uniform", "head", "oracle",
    ]  # fmt: skip
    for key in ("ece", "ece_uncalibrated", "ece_floor"):
        assert list(comparison[key]) == list(comparison["union"])
    assert [list(rows) for rows in comparison["context"].values()] == [["context"]] * 8  # never beside the others
    first = Path("run/report.html").read_text(encoding="utf-8")
    assert (
        "(without_experts, world_1_2, world_1_4, world_1_8, central_features, central_told, afl, uniform, head, "
        "oracle, context)" in first  # they show the world model's traffic and training
    )
    assert "Calibration" in first
    assert "With context" in first
    Path("run/report.html").unlink()
    assert status("report", "run") == 0
    assert Path("run/report.html").read_text(encoding="utf-8") == first


def test_monoliths_are_sized_to_the_world_model():
    assert (
        status("compare", "digits", "--quiet", "--out", "run", "--methods", "central,central_total,fedavg", *flags())
        == 0
    )
    budget = json.loads(Path("run/comparison.json").read_text())["budget"]
    world = budget["world"]
    assert budget["central"]["total_parameters"] == pytest.approx(world["active_parameters"], rel=0.03)
    assert budget["fedavg"]["total_parameters"] == pytest.approx(world["active_parameters"], rel=0.03)
    assert budget["central_total"]["total_parameters"] == pytest.approx(world["total_parameters"], rel=0.03)


def test_simulate_saves_a_world_model_that_answers_in_three_lines(capsys):
    assert status("simulate", "digits", "--json", "--engine", "serial", "--out", "run", *flags()) == 0
    result = json.loads(capsys.readouterr().out)
    answers = WorldModel.load("run").predict(torch.zeros(3, 64))
    assert answers.shape == (3, 10)
    assert result["clients"] == 5
    assert result["union"] > 0.5
    assert 0.3 < result["seams"] <= 1.0


def test_ones_own_classes_run_with_natural_clients():
    command = npz(group_train=np.repeat(["ann", "bob", "cat"], 40))
    assert status(*command, "--out", "run", "--methods", "world,local", *flags(partition__clients=10)) == 0
    config = json.loads(Path("run/config.json").read_text())
    assert config["settings"]["partition"]["kind"] == "automatic"


def test_ones_own_real_valued_targets_run_with_a_head_by_least_squares():
    draw = np.random.Generator(np.random.PCG64(1))
    x = draw.normal(size=(300, 4))
    y = x @ np.array([1.0, -2.0, 0.5, 0.0])
    command = npz(x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    assert (
        status(*command, "--out", "run", "--methods", "world,central,head", *flags(prior__rounds=5, local__epochs=5))
        == 0
    )
    comparison = json.loads(Path("run/comparison.json").read_text())
    assert comparison["metric"] == "r2"
    assert comparison["union"]["central"]["mean"] > 0.8
    assert comparison["union"]["head"]["mean"] > 0.8
    assert comparison["skipped"] == {}


def test_a_scenario_file_works_like_a_name(capsys):
    Path("mine.py").write_text(
        "from scenarios.library.digits import SCENARIO as DIGITS, load\n"
        "SCENARIO = DIGITS.model_copy(update={'name': 'mine', 'title': 'Mine'})\n",
        encoding="utf-8",
    )
    assert status("simulate", "./mine.py", "--quiet", "--out", "run", *flags()) == 0
    assert "% of the union test; accuracy " in capsys.readouterr().out
    assert json.loads(Path("run/simulation.json").read_text())["scenario"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["compare", "digit"], "unknown scenario 'digit'; did you mean 'digits'?"),
        (["compare", "./none.py"], "none.py; give the path of an existing Python file"),
        (["simulate", "digits", "--set", "local.learning_rat=0.1"], "did you mean 'learning_rate'?"),
        (["simulate", "digits", "--set", "locl.epochs=1"], "did you mean 'local'?"),
        (["simulate", "digits", "--set", "local.epochs=many"], "Input should be a valid integer, got 'many'"),
        (["simulate", "digits", "--set", "prior.rounds=2026-01-01"], "valid integer, got '2026-01-01'"),
        (["simulate", "digits", "--set", 'sizes.kind=[0.5,"a"]'], "unknown kind"),
        (["simulate", "npz", "--set", "data.path=[1,[2]]"], "data.path: Input should be a valid string"),
        (["simulate", "digits", "--set", "local.learning_rate=nan"], "got 'nan'"),
        (["simulate", "digits", "--set", "charts.min_count=2"], "set 3 or more"),
        (["simulate", "digits", "--set", "local.epochs=0"], "Input should be greater than or equal to 1, got 0"),
        (["simulate", "digits", "--set", "local.epochs"], "expected FIELD=VALUE"),
        (["simulate", "digits", "--set", "model.kind=mpl"], "did you mean 'mlp'?"),
        (["simulate", "digits", "--set", "model.kind=convnet"], "a convnet needs inputs [channels, height, width]"),
        (["simulate", "digits", "--set", "partition.kind=natural"], "needs data that name their clients"),
        (["simulate", "digits", "--set", "charts.clusters=3"], "charts by label have no clusters"),
        (["simulate", "digits", "--set", "partition.clients=100000"], "more than the"),
        (["simulate", "digits", "--config", "none.toml"], "--config none.toml cannot be read"),
        (["simulate", "fashion"], "--data-dir or MANIFOLD_DATA"),
        (["simulate", "fashion", "--data-dir", "."], "fashion_mnist.npz; name its folder by --data-dir"),
        (["simulate", "fashion", "--data-dir", "none"], "no data folder none"),
        (["compare", "digits", "--methods", "world,fedavgg"], "did you mean 'fedavg'?"),
        (["compare", "digits", "--seeds", "0"], "--seeds"),
        (["compare", "digits", "--out", "."], "exists already"),
        (["compare", "npz"], "--set data.path=mine.npz"),
        (["compare"], "SCENARIO"),
        (["report", "."], "no readable comparison.json"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line_status_two_and_no_folder(arguments, line, capsys):
    assert status(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert line in printed.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"y_test": None}, "lacks y_test"),
        ({"x_test": np.zeros((30, 5), np.float32)}, "x_test has samples of [5], x_train of [6]"),
        ({"x_train": np.zeros((119, 6), np.float32)}, "y_train is int64 [120]; expected a class for each of 119"),
        ({"y_train": np.arange(120) % 3 - 1}, "y_test holds class 2, which no training sample has"),
        ({"y_test": np.full(30, 7)}, "y_test holds class 7, which no training sample has"),
        ({"y_train": np.zeros(120, np.int64)}, "one class only"),
        ({"x_train": np.full((120, 6), np.nan, np.float32)}, "720 values are NaN or infinite"),
        ({"x_train": np.zeros((0, 6), np.float32)}, "with n > 0"),
        ({"x_train": np.zeros((120, 2, 2, 2, 2), np.float32)}, "expected [n, features]"),
        ({"x_train": np.full((120, 6), "a")}, "expected numbers"),
        ({"group_train": np.zeros(7)}, "one client name a sample"),
        ({"y_train": np.full(120, np.inf), "y_test": np.zeros(30)}, "NaN or infinite"),
    ],
)
def test_bad_data_get_one_clear_line_and_leave_no_run(changes, line, capsys):
    assert status(*npz(**changes)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert line in error
    assert not Path("runs").exists()


def test_a_corrupt_file_is_named(capsys):
    Path("mine.npz").write_bytes(b"PK\x03\x04 this is no archive")
    assert status("compare", "npz", "--set", "data.path=mine.npz") == 2
    assert "mine.npz is no readable npz file" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_made_is_named(capsys):
    Path("file").write_text("in the way", encoding="utf-8")
    assert status("simulate", "digits", "--out", "file/run", *flags()) == 2
    assert "output folder file/run cannot be made" in capsys.readouterr().err


def test_a_run_that_fails_ends_with_status_one(capsys, monkeypatch):
    monkeypatch.setattr("scenarios.baselines.running.federate", _lost)
    assert status("simulate", "digits", "--quiet", "--out", "run", *flags()) == 1
    assert capsys.readouterr().err.startswith("failed: ")


def _lost(*arguments, **options):
    from server.advancing import RoundLostError

    raise RoundLostError("prior round 1: no usable reply of 5; client 0: out of memory")


@pytest.mark.parametrize(
    ("words", "said"), [([], "either --client K or --region K"), (["--region", "9"], "region 9 of")]
)
def test_what_cannot_be_forgotten_writes_nothing(tmp_path, words, said, capsys):
    world().save(tmp_path)
    assert status("forget", str(tmp_path), "--out", str(tmp_path / "less"), *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "less").exists()


def test_a_client_s_region_is_forgotten_and_what_stays_of_it_is_said(tmp_path, capsys):
    world().save(tmp_path)
    assert status("forget", str(tmp_path), "--out", str(tmp_path / "less"), "--client", "1") == 0
    said = capsys.readouterr().out
    assert "3 regions stay" in said
    assert "prior, encoder, head" in said
    left = WorldModel.load(tmp_path / "less").design
    assert (left.regions, left.region_of_client) == (3, (0, 1, 2))
