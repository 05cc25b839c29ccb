"""The honest comparison: same data, same search, same budget, several seeds, two protocols that are never mixed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

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
EXTENSIONS = 2
"""How often a search may move past the end of its grid, when the best factor lies there."""


class Progress(Protocol):
    """Told what runs, and of each round that is done."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...


@dataclass(frozen=True)
class Score:
    """One method on one seed."""

    seed: int
    method: str
    union: float
    local: float | None
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
        protocols = {
            protocol: {
                name: summary(
                    [getattr(s, protocol) for s in self.of(name)], [getattr(s, protocol) for s in self.of(WORLD)]
                )
                for name in self.methods
                if all(getattr(s, protocol) is not None for s in self.of(name))
            }
            for protocol in ("union", "local")
        }
        return {
            "scenario": self.first.scenario.name,
            "metric": self.first.federation().task.metric,
            "seeds": self.seeds,
            **protocols,
            "budget": {name: _budget(self.of(name)) for name in self.methods},
            "learning_rate_factor": {name: self.of(name)[0].factor for name in self.methods},
            "skipped": dict(self.skipped),
            "composition": self.compositions[0],
            "composition_per_seed": list(self.compositions),
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
            if reason := method.absent(trial):
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
            union, local = scored(method, trained, opened.federation())
            score = Score(seed, name, union, local, factors[name], seconds, trained)
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
    held_out = Samples.concatenated([client.held_out for client in trial.federation.clients])
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
def scored(method: Method, trained: Contender, federation: FederatedData) -> tuple[float, float | None]:
    """Union: one test set, the client unknown. Local: each client's own held-out samples, every client counts once;
    None where no client has any."""
    union, task = federation.union_test, federation.task
    who = federation.union_client if method.knows_client else np.full(len(union), UNKNOWN_CLIENT)
    local = [
        task.score(trained.answer(client.test.inputs, np.full(len(client.test), number)), client.test.targets)
        for number, client in enumerate(federation.clients)
        if len(client.test)
    ]
    together = task.score(trained.answer(union.inputs, who), union.targets)
    return together, float(np.mean(local)) if local else None


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
