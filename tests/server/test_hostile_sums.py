"""Whatever one client changes in its sums, in any phase: they are refused, or the round is done with them."""

from collections import Counter
from dataclasses import replace
from math import inf, nan

import pytest
import torch
from flwr.app import ArrayRecord

from benchmarks.hostile import outcome
from clients.app import app
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.wire.contribution import Contribution
from scenarios.baselines import METHODS
from server.advancing import RoundLostError, advanced
from server.phases import held
from server.strategy import ManifoldStrategy
from server.validation import check, check_counts
from tests.small import ROUNDS

CULPRIT = 3
RIVALS = ("scaffold", "ifca", "fedem", "feddf", "fedpft")
SETTINGS = ROUNDS | {"head.ridge": 0.1, "head.rounds": 1, "coupling.rounds": 1, "novelty.spawn_at": 1}


class Recording(ManifoldStrategy):
    """Notes with what each round was made."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.made = []

    def _finish(self, step, accepted, refused):
        self.made.append((self._now(step), list(accepted)))
        return super()._finish(step, accepted, refused)


def recorded(overrides, phases=None):
    """The rounds of an undisturbed run of five clients, each of which answers for itself."""
    config = run_config("digits", overrides, 0)
    opened = open_run(config)
    scenario = opened.scenario if phases is None else opened.scenario.model_copy(update={"phases": phases})
    brought = held(scenario.phases, scenario, opened.federation)
    strategy = Recording(scenario, opened.federation().task, 5, held=brought)
    strategy.start(SerialGrid(app, 5, config), ArrayRecord())
    return strategy


@pytest.fixture(scope="module")
def run():
    return recorded(SETTINGS)


@pytest.fixture(scope="module")
def rival_runs():
    """Of the methods whose phases keep more than one model, or whose server learns itself."""
    runs = []
    for name in RIVALS:
        phases = [phase.dump() for phase in METHODS[name].phases(2)]
        runs.append(recorded(ROUNDS | {"phases": phases}))
    return runs


VALUES = {
    "negated": lambda t: -t,
    "zero": torch.zeros_like,
    "huge": lambda t: torch.full_like(t.double(), 1e300),
    "tiny": lambda t: torch.full_like(t.double(), 1e-300),
    "nan": lambda t: torch.full_like(t, nan),
    "infinite": lambda t: torch.full_like(t, inf),
    "x 1e5": lambda t: t * 1e5,
    "x 1e-5": lambda t: t * 1e-5,
    "whole numbers": lambda t: t.long(),
    "an axis more": lambda t: t.unsqueeze(0),
    "cut": lambda t: t.flatten()[:-1],
    "flipped": lambda t: t.flip(tuple(range(t.dim()))),
}
NAMES = {
    "renamed": lambda name: f"{name}x",
    "another label": lambda name: f"{name.rpartition('/')[0]}/99",
    "a label that is no digit": lambda name: f"{name.rpartition('/')[0]}/²",
}


def variants(contribution):
    """Each change of each sum, with what it is called."""
    for region, sums in contribution.sums.items():
        for name, tensor in sums.items():
            for change, value in VALUES.items():
                yield change, {**contribution.sums, region: {**sums, name: value(tensor)}}
            for change, other in NAMES.items():
                yield change, {**contribution.sums, region: {**without(sums, name), other(name): tensor}}
            yield "missing", {**contribution.sums, region: without(sums, name)}
            yield "another region", {region + 1: sums}
            yield "far region", {99: sums}


def without(sums, name):
    return {other: tensor for other, tensor in sums.items() if other != name}


def tried(strategy):
    """What became of each variant of the culprit's answer in each round, counted."""
    found = Counter()
    for now, accepted in strategy.made:
        honest = [one for one in accepted if CULPRIT not in one.clients]
        own = next((one for one in accepted if CULPRIT in one.clients), None)
        for change, sums in variants(own) if own else ():
            changed = Contribution(own.clients, sums)
            if cause := refusal(changed, now):
                assert "client 3" in cause, (now.step, change)
                found[now.step.phase.name, "refused"] += 1
                continue
            try:
                state = advanced(now, [*honest, changed], [], samples={}).state
            except RoundLostError as lost:
                raise AssertionError(f"{now.step}, {change}: {lost}") from lost
            found[now.step.phase.name, "done"] += 1
            assert all(bool(t.isfinite().all()) for t in state.prior.parameters.values()), (now.step, change)
    return found


def refusal(contribution, now, told=1e9):
    """Why a deployed client's sums are refused; nothing where they are not."""
    try:
        check(contribution, now)
        check_counts(contribution, now, told)
    except (ValueError, KeyError) as error:
        return str(error)
    return ""


def test_no_change_of_a_sum_of_a_world_model_s_phases_ends_a_run(run):
    found = tried(run)
    phases = {phase for phase, _ in found}
    assert {"census", "prior", "encoder", "charting", "experts", "coupling", "reach", "composition"} <= phases
    assert sum(found.values()) > 2_000
    for phase in phases:
        assert found[phase, "refused"] > found[phase, "done"], phase


def test_nor_of_a_rival_s(rival_runs):
    found = sum((tried(run) for run in rival_runs), Counter())
    assert {*RIVALS} <= {phase for phase, _ in found}
    assert sum(found.values()) > 3_000


@pytest.mark.parametrize("label", ["99", "²", "-1", "01"])
def test_a_chart_of_a_label_that_the_task_does_not_have_is_refused(run, label):
    now, accepted = next((now, made) for now, made in run.made if now.step.phase.name == "charting")
    own = next(one for one in accepted if CULPRIT in one.clients)
    sums = dict(own.sums[CULPRIT])
    known = next(name for name in sums if name.startswith("0/count/")).rpartition("/")[2]
    for part in ("count", "sum", "second"):
        sums[f"0/{part}/{label}"] = sums.pop(f"0/{part}/{known}")
    with pytest.raises(ValueError, match="is no part of a chart of the labels 0 to 9"):
        check(replace(own, sums={CULPRIT: sums}), now)


WELL_FORMED = [
    "chart: covariance x 1e4",
    "composition: inverted votes x 1e4",
    "census: x 1e5",
    "x 999 samples, inverted models and votes",
]
"""Attacks whose sums are of the right form; all of them together are tried by the benchmark."""


@pytest.mark.parametrize("attack", WELL_FORMED)
def test_one_lying_client_of_twenty_costs_a_world_at_most_two_points(attack, undisturbed):
    score, _ = outcome(attack, 0)
    assert score > undisturbed - 0.02


@pytest.fixture(scope="module")
def undisturbed():
    return outcome("nothing", 0)[0]
