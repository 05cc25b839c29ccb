"""A budget of time: rounds and searches are cut, once, before anything is trained, until what is predicted fits."""

import time
from collections.abc import Callable, Collection, Mapping
from itertools import product
from typing import Any

from federation.opening import open_run, override, run_config
from federation.rules import Frozen
from federation.scenario import TIMED, Scenario
from federation.settings import Search
from federation.tasks import Task
from scenarios.runs.plan import plan
from server.schedule import schedule

SHARES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.0)
"""Shares of each phase's rounds that are tried in turn, with the search and without it. Each phase keeps a round."""


class Cut(Frozen):
    """What a budget of time leaves of a job.

    Attributes:
        seconds: that are predicted for what is left.
        settings: what is changed for it.
        measured: seconds of a round of each phase, on which the prediction rests.
    """

    minutes: float
    seconds: float
    settings: dict[str, Any]
    measured: dict[str, float]

    def __str__(self) -> str:
        changed = ", ".join(f"{field}={value}" for field, value in self.settings.items()) or "nothing is cut"
        short = "" if self.seconds <= 60 * self.minutes else "; less than this cannot be trained"
        return f"{self.minutes:g} minutes: {changed}; {self.seconds:.0f} s are predicted{short}"


def fitted(
    minutes: float,
    reference: str,
    overrides: Mapping[str, Any],
    seed: int,
    workers: int | None,
    trainings: Callable[[Search], float],
) -> Cut:
    """Measure a round of each phase, and cut a job until it fits into the time that is left; see `cut`."""
    began = time.perf_counter()
    measured = {phase.phase: phase.seconds for phase in plan(reference, overrides, seed, workers).phases}
    opened = open_run(run_config(reference, overrides, seed))
    left = 60 * minutes - (time.perf_counter() - began)
    settings, seconds = cut(opened.scenario, opened.federation().task, overrides.keys(), measured, left, trainings)
    return Cut(minutes=minutes, seconds=seconds, settings=settings, measured=measured)


def cut(
    scenario: Scenario,
    task: Task,
    said: Collection[str],
    measured: Mapping[str, float],
    left: float,
    trainings: Callable[[Search], float],
) -> tuple[dict[str, Any], float]:
    """The settings that leave most of a job and fit, or those that leave least; and the seconds that are predicted.

    Args:
        said: fields, or groups of them, that the user has set: they stay.
        measured: seconds of a round of each phase.
        left: seconds that there are.
        trainings: how many whole runs of the scenario's phases a job with such a search takes.
    """
    whole = scenario.search.factors
    for share, factors in product(SHARES, dict.fromkeys((whole, whole[len(whole) // 2 :][:1]))):
        wanted = _shortened(scenario, share) | ({"search.factors": list(factors)} if factors != whole else {})
        settings = {field: value for field, value in wanted.items() if not {field, field.partition(".")[0]} & {*said}}
        shorter = override(scenario, settings)
        steps = schedule(shorter, task)
        seconds = trainings(shorter.search) * sum(measured[step.phase.name] for step in steps)
        if seconds <= left:
            break
    return settings, seconds


def _shortened(scenario: Scenario, share: float) -> dict[str, int]:
    """The rounds of each phase that has others at this share of them."""
    rounds = {name: getattr(scenario, name).rounds for name in TIMED}
    shorter = {name: max(1, round(share * whole)) for name, whole in rounds.items() if whole}
    return {f"{name}.rounds": now for name, now in shorter.items() if now != rounds[name]}
