"""Drift: who is there in a period, what is measured, and that a world model which is joined period by period forgets
little."""

import json

import numpy as np
import pytest
import torch

from federation.data.samples import Dataset, Pool, Samples
from federation.opening import open_run, run_config
from federation.rules import InputError
from federation.tasks import Classification
from scenarios.commands.cli import main
from scenarios.library.incremental import CLASSES
from scenarios.runs.engines import HERE
from scenarios.studies.drift import Course, periods
from scenarios.studies.drift_measures import Leg, measures
from tests.small import Quiet

SMALL = {
    "data.limit": 400,
    "prior.rounds": 1,
    "experts.rounds": 2,
    "router.rounds": 1,
    "local.epochs": 1,
    "search.factors": [1.0],
}


def run(arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return exit_.value.code


# --- who is there ----------------------------------------------------------------------------------------------------


def dataset(**columns):
    rows = Samples(torch.arange(6.0).unsqueeze(1), torch.tensor([0, 1, 0, 1, 0, 1]))
    task = Classification(input_shape=(1,), outputs=2)
    return Dataset(task=task, train=rows, test=rows.take(np.arange(3)), **columns)


def test_only_the_samples_of_its_periods_are_there():
    data = dataset(
        group=np.arange(6), unit=10 * np.arange(6), period=np.array([0, 0, 1, 1, 2, 2]), test_period=np.array([0, 1, 2])
    )
    now = data.during([0, 2])
    assert now.train.inputs.flatten().tolist() == [0, 1, 4, 5]
    assert now.test.inputs.flatten().tolist() == [0, 2]
    assert (now.group.tolist(), now.unit.tolist()) == ([0, 1, 4, 5], [0, 10, 40, 50])
    assert data.during([]) is data


def test_periods_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="do not drift"):
        dataset().during([0])
    pool = Pool(dataset().task, lambda number: None, dataset().test)
    assert pool.during([]) is pool
    with pytest.raises(InputError, match="do not drift"):
        pool.during([0])
    with pytest.raises(InputError, match=r"periods=\[3\]; expected numbers from 0 to 1"):
        dataset(period=np.array([0, 0, 0, 1, 1, 1]), test_period=np.array([0, 1, 1])).during([3])


def test_regions_come_move_and_go():
    opened = open_run(run_config("rotating", {}, 0))
    data = opened.load(opened.scenario.data, 0)
    assert periods("rotating", {}, 0) == 5
    for period in range(5):
        now = data.during([period])
        assert len(np.unique(now.group)) == 4
        centres = [now.train.inputs[now.group == g].mean(0) for g in np.unique(now.group)]
        assert all(abs(float(c.norm()) - 2.0) < 0.1 for c in centres)
    assert len(data.train) == 2_400


def test_a_period_of_fashion_has_two_classes():
    assert CLASSES == 2


# --- what is measured ------------------------------------------------------------------------------------------------


def test_measures_of_three_periods_by_hand():
    legs = [
        Leg((0.9, 0.1, 0.0), (0.5, 0.9), (0.5, 0.9), 1.0),
        Leg((0.7, 0.8, 0.2), (0.2, 0.7, 0.8), (0.1, 0.7, 0.7), 2.0),
        Leg((0.6, 0.7, 0.9), (0.9, 0.9, 0.9), (0.3, 0.4, 0.5), 4.0),
    ]
    whole = [Leg((), (), (0.0,), 0.0), Leg((), (), (0.7,), 0.0), Leg((), (), (0.8,), 0.0)]
    found = measures(legs, legs, whole)
    assert found["end"] == pytest.approx(2.2 / 3)
    assert found["newest"] == 0.9
    assert found["forgetting"] == pytest.approx(((0.9 - 0.6) + (0.8 - 0.7)) / 2)
    assert found["worse"] == pytest.approx((0.4 + 0.3) / (0.1 + 0.2) - 1)
    assert found["forward"] == pytest.approx((0.1 + 0.2) / 2)
    assert found["rounds"] == (3 + 1) / 2
    assert found["rounds_whole"] == (2 + 3) / 2
    assert found["flops"] == 7.0


def test_who_never_recovers_has_needed_all_rounds():
    slow = [Leg((0.1, 0.1), (0.1, 0.1, 0.1), (0.1, 0.1), 0.0)] * 2
    fast = [Leg((0.9, 0.9), (0.9,), (0.9,), 0.0)] * 2
    found = measures(slow, fast, fast)
    assert (found["rounds"], found["rounds_whole"]) == (3, 2)


# --- the methods -----------------------------------------------------------------------------------------------------


def test_fedavg_goes_on_from_its_last_model():
    course = Course.of("rotating", SMALL, 0, HERE, Quiet())
    trial = course.trials[0]
    size = trial.scenario.model.parameters(trial.task)
    legs = list(course.fedavg(_cost(size), 1.0, restart=False))
    again = list(course.fedavg(_cost(size), 1.0, restart=True))
    assert legs[0] == again[0]
    assert legs[1] != again[1]


def _cost(size):
    from federation.world_model import Cost

    return Cost(size, size, 2 * size)


def test_old_experts_stay_as_they_were_when_new_ones_come():
    course = Course.of("rotating", SMALL, 0, HERE, Quiet())
    worlds = [world for world, *_ in course.worlds(1.0)]
    assert [world.design.regions for world in worlds] == [4, 8, 12, 16, 20]
    for region, expert in worlds[0].experts.items():
        for name, tensor in expert.parameters.items():
            assert torch.equal(tensor, worlds[-1].experts[region].parameters[name])


def test_with_context_queries_of_a_client_share_their_experts_and_without_it_they_do_not():
    overrides = {**SMALL, "composition.context_router": True, "composition.parts": ["mixture"], "router.rule.top": 3}
    course = Course.of("rotating", overrides, 0, HERE, Quiet())
    *_, (world, alone, together) = course.worlds(1.0)
    test, group = course.tests[0], course.trials[0].federation.union_group
    assert world.design.context.router
    assert alone.scores[0] == course.task.score(world.predict(test.inputs), test.targets)
    assert together.scores[0] == course.task.score(world.predict(test.inputs, group), test.targets)
    assert not torch.equal(world.predict(test.inputs, group), world.predict(test.inputs))
    assert (together.curve, together.whole, together.flops) == (alone.curve, alone.whole, alone.flops)
    assert len(alone.curve) == len(alone.whole)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_one_object_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    flags = [word for name, value in SMALL.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    out = tmp_path / "run"
    assert run(["drift", "rotating", *flags, "--workers", "0", "--json", "--out", str(out)]) == 0
    first = json.loads(capsys.readouterr().out)
    assert list(first["methods"]) == ["world", "context", "fedavg", "fedavg_restart", "central"]
    assert len(first["per_seed"][0]["methods"]["world"]["scores"]) == 5
    assert "<svg" in (out / "drift.html").read_text()
    (out / "drift.json").unlink()
    monkeypatch.setattr("scenarios.commands.jobs.drifted", None)  # what is finished is not run again
    assert run(["resume", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_data_that_do_not_drift_are_refused_in_one_line(tmp_path, capsys):
    assert run(["drift", "digits", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()
