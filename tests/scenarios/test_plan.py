"""What a run is said to take is what it takes."""

import json

import pytest

from federation.rules import InputError
from scenarios.commands.cli import main
from scenarios.runs.engines import HERE
from scenarios.runs.plan import Plan, plan
from scenarios.runs.simulate import simulate
from tests.small import ROUNDS, Quiet

SETTINGS = ROUNDS | {"prior.rounds": 3, "head.rounds": 2, "router.reach": 0.0}  # a plan is of all experts


def test_bytes_are_those_of_the_run_where_all_clients_rehearse():
    traffic = simulate("digits", SETTINGS, 0, Quiet(), HERE).run.traffic
    planned = plan("digits", SETTINGS, 0).dump()
    assert (planned["rehearsed"], planned["clients"]) == (5, 5)
    assert (planned["bytes_down"], planned["bytes_up"]) == (traffic.down, traffic.up)


def test_bytes_are_close_to_those_of_the_run_where_some_clients_rehearse():
    settings = SETTINGS | {"partition.clients": 40, "partition.alpha": 1.0, "fraction": 0.5}
    traffic = simulate("digits", settings, 0, Quiet(), HERE).run.traffic
    planned = plan("digits", settings, 0).dump()
    assert planned["rehearsed"] == 16
    assert planned["bytes_down"] == pytest.approx(traffic.down, rel=0.1)
    assert planned["bytes_up"] == pytest.approx(traffic.up, rel=0.1)


def test_the_rounds_are_the_scenario_s_and_every_phase_takes_time():
    planned = plan("digits", SETTINGS, 0)
    assert [(phase.phase, phase.rounds) for phase in planned.phases] == [
        ("census", 1), ("prior", 3), ("encoder", 1), ("charting", 1), ("experts", 1), ("reach", 1), ("evidence", 1),
        ("head", 2), ("router", 1), ("composition", 1), ("novelty", 1),
    ]  # fmt: skip
    assert all(phase.seconds > 0 for phase in planned.phases)
    assert planned.fits
    assert 1 <= planned.cohort <= planned.largest_cohort == 5


def test_what_does_not_fit_is_said():
    assert not Plan("x", 1, 1, 1, [], 1, 0, {"experts": 10}, available=9).fits


def test_more_experts_than_memory_are_refused_before_anything_runs():
    with pytest.raises(InputError, match=r"a region for each of 5 clients means .* set regions.kind=shared_regions"):
        plan("digits", SETTINGS | {"model.width": 100_000}, 0)


def test_the_command_prints_tables_or_json(capsys):
    flags = ["--set", "partition.clients=5", "--workers", "3"]
    with pytest.raises(SystemExit) as done:
        main(["plan", "digits", *flags, "--json"])
    assert done.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["workers"] == 3
    assert printed["fits"] is True
    with pytest.raises(SystemExit):
        main(["plan", "digits", *flags])
    assert "evidence" in capsys.readouterr().out
