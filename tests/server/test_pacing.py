"""Rounds that do not wait for everybody: over-selection, deadlines, dropout, nights, and no waiting at all."""

import pytest
import torch

from clients.app import app, serve_cohort
from federation.engine import CohortGrid, Here, SerialGrid
from federation.opening import open_run, run_config
from federation.phases import named
from federation.timing.availability import Always, Devices
from federation.timing.pacing import Buffered, Synchronous
from federation.wire.contribution import WEIGHT, Contribution, coverage_mean
from server.app import federate
from server.buffer import caught_up
from tests.small import ROUNDS, term

SLOW = {"availability.kind": "devices", "availability.spread": 1.0}


def run(make=CohortGrid, app_=None, **settings):
    config = run_config("digits", ROUNDS | {"partition.clients": 8, "prior.rounds": 4} | settings, 0)
    opened = open_run(config)
    grid = make(app_ or Here(serve_cohort), 8, config, availability=opened.scenario.availability)
    return federate(grid, opened.scenario, opened.federation().task, 8), grid


def trained(outcome):
    return [record for record in outcome.history if named(record.phase).elastic]


def same(one, other, tolerance=0.0):
    for name, tensor in one.world.prior.items():
        torch.testing.assert_close(other.world.prior[name], tensor, rtol=tolerance, atol=tolerance)


def test_of_those_who_are_asked_too_many_only_the_first_count():
    outcome, grid = run(fraction=0.5, **SLOW, **{"pacing.over_selection": 1.5})
    assert all(record.answered == 4 and record.silent == 2 for record in trained(outcome))
    patient, slower = run(fraction=0.5, **SLOW)
    assert all(record.answered == 4 and record.silent == 0 for record in trained(patient))
    assert 0 < grid.clock < slower.clock


def test_a_deadline_ends_a_round_and_the_late_are_counted():
    outcome, _ = run(**SLOW, **{"pacing.deadline": 12.0})
    assert any(record.silent for record in trained(outcome))
    assert all(record.answered + record.silent == 8 for record in trained(outcome))
    began = [0.0, *(record.clock for record in outcome.history)]
    for record, before in zip(outcome.history, began, strict=False):
        assert record.clock - before <= 12.0 or not named(record.phase).elastic


def test_dropouts_never_stop_a_run():
    outcome, _ = run(**SLOW, **{"availability.dropout": 0.4})
    assert all(record.answered + record.silent + len(record.refused) == 8 for record in trained(outcome))
    assert bool(outcome.world.predict(torch.zeros(3, 64)).isfinite().all())


def test_the_seed_determines_the_whole_day_and_the_engine_does_not_matter():
    settings = {**SLOW, "availability.dropout": 0.2, "availability.awake": 0.6, "fraction": 0.5}
    (one, grid), (again, _) = run(**settings), run(**settings)
    same(one, again)
    assert [record.clock for record in one.history] == [record.clock for record in again.history]
    serial, other = run(SerialGrid, app, **settings)
    same(one, serial, 1e-5)
    assert grid.clock == other.clock


def test_a_buffer_moves_on_without_waiting():
    settings = SLOW | {"pacing.kind": "buffered", "pacing.size": 3, "prior.rounds": 6}
    outcome, grid = run(**settings)
    assert all(record.answered == 3 and record.silent == 0 for record in trained(outcome))
    _, slower = run(**SLOW | {"prior.rounds": 6})
    assert grid.clock < slower.clock
    same(outcome, run(**settings)[0])


def test_a_buffer_of_all_clients_of_equal_speed_is_a_synchronous_round():
    even = {"availability.kind": "devices", "availability.spread": 0.0, "availability.jitter": 0.0}
    same(run(**even | {"pacing.kind": "buffered", "pacing.size": 8})[0], run()[0])


@pytest.mark.parametrize(("staleness", "weight"), [(0, 1.0), (1, 0.5**0.5), (3, 0.5), (8, 1 / 3)])
def test_stale_changes_count_less(staleness, weight):
    assert Buffered().weight(staleness) == pytest.approx(weight)


@pytest.mark.parametrize(("wanted", "asked"), [(10, 13), (1, 2), (3, 4)])
def test_over_selection_asks_more_and_rounds_up(wanted, asked):
    pacing = Synchronous(over_selection=1.3)
    assert (pacing.at_work(wanted), pacing.enough(wanted)) == (asked, wanted)


def test_a_stale_answer_is_its_change_made_to_the_present_model():
    began, now, answer = ({"w": torch.tensor([value, value])} for value in (1.0, 5.0, 3.0))
    stale = caught_up(term(0, answer, 10), lambda region: began, lambda region: now, weight=0.5)
    assert coverage_mean(stale.sums[0], now)["w"].tolist() == [6.0, 6.0]  # 5 + (3 - 1) / 2
    assert float(stale.sums[0][f"{WEIGHT}/w"]) == 10


def test_a_smaller_stale_answer_changes_its_own_corner():
    began, now = ({"w": torch.full((2, 2), value)} for value in (1.0, 5.0))
    stale = caught_up(term(0, {"w": torch.tensor([[3.0]])}, 2), lambda region: began, lambda region: now, weight=1.0)
    assert coverage_mean(stale.sums[0], now)["w"].tolist() == [[7.0, 5.0], [5.0, 5.0]]


def test_metrics_of_stale_answers_are_kept():
    sums = {"w": torch.ones(1), f"{WEIGHT}/w": torch.tensor(1.0), "metric/loss": torch.tensor(2.0)}
    model = {"w": torch.zeros(1)}
    stale = caught_up(Contribution((0,), {0: sums}), lambda region: model, lambda region: model, weight=0.5)
    assert float(stale.sums[0]["metric/loss"]) == 2


def test_what_is_asked_of_everybody_once_waits_for_everybody():
    outcome, _ = run(**SLOW, **{"pacing.deadline": 8.0, "pacing.over_selection": 2.0})
    once = ("census", "encoder", "charting")
    assert all(record.answered == 8 for record in outcome.history if record.phase in once)


def test_those_who_slept_through_the_evidence_are_not_asked_for_it(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("0,0,50\n1,20,100\n")  # now one half, now the other, now both
    outcome, _ = run(**{"availability.kind": "traces", "availability.path": str(trace)})
    assert not any(record.refused for record in outcome.history)
    assert {record.answered for record in outcome.history} >= {4, 8}


def test_always_is_the_default():
    assert isinstance(open_run(run_config("digits", ROUNDS, 0)).scenario.availability, Always)
    assert Devices().dropout == 0
