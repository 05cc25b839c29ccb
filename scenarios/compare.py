"""The honest comparison: same data, same search, same budget, several seeds, two protocols that are never mixed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.confidence import cooled, expected_calibration_error, fitted_temperature, temperature_losses
from federation.data import UNKNOWN_CLIENT, FederatedData, Samples
from federation.engine.local import Visit, in_order
from federation.rules import InputError, nearest
from federation.scenario import Opened, open_run, run_config
from scenarios.baselines import METHODS, Contender, Method, Trial
from scenarios.baselines.contract import WorldRun
from scenarios.baselines.world import contender, run_world
from scenarios.engines import RAY, Engine
from scenarios.statistics import summary

WORLD = "world"
PROTOCOLS = ("union", "local", "ece", "ece_untempered")
"""What is told of each method, each in a table of its own."""

EXTENSIONS = 2
"""How often a search may move past the end of its grid, when the best factor lies there."""


class Progress(Protocol):
    """Told what runs, and of each round that is done."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...


@dataclass(frozen=True)
class Tests:
    """What a trained method reaches.

    Attributes:
        union: on one test set, the client unknown.
        local: on each client's own held-out samples, every client counting once; None where no client has any.
        ece: expected calibration error on the union test, at the temperature that fits held-out samples best; None
            for values.
        ece_untempered: the same at temperature one.
    """

    union: float
    local: float | None
    ece: float | None
    ece_untempered: float | None


@dataclass(frozen=True)
class Score(Tests):
    """One method on one seed."""

    seed: int
    method: str
    factor: float
    seconds: float
    contender: Contender

    def dump(self) -> dict[str, Any]:
        """Plain data for a line of JSON."""
        return {name: value for name, value in vars(self).items() if name != "contender"}


@dataclass(frozen=True)
class Comparison:
    """All scores, and the first seed's world run for the report."""

    reference: str
    first: Opened
    world: WorldRun
    scores: tuple[Score, ...]
    skipped: Mapping[str, str]
    compositions: tuple[dict[str, float], ...]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted({score.seed for score in self.scores})

    def of(self, method: str) -> list[Score]:
        """One method's scores, by seed."""
        return sorted((s for s in self.scores if s.method == method), key=lambda s: s.seed)

    @property
    def methods(self) -> list[str]:
        """The methods that were run, in the order of tables."""
        return [name for name in METHODS if self.of(name)]

    def dump(self) -> dict[str, Any]:
        """What `comparison.json` holds."""
        return {
            "scenario": self.first.scenario.name,
            "metric": self.first.federation().task.metric,
            "seeds": self.seeds,
            **self._protocols([name for name in self.methods if not METHODS[name].context]),
            "context": self._protocols([name for name in self.methods if METHODS[name].context]),
            "budget": {name: _budget(self.of(name)) for name in self.methods},
            "learning_rate_factor": {name: self.of(name)[0].factor for name in self.methods},
            "skipped": dict(self.skipped),
            "composition": self.compositions[0],
            "composition_per_seed": list(self.compositions),
        }

    def _protocols(self, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Each protocol's scores, and the calibration, of methods that are asked the same."""
        return {
            key: {
                name: summary([getattr(s, key) for s in self.of(name)], [getattr(s, key) for s in self.of(WORLD)])
                for name in methods
                if all(getattr(s, key) is not None for s in self.of(name))
            }
            for key in PROTOCOLS
        }


def check_methods(names: Sequence[str]) -> list[str]:
    """The methods to run, in the order of tables; the world model is always among them.

    Raises:
        InputError: an unknown name.
    """
    for name in names:
        if name not in METHODS:
            raise InputError(f"unknown method {name!r}; {nearest(name, list(METHODS))}")
    return [name for name in METHODS if name in names or name == WORLD]


def compare(
    reference: str,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    methods: Sequence[str],
    progress: Progress,
    engine: Engine = RAY,
    visit: Visit = in_order,
    on_score: Callable[[Score], None] = lambda score: None,
) -> Comparison:
    """Run all methods on all seeds. Learning rates are searched on the first seed, for all methods alike."""
    scores: list[Score] = []
    factors: dict[str, float] = {}
    compositions: list[dict[str, float]] = []
    first: tuple[Opened, WorldRun] | None = None
    skipped: dict[str, str] = {}
    for seed in seeds:
        config = run_config(reference, overrides, seed)
        opened = open_run(config)
        trial = Trial(opened, engine.grids(opened, config, visit), on_round=progress.advance)
        for name in check_methods(methods):
            method = METHODS[name]
            if reason := method.absent(opened.federation()):
                skipped[name] = reason
                continue
            if name not in factors:
                factors[name] = _searched(method, trial, progress)
            trial = replace(trial, factor=factors[name])
            progress.begin(f"{name}, seed {seed}", _rounds(method, trial))
            began = time.perf_counter()
            if name == WORLD:
                run = run_world(trial)
                first = first or (opened, run)
                trial, trained = replace(trial, world=run, size=run.outcome.world.cost()), contender(run)
                compositions.append(run.outcome.world.design.composition)
            else:
                trained = method.run(trial)
            seconds = time.perf_counter() - began
            tests = scored(method, trained, opened.federation())
            score = Score(
                **vars(tests), seed=seed, method=name, factor=factors[name], seconds=seconds, contender=trained
            )
            scores.append(score)
            on_score(score)
    assert first is not None
    return Comparison(reference, first[0], first[1], tuple(scores), skipped, tuple(compositions))


def _searched(method: Method, trial: Trial, progress: Progress) -> float:
    """The learning-rate factor with the best score on samples held out inside the federation, after short runs.

    Where the best lies at the end of the grid, the grid is continued in that direction.
    """
    search = trial.scenario.search
    grid = sorted(search.factors)
    if not method.searched or len(grid) < 2:
        return grid[len(grid) // 2] if method.searched else 1.0
    held_out, _ = _held_out(trial.federation)
    nobody = np.full(len(held_out), UNKNOWN_CLIENT)
    found: dict[float, float] = {}

    def measure(factor: float) -> None:
        short = replace(trial, factor=factor, share=search.share)
        progress.begin(f"{method.name}, learning rate x{factor:g}", _rounds(method, short))
        answers = method.run(short).answer(held_out.inputs, nobody)
        found[factor] = trial.task.score(answers, held_out.targets) if bool(answers.isfinite().all()) else -float("inf")

    for factor in grid:
        measure(factor)
    for _ in range(EXTENSIONS):
        best = max(found, key=lambda factor: found[factor])
        beyond = {max(found): best * grid[-1] / grid[-2], min(found): best * grid[0] / grid[1]}.get(best)
        if beyond is None:
            break
        measure(beyond)
    return max(found, key=lambda factor: found[factor])


def _rounds(method: Method, trial: Trial) -> int:
    return trial.rounds if method.searched else 1


@torch.no_grad()
def scored(method: Method, trained: Contender, federation: FederatedData) -> Tests:
    """Ask a trained method for all test samples, and tell it no more of them than it may know."""
    union, task = federation.union_test, federation.task
    who = np.full(len(union), UNKNOWN_CLIENT)
    if method.knows_client or method.context:
        who = federation.union_client if method.knows_client else federation.union_group
    local = [
        task.score(trained.answer(client.test.inputs, np.full(len(client.test), number)), client.test.targets)
        for number, client in enumerate(federation.clients)
        if len(client.test)
    ]
    answers = trained.answer(union.inputs, who)
    ece, untempered = _calibration(method, trained, federation, answers, who) if task.classifies else (None, None)
    return Tests(task.score(answers, union.targets), float(np.mean(local)) if local else None, ece, untempered)


def _calibration(
    method: Method, trained: Contender, federation: FederatedData, answers: Tensor, who: NDArray[np.int64]
) -> tuple[float, float]:
    """Calibration error on the union test with and without temperature.

    All get the same temperatures fitted on the same samples: who does not do it alone is helped.
    """
    targets = federation.union_test.targets
    if trained.untempered is not None:
        raw, sure = trained.untempered(federation.union_test.inputs, who), answers
    else:
        held_out, owners = _held_out(federation)
        asked = owners if method.knows_client or method.context else np.full(len(held_out), UNKNOWN_CLIENT)
        losses = temperature_losses(trained.answer(held_out.inputs, asked), held_out.targets)
        raw, sure = answers, cooled(answers, fitted_temperature(losses))
    return expected_calibration_error(sure, targets), expected_calibration_error(raw, targets)


def _held_out(federation: FederatedData) -> tuple[Samples, NDArray[np.int64]]:
    """All samples held out inside the federation, and the client of each."""
    parts = [client.held_out for client in federation.clients]
    return Samples.concatenated(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _budget(scores: Sequence[Score]) -> dict[str, float]:
    """Means over seeds of what a method is and what it took."""

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    return {
        "total_parameters": mean([s.contender.cost.total_parameters for s in scores]),
        "active_parameters": mean([s.contender.cost.active_parameters for s in scores]),
        "bytes_up": mean([s.contender.bytes_up for s in scores]),
        "bytes_down": mean([s.contender.bytes_down for s in scores]),
        "training_flops": mean([s.contender.training_flops for s in scores]),
        "query_flops": mean([s.contender.cost.query_flops for s in scores]),
        "seconds": mean([s.seconds for s in scores]),
    }
