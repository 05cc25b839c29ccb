"""Whom a comparison serves, and by what else it is measured: measures in units of their own, and those of a user."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from federation.data.preparation import Preparation
from federation.data.samples import ClientData, FederatedData, Samples
from federation.models.cost import Cost
from federation.rules import InputError
from federation.tasks import Classification, Regression
from scenarios.baselines import Contender
from scenarios.reports.client_pictures import clients_plot
from scenarios.reports.display import floor_line, joining_line, telling
from scenarios.reports.metric import Metric
from scenarios.runs.journal import Score
from scenarios.runs.scoring import Measured, mean_of, on_clients, worst_of
from scenarios.runs.served import by_client, gained
from tests.commands import status
from tests.raw import frame, written
from tests.small import flags

VALUE = Regression(input_shape=(1,), outputs=1)
COIN = Classification(input_shape=(1,), outputs=2)


def samples(*targets):
    """One client's test of real values; a sample's input is its target."""
    values = torch.tensor(targets).reshape(-1, 1)
    return Samples(values, values)


def federation(tests, preparation=None, task=VALUE):
    clients = [ClientData(samples(0.0, 1.0), Samples.none(task), test) for test in tests]
    union, nobody = Samples.concatenated(tests), np.zeros(sum(map(len, tests)), dtype=np.int64)
    return FederatedData(
        task, clients, union, nobody, nobody, np.zeros(len(tests), dtype=np.int64), ("all",),
        preparation or Preparation(),
    )  # fmt: skip


def contender(answer):
    return Contender(answer, Cost(1, 1, 1))


def score(method, by_client, seed=0):
    nothing = dict.fromkeys(("ece", "ece_uncalibrated", "ece_floor", "coverage", "covered"))
    return Score(
        seed=seed, method=method, union=0.5, by_client=by_client, measures={}, latency=1.0, factor=1.0, seconds=1.0,
        contender=contender(lambda inputs, clients: inputs), **nothing,
    )  # fmt: skip


def test_each_client_is_scored_on_its_own_test_and_one_whose_test_tells_nothing_has_no_score():
    data = federation([samples(0.0, 2.0), samples(3.0, 3.0), Samples.none(VALUE)])
    assert on_clients(contender(lambda inputs, clients: inputs), data) == [1.0, None, None]
    assert on_clients(contender(lambda inputs, clients: torch.ones(len(inputs), 1)), data) == [0.0, None, None]


def test_the_worst_decile_is_the_mean_of_the_lowest_tenth_rounded_up():
    assert worst_of([0.9, None, 0.5, 0.7]) == 0.5
    assert worst_of([*[0.9] * 18, 0.1, 0.4, 0.2]) == pytest.approx((0.1 + 0.2 + 0.4) / 3)
    assert mean_of([0.5, None, 1.0]) == 0.75
    assert worst_of([None]) is mean_of([]) is None


def test_joining_helps_who_scores_more_than_alone():
    assert gained([0.75, 0.5, None, 0.5], [0.5, 0.5, 0.5, 0.75]) == [0.25, 0.0, None, -0.25]
    scores = [
        score("world", [0.75, 0.5, 1.0]), score("local", [0.5, 0.5, None]),
        score("world", [0.25, 0.5, 1.0], 1), score("local", [0.5, 0.25, 0.75], 1),
    ]  # fmt: skip
    found = by_client(scores, federation([samples(0.0, 1.0), samples(2.0), samples(3.0)]))
    assert found == {
        "seed": 0,
        "samples": [2, 2, 2],
        "tested": [2, 1, 1],
        "scores": {"world": [0.75, 0.5, 1.0], "local": [0.5, 0.5, None]},
        "joining": {"world": {"helps": 3, "hurts": 1, "of": 5}},
    }


def test_nobody_gains_or_loses_where_nobody_was_alone():
    assert by_client([score("world", [0.5])], federation([samples(0.0, 1.0)]))["joining"] == {}


@pytest.mark.parametrize(
    ("joining", "worst", "line"),
    [
        (
            {"world": {"helps": 34, "hurts": 4, "of": 40}},
            {"world": 0.71, "fedavg": 0.62, "local": 0.5},
            "joining helps 34 of 40 clients and hurts 4; worst decile 0.7100 (fedavg 0.6200, local 0.5000)",
        ),
        ({}, {"world": 0.71}, "worst decile 0.7100"),
        ({}, {}, ""),
    ],
)
def test_the_terminal_says_whom_joining_serves_in_one_line(joining, worst, line):
    rows = {name: {"mean": value} for name, value in worst.items()}
    assert joining_line({"yardstick": "world", "worst_decile": rows, "by_client": {"joining": joining}}) == line


def test_balanced_accuracy_stands_beside_accuracy_where_one_class_is_much_more_frequent():
    even, uneven = {"score": 0.6, "balanced_accuracy": 0.5}, {"score": 0.98, "balanced_accuracy": 0.5}
    assert telling(even, ["balanced_accuracy", "f1"]) == []
    assert telling(uneven, ["balanced_accuracy", "f1", "mine:cost"]) == ["balanced_accuracy", "mine:cost"]
    assert floor_line(uneven, "accuracy") == "the most frequent class alone: accuracy 0.9800, balanced accuracy 0.5"


def test_errors_of_few_values_stand_in_the_table_and_of_many_in_the_files_alone():
    floor = {"score": 0.0, "rmse": 12345.6}
    assert telling(floor, ["rmse", "mae"]) == ["rmse"]
    assert telling(floor, ["rmse a", "rmse b", "rmse c"]) == []
    assert floor_line(floor, "r2") == "the mean alone: r2 0.0000, rmse 12,346"


def test_errors_are_in_the_unit_of_the_targets():
    """A target of one deviation is 300 away from 5000."""
    units = Preparation(target_centre=(5000.0,), target_scale=(300.0,))
    data = federation([samples(-1.0, 1.0)], units)
    found = Measured().of(data, torch.tensor([[-1.0], [0.0]]))
    assert found == pytest.approx({"rmse": 300 / 2**0.5, "mae": 150.0, "r2": 0.5})
    assert Measured().floor(data) == pytest.approx({"score": 0.0, "rmse": 300.0, "mae": 300.0, "r2": 0.0})
    assert Measured().of(data, torch.tensor([[float("nan")], [0.0]])) == {}


def test_a_function_of_ones_own_is_told_targets_and_answers_in_their_units():
    data = federation([samples(-1.0, 1.0)], Preparation(target_centre=(5000.0,), target_scale=(300.0,)))
    name = "sklearn.metrics:max_error"
    assert Measured(own=(name,)).of(data, torch.tensor([[-1.0], [0.0]]))[name] == pytest.approx(300.0)


def test_a_function_of_ones_own_that_is_not_defined_of_some_answers_is_left_out_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("undefined.py").write_text(
        "def spread(targets, answers): return answers.std() or float('nan')\n", encoding="utf-8"
    )
    data, measured = federation([samples(-1.0, 1.0)]), Measured(own=("undefined:spread",))
    assert measured.of(data, torch.tensor([[0.0], [2.0]]))["undefined:spread"] == 1.0
    assert "undefined:spread" not in measured.floor(data)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sklearn.metrics:nothing", "sklearn.metrics:nothing cannot be imported: AttributeError"),
        ("numpy:stack", "metric numpy:stack gives no number: "),
        ("sklearn.metrics", "expected module:function"),
    ],
)
def test_a_metric_that_gives_no_number_is_refused_before_anything_runs(name, line, capsys, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=line):
        Measured(own=(name,)).floor(federation([samples(0.0, 1.0)]))
    monkeypatch.chdir(tmp_path)
    assert status("simulate", "digits", "--metric", name, "--out", "run") == 2
    assert line in capsys.readouterr().err
    assert not Path("run").exists()


def test_clients_are_drawn_only_where_they_have_tests():
    assert "Scores of 2 clients by world, local" in clients_plot(
        {"world": [0.5, 0.75, None], "local": [0.25, 0.5, None]}, Metric("accuracy")
    )
    assert clients_plot({"world": [None]}, Metric("accuracy")) == ""


def test_a_comparison_tells_measures_and_clients_in_its_file_its_page_and_on_the_terminal(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("ownmetric.py").write_text(
        "def wrong(targets, answers): return float((answers.argmax(1) != targets).mean())\n", encoding="utf-8"
    )
    command = ("compare", "digits", "--methods", "world,fedavg,local", "--metric", "ownmetric:wrong", "--out", "run")
    assert status(*command, "--quiet", *flags()) == 0
    found = json.loads(Path("run/comparison.json").read_text())
    assert list(found["measures"]) == ["balanced_accuracy", "f1", "auroc", "average_precision", "ownmetric:wrong"]
    for name in ("world", "fedavg", "local"):
        union = found["union"][name]["mean"]
        assert found["measures"]["ownmetric:wrong"][name]["mean"] == pytest.approx(1 - union)
        scores = found["by_client"]["scores"][name]
        assert found["local"][name]["mean"] == pytest.approx(np.mean(scores))
        assert found["worst_decile"][name]["mean"] == min(scores)
    assert found["floor"]["balanced_accuracy"] == pytest.approx(0.1)
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Scores of 5 clients by world, fedavg, local" in page
    assert ">balanced accuracy</th>" in page
    assert joining_line(found) in page
    printed = " ".join(capsys.readouterr().out.split())
    assert f"joining helps {found['by_client']['joining']['world']['helps']} of 5 clients" in printed
    assert status("report", "run") == 0
    assert Path("run/report.html").read_text(encoding="utf-8") == page
    Path("run/comparison.json").write_text(json.dumps({name: row for name, row in found.items() if name != "floor"}))
    assert status("report", "run") == 2
    assert "was written by another version, without 'floor'; compare again" in capsys.readouterr().err


def test_a_simulation_of_several_amounts_tells_each_in_its_unit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = frame()
    written(table.drop(columns=["bought"]), tmp_path / "mine.csv")
    arguments = ("--data", "mine.csv", "--label", "euro", "--label", "kilo", "--client", "shop")
    assert status("simulate", *arguments, "--out", "run", "--quiet", *flags()) == 0
    found = json.loads(Path("run/simulation.json").read_text())
    assert [f"{name} {unit}" for unit in ("euro", "kilo") for name in ("rmse", "mae", "r2")] == list(found["measures"])
    assert found["floor"]["rmse euro"] == pytest.approx(table["euro"].std(), rel=0.2)
    assert found["floor"]["rmse kilo"] == pytest.approx(table["kilo"].std(), rel=0.2)
    assert len(found["by_client"]["scores"]) == len(found["by_client"]["samples"]) == 3
    assert found["worst_decile"] == min(found["by_client"]["scores"])
    assert "rmse euro" in capsys.readouterr().out


def test_a_federation_trained_by_ones_own_loss_is_another_and_by_the_same_one_the_same(tmp_path, monkeypatch):
    """Absolute errors do not follow one target in ten that is a hundred times too large."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("twolosses.py").write_text(
        "def half(outputs, targets): return 0.5 * (outputs - targets).square().sum(-1)\n"
        "def absolute(outputs, targets): return (outputs - targets).abs().sum(-1)\n",
        encoding="utf-8",
    )
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.normal(size=(400, 2))
    y = x[:, 0].copy()
    y[:200:10] = 100.0
    np.savez("mine.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])

    def error(*loss):
        out = f"run{len(list(Path().glob('run*')))}"
        chosen = ("--method", "fedavg", "--rounds", "10", "--set", "local.learning_rate=0.05", *loss)
        source = ("--set", "data.path=mine.npz", "--set", "partition.clients=2", "--workers", "0", "--quiet")
        assert status("simulate", "npz", *source, *chosen, "--out", out) == 0
        return json.loads(Path(out, "simulation.json").read_text())["measures"]["mae"]

    plain = error()
    assert error("--set", "data.loss=twolosses:half") == pytest.approx(plain, rel=1e-4)
    assert error("--set", "data.loss=twolosses:absolute") < plain / 2
