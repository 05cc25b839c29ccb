"""Fields over a plane: what each method answers on a grid, kept with its score, drawn beside what was measured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from federation.data.preparation import Preparation
from federation.data.samples import UNKNOWN_CLIENT, ClientData, FederatedData, Samples
from federation.models.cost import Cost
from federation.tasks import Classification, Regression
from scenarios.baselines import METHODS, Contender
from scenarios.reports.display import worth_line
from scenarios.reports.field_pictures import fields_plot
from scenarios.reports.metric import Metric
from scenarios.runs.fields import SIDE, answered, grid, measured
from scenarios.runs.progress import Silent
from tests.commands import status
from tests.small import ROUNDS

HEIGHT = Regression(input_shape=(2,), outputs=1)
PLACES = torch.cartesian_prod(torch.linspace(-1, 3, 41), torch.linspace(0, 1, 21))


def samples(places, task=HEIGHT):
    """Heights that rise with both coordinates."""
    heights = places[:, :1] + 2 * places[:, 1:2]
    return Samples(places, heights.long()[:, 0] if task.classifies else heights.expand(-1, task.outputs))


def federation(task=HEIGHT, places=PLACES, preparation=None):
    """Two clients: one west of 1, the other east of it."""
    west = places[:, 0] < 1
    clients = [
        ClientData(samples(places[side], task), Samples.none(task), Samples.none(task)) for side in (west, ~west)
    ]
    east = (~west).long().numpy()
    return FederatedData(
        task, clients, samples(places, task), east, east, np.zeros(2, dtype=np.int64), ("all",),
        preparation or Preparation(),
    )  # fmt: skip


def trained(answer):
    return Contender(answer, Cost(1, 1, 1))


def test_the_grid_covers_the_union_test_row_by_row():
    cells = grid(federation())
    assert cells is not None
    assert cells.shape == (SIDE * SIDE, 2)
    assert cells[0].tolist() == [-1.0, 0.0]
    assert cells[SIDE - 1].tolist() == [3.0, 0.0]
    assert cells[-1].tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("task", "places"),
    [
        (Classification(input_shape=(2,), outputs=6), PLACES),
        (Regression(input_shape=(2,), outputs=2), PLACES),
        (Regression(input_shape=(3,), outputs=1), torch.ones(5, 3)),
    ],
)
def test_there_is_none_where_inputs_are_no_points_of_a_plane_or_more_than_one_value_is_asked(task, places):
    data = federation(task, places)
    assert grid(data) is measured(data) is None
    assert answered(METHODS["central"], trained(lambda inputs, told: inputs), data) is None


def test_what_was_measured_is_interpolated_between_all_samples():
    data = federation()
    cells = grid(data)
    assert cells is not None
    found = torch.tensor(measured(data))
    assert found[[0, -1]].tolist() == [-1.0, 5.0]
    assert float((found - cells[:, 0] - 2 * cells[:, 1]).abs().max()) < 0.1  # samples are .1 apart, and .05


def test_a_method_is_asked_without_clients_and_answers_in_units_of_the_targets():
    data = federation(preparation=Preparation(target_centre=(100.0,), target_scale=(10.0,)))
    asked = []

    def answer(inputs, told):
        asked.append(told)
        return inputs[:, :1]

    field = answered(METHODS["central"], trained(answer), data)
    assert field is not None
    assert field[:1] + field[-1:] == [90.0, 130.0]
    assert (asked[0] == UNKNOWN_CLIENT).all()


def test_the_oracle_is_told_the_client_of_the_nearest_test_sample():
    field = answered(
        METHODS["oracle"], trained(lambda inputs, told: torch.from_numpy(told)[:, None].float()), federation()
    )
    cells = grid(federation())
    assert field is not None
    assert cells is not None
    apart = (cells[:, 0] - 0.95).abs() > 0.06  # the border lies between samples at .9 and at 1
    assert torch.equal(torch.tensor(field)[apart], (cells[apart, 0] > 0.95).float())


def test_context_has_no_field_of_its_own():
    assert answered(METHODS["context"], trained(lambda inputs, told: inputs[:, :1]), federation()) is None


def test_a_picture_is_drawn_of_answers_that_are_not_finite_too_and_none_where_there_are_no_fields():
    values = measured(federation())
    fields = {"measured": values, "regions": [0] * SIDE**2, "methods": {"fedavg": [None] * SIDE**2, "world": values}}
    drawn = fields_plot(fields, {"world": 1.0, "fedavg": None}, Metric("r2"))
    assert "world 1.000" in drawn
    assert "fedavg no value" in drawn
    assert "error 0.00" in drawn
    assert fields_plot({}, {}, Metric("r2")) == ""


SHORT = {name: value for name, value in ROUNDS.items() if name != "partition.clients"} | {
    "data.limit": 300,
    "coupling.rounds": 1,
}
COMPARE = (
    *("compare", "piecewise", "--methods", "fedavg,oracle", "--workers", "0", "--quiet"),
    *(word for name, value in SHORT.items() for word in ("--set", f"{name}={value}")),
)


def test_a_comparison_shows_fields_and_keeps_those_of_methods_that_were_trained_before_it_was_stopped(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert status(*COMPARE, "--out", "whole") == 0
    assert "side by side: whole/report.html#fields" in " ".join(capsys.readouterr().out.split())
    scores = [json.loads(line) for line in Path("whole/scores.jsonl").read_text().splitlines()]
    assert [len(each["field"]) for each in scores] == [SIDE**2] * 4
    page = Path("whole/report.html").read_text()
    assert 'id="fields"' in page
    assert status("report", "whole") == 0
    assert Path("whole/report.html").read_text() == page

    def stop(self, label, rounds):
        if label.startswith("fedavg"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Silent, "begin", stop)
        assert status(*COMPARE, "--out", "stopped") != 0
    assert status("resume", "stopped", "--quiet") == 0
    whole, stopped = (json.loads(Path(folder, "report.json").read_text())["fields"] for folder in ("whole", "stopped"))
    assert stopped == whole
    assert list(whole["methods"]) == ["world", "without_experts", "fedavg", "oracle"]


def compared(*mixtures, metric="r2", ci95=(0.25, 0.375)):
    compositions = [{"head": 1.0, "mixture": weight} for weight in mixtures]
    worth = {"mean": 0.3125, "ci95": list(ci95) if ci95 else None} if mixtures else {}
    return {"metric": metric, "composition_per_seed": compositions, "experts_worth": worth}


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (compared(), ""),
        (compared(0.0, 0.0), "Experts are not used here: regions do not differ in kind."),
        (
            compared(1.0, 1.0),
            "Experts are worth +0.312 of R² on the union test (paired 95\u00a0% interval [+0.250, +0.375]).",
        ),
        (
            compared(1.0, 0.0, metric="accuracy"),
            "Experts are worth +31.2 points of accuracy on the union test (paired 95\u00a0% interval [+25.0, +37.5]; "
            "1 of 2 seeds use them).",
        ),
        (compared(1.0, ci95=None), "Experts are worth +0.312 of R² on the union test (one seed, no interval)."),
    ],
)
def test_what_experts_are_worth_is_one_line(result, line):
    assert worth_line(result) == line
