"""Data that drift: clients come and go, period by period. What is forgotten, what helps later, how fast is it learned?

In each period only its own clients are there. The federation charts and trains them from the prior and the encoder of
the first period, and joins what comes out to the world model that it has: nothing that is there is trained again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from federation.data.samples import UNKNOWN_CLIENT, Dataset, Samples
from federation.models.cost import Cost
from federation.opening import open_run, run_config
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tasks import Task
from federation.world.joining import joined
from federation.world.predictors import GlobalModel, Predictor
from federation.world_model import WorldModel
from scenarios.baselines.central import CENTRAL
from scenarios.baselines.contract import Answer, Method, Run, Trial, probed
from scenarios.baselines.fedavg import FEDAVG
from scenarios.baselines.running import run_phases
from scenarios.baselines.world import WORLD
from scenarios.runs.engines import Engine
from scenarios.runs.progress import Progress
from scenarios.runs.rates import searched
from scenarios.studies.drift_measures import Leg, measures
from server.answering import predictor
from server.history import RoundRecord
from server.state import Model, ServerState, start_of, world_model


@dataclass(frozen=True, kw_only=True)
class Watched(Trial):
    """A trial whose learning is also followed on other samples.

    Attributes:
        beside: these samples.
        seen: the scores there, round by round.
    """

    beside: Samples
    seen: list[float] = field(default_factory=list)

    def follow(self, model: Predictor) -> None:
        """Note what a model is worth on the samples beside."""
        with torch.no_grad():
            self.seen.append(self.scored(lambda inputs, clients: model.predict(inputs), self.beside))

    def watched(self, round_: int, answer: Answer) -> tuple[int, float]:
        self.seen.append(self.scored(answer, self.beside))
        return super().watched(round_, answer)


@dataclass(frozen=True)
class Course:
    """All periods of one seed.

    Attributes:
        trials: each period's clients, and their own test; followed beside on the tests of all periods so far.
        pooled: all clients until then, and their tests; followed beside on the test of the last of these periods.
    """

    trials: tuple[Watched, ...]
    pooled: tuple[Watched, ...]
    tests: tuple[Samples, ...]

    @staticmethod
    def of(reference: str, overrides: Mapping[str, Any], seed: int, engine: Engine, progress: Progress) -> "Course":
        """Open each period.

        Raises:
            InputError: the scenario's data do not drift.
        """
        count = periods(reference, overrides, seed)

        def configured(there: Sequence[int]) -> dict[str, str | int]:
            return run_config(reference, {**overrides, "data.periods": list(there)}, seed)

        def trial(config: dict[str, str | int], beside: Samples) -> Watched:
            return Watched(config, engine.fresh, on_round=progress.advance, beside=beside)

        alone, pooled = [configured([n]) for n in range(count)], [configured(range(n + 1)) for n in range(count)]
        tests, whole = ([open_run(c).federation().union_test for c in configs] for configs in (alone, pooled))
        return Course(
            tuple(trial(config, probed(test)) for config, test in zip(alone, whole, strict=True)),
            tuple(trial(config, probed(test)) for config, test in zip(pooled, tests, strict=True)),
            tuple(tests),
        )

    @property
    def task(self) -> Task:
        """The same in all periods."""
        return self.trials[0].task

    def scores(self, answer: Answer, context: bool = False) -> tuple[float, ...]:
        """On each period's test, the client unknown.

        Args:
            context: whether it is told which samples share one, whoever that is.
        """
        groups = [
            t.federation.union_group if context else np.full(len(t.federation.union_test), UNKNOWN_CLIENT)
            for t in self.trials
        ]
        with torch.no_grad():
            said = (answer(test.inputs, own) for test, own in zip(self.tests, groups, strict=True))
            return tuple(self.task.score(a, test.targets) for a, test in zip(said, self.tests, strict=True))

    def worlds(self, factor: float) -> Iterator[tuple[WorldModel, Leg, Leg]]:
        """The federation after each period, asked without context, and with it."""
        past: WorldModel | None = None
        start: ServerState | None = None
        for trial in self.trials:
            now = replace(trial, factor=factor, seen=[])
            run, start = _trained(now, past, start)
            past = joined(past, run.outcome.world) if past else run.outcome.world
            alone = Leg(self.scores(past.predict), _scores(run.curve), tuple(now.seen), run.training_flops)
            yield past, alone, replace(alone, scores=self.scores(past.predict, context=True))

    def fedavg(self, size: Cost, factor: float, restart: bool) -> Iterator[Leg]:
        """FedAvg after each period: from the last period's model, or from a fresh one."""
        last: ServerState | None = None
        for trial in self.trials:
            now = replace(trial, size=size, factor=factor, seen=[])
            run = _fedavg(now, None if restart else last)
            model = run.outcome.model
            assert isinstance(model, GlobalModel)
            last = ServerState(Model(model.parameters))
            yield Leg(self.scores(model.predict), _scores(run.curve), tuple(now.seen), run.training_flops)

    def central(self, size: Cost, factor: float) -> Iterator[Leg]:
        """One model on all data so far, trained afresh in each period."""
        for trial in self.pooled:
            now = replace(trial, size=size, factor=factor, seen=[])
            found = CENTRAL.run(now)
            yield Leg(self.scores(found.answer), tuple(now.seen), _scores(found.curve), found.training_flops)


def periods(reference: str, overrides: Mapping[str, Any], seed: int) -> int:
    """How many periods the data of a scenario have.

    Raises:
        InputError: they do not drift.
    """
    opened = open_run(run_config(reference, overrides, seed))
    dataset = opened.load(opened.scenario.data, seed)
    if not isinstance(dataset, Dataset) or dataset.period is None:
        raise InputError(
            f"the data of {opened.scenario.name} do not drift; take turbine_years, incremental or rotating"
        )
    return int(dataset.period.max()) + 1


def drifted(
    reference: str, overrides: Mapping[str, Any], seed: int, engine: Engine, progress: Progress
) -> dict[str, Any]:
    """All methods over all periods of one seed. Learning rates are searched in the first period, for all alike."""
    course, legs = Course.of(reference, overrides, seed, engine, progress), dict[str, list[Leg]]()
    rounds, count = course.trials[0].rounds, len(course.trials)

    def factor(method: Method, size: Cost | None = None) -> float:
        return searched(method, replace(course.trials[0], size=size), progress)[0]

    best = factor(WORLD)
    progress.begin(f"world, seed {seed}", rounds * count)
    worlds = list(course.worlds(best))
    size, legs["world"], legs["context"] = worlds[-1][0].cost(), [w[1] for w in worlds], [w[2] for w in worlds]
    rate = factor(FEDAVG, size)
    for name, restart in (("fedavg", False), ("fedavg_restart", True)):
        progress.begin(f"{name}, seed {seed}", rounds * count)
        legs[name] = list(course.fedavg(size, rate, restart))
    rate = factor(CENTRAL, size)
    progress.begin(f"central, seed {seed}", rounds * count)
    legs["central"] = list(course.central(size, rate))
    return {
        "seed": seed,
        "methods": {name: measures(own, legs["fedavg"], legs["central"]) for name, own in legs.items()},
    }


def _fedavg(trial: Watched, start: ServerState | None) -> Run:
    """FedAvg in one period."""
    now = FEDAVG.prepared(trial)

    def told(record: RoundRecord, state: ServerState) -> None:
        if record.score is not None:
            trial.follow(predictor(state, now.scenario, now.task))

    return run_phases(now, start, told)


def _trained(trial: Watched, past: WorldModel | None, start: ServerState | None) -> tuple[Run, ServerState]:
    """The run of a period's own part of the world, whose learning curve is that of the whole; and what all parts begin
    from."""
    now, begun = WORLD.prepared(trial), [start] if start else []
    scenario, task = now.scenario, now.task
    model = partial(_joined, past, scenario, task) if past else partial(predictor, scenario=scenario, task=task)

    def told(record: RoundRecord, state: ServerState) -> None:
        if record.phase == "encoder" and not begun:
            begun.append(start_of(state))
        if record.score is not None:
            trial.follow(model(state))

    return run_phases(now, start, told, model), begun[0]


def _joined(past: WorldModel, scenario: Scenario, task: Task, state: ServerState) -> WorldModel:
    """The whole world as it would be if the period ended now: what is not tuned yet is as it is before tuning."""
    if state.atlas is None:
        return past
    now, latent = world_model(state, scenario, task), state.atlas.mean.shape[1]
    composition = state.composition or past.design.composition
    untuned = replace(
        now,
        design=now.design.model_copy(update={"composition": composition}),
        router=now.router or now.design.router.init(latent, now.design.regions, torch.Generator()),
        head=now.head or past.head,
    )
    return joined(past, untuned)


def _scores(curve: Sequence[tuple[int, float]]) -> tuple[float, ...]:
    return tuple(score for _, score in curve)
