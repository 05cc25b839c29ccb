"""The honest comparison: same data, same search, same budget, several seeds, two protocols that are never mixed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.confidence import (
    calibration_floor,
    cooled,
    expected_calibration_error,
    fitted_temperature,
    temperature_losses,
)
from federation.data import UNKNOWN_CLIENT, FederatedData, Samples
from federation.engine.local import Visit, in_order
from federation.novelty import Coverage, coverage
from federation.opening import Opened, open_run, run_config
from federation.rules import InputError, nearest
from federation.union_bound import UnionBound, union_bound
from scenarios.baselines import METHODS, Contender, Method, Trial
from scenarios.baselines.contract import WorldRun
from scenarios.baselines.world import contender, run_world
from scenarios.engines import RAY, Engine
from scenarios.journal import Journal, Score
from scenarios.statistics import mean_interval, summary
from server.strategy import RoundLostError

WORLD = "world"
PROTOCOLS = ("union", "local", "ece", "ece_untempered", "ece_floor", "coverage", "covered")
"""What is told of each method, each in a table of its own."""

EXTENSIONS = 2
"""How often a search may move past the end of its grid, when the best factor lies there."""


class Progress(Protocol):
    """Told what runs, and of each round that is done."""

    def begin(self, label: str, rounds: int) -> None: ...

    def advance(self) -> None: ...


SURE = 0.9
"""Probability of the most likely class from which on a method counts as sure, at the temperature that suits it."""

QUERIES = 20
"""Single queries of which the time is taken."""


@dataclass(frozen=True)
class Confidence:
    """Calibration error with a temperature, without, and by chance alone; share of the samples of which a method is
    sure; score there."""

    ece: float | None = None
    untempered: float | None = None
    floor: float | None = None
    coverage: float | None = None
    covered: float | None = None


@dataclass(frozen=True)
class Comparison:
    """All scores, and the first seed's world run for the report."""

    reference: str
    first: Opened
    world: WorldRun
    scores: tuple[Score, ...]
    skipped: Mapping[str, str]
    compositions: tuple[dict[str, float], ...]
    coverages: tuple[Coverage, ...]
    bounds: tuple[UnionBound, ...]

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
            "learning_rate_factor_per_seed": {name: [s.factor for s in self.of(name)] for name in self.methods},
            "skipped": dict(self.skipped),
            "composition": self.compositions[0],
            "composition_per_seed": list(self.compositions),
            "novelty": means_of(self.coverages),
            "union_bound": means_of(self.bounds),
        }

    def _protocols(self, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
        """A table for each of PROTOCOLS, of methods that are told the same of the test samples and have a value on each
        seed, as the world model must."""

        def values(key: str, name: str) -> list[float]:
            found = [getattr(score, key) for score in self.of(name)]
            return [] if None in found else found

        return {
            key: {
                name: summary(values(key, name), values(key, WORLD))
                for name in methods
                if values(key, name) and values(key, WORLD)
            }
            for key in PROTOCOLS
        }


def means_of(found: Sequence[Coverage] | Sequence[UnionBound]) -> dict[str, Any]:
    """Means over the seeds that have a value, None where none has, and the values themselves; nothing of nothing."""
    rows = [asdict(each) for each in found]
    if not rows:
        return {}
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {name: mean_interval(values) if values else None for name, values in known.items()} | {"per_seed": rows}


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
    journal: Journal | None = None,
) -> Comparison:
    """Run all methods on all seeds. Learning rates are searched on the first seed, for all methods alike.

    Args:
        journal: what is finished already, and where all that is finished is kept.
    """
    journal, scores = journal or Journal(), list[Score]()
    compositions: list[dict[str, float]] = []
    coverages: list[Coverage] = []
    bounds: list[UnionBound] = []
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
            if not journal.factors(name):
                journal.keep_factors(name, searched(method, trial, progress))
            score = journal.score(seed, name)
            if score is None or name == WORLD:
                began = time.perf_counter()
                trained, used, run = _trained(method, trial, journal, progress)
                if run is not None:
                    first = first or (opened, run)
                    trial = replace(trial, world=run, size=run.outcome.world.cost())
                if score is None:
                    score = _score(trial, method, trained, used, time.perf_counter() - began)
                    journal.keep_score(score)
            scores.append(score)
        world = trial.finished().outcome.world
        compositions.append(world.design.composition)
        coverages.append(coverage(world, opened.federation().union_test))
        if bound := union_bound(world, opened.federation()):
            bounds.append(bound)
    assert first is not None
    return Comparison(
        reference,
        *first,
        scores=tuple(scores),
        skipped=skipped,
        compositions=tuple(compositions),
        coverages=tuple(coverages),
        bounds=tuple(bounds),
    )


def _trained(
    method: Method, trial: Trial, journal: Journal, progress: Progress
) -> tuple[Contender, float, WorldRun | None]:
    """A method at the best learning rate that does not diverge, the factor of that rate, and the run if it is the world
    model's. What went well in a short run may diverge in a whole one: then the next best is taken."""
    factors = journal.factors(method.name)
    for factor in factors:
        now = replace(trial, factor=factor)
        progress.begin(f"{method.name}, seed {trial.scenario.seed}", _rounds(method, now))
        run = None
        try:
            if method.name == WORLD:
                checkpoints = journal.checkpoints(now.scenario, factor)
                run = run_world(replace(now, checkpoints=checkpoints, resumed=journal.resumed(now.scenario, factor)))
            trained = contender(run) if run else method.run(now)
        except RoundLostError:
            if factor == factors[-1]:
                raise
            continue
        if factor == factors[-1] or isfinite(on_held_out(trained, trial.federation)):
            break
    return trained, factor, run


def _score(trial: Trial, method: Method, trained: Contender, factor: float, seconds: float) -> Score:
    """Ask a trained method for all test samples."""
    federation = trial.federation
    answers = union_answers(trained, federation, _told(method, federation))
    sure = on_confidence(method, trained, federation, answers) if trial.task.classifies else Confidence()
    return Score(
        trial.scenario.seed,
        method.name,
        federation.task.score(answers, federation.union_test.targets),
        on_local(trained, federation),
        sure.ece,
        sure.untempered,
        sure.floor,
        sure.coverage,
        sure.covered,
        _latency(trained, federation),
        factor,
        seconds,
        trained,
    )


def _latency(trained: Contender, federation: FederatedData) -> float:
    """Microseconds of a query of one sample: the median of a few, after one that is not counted."""
    one, nobody, taken = federation.union_test.inputs[:1], np.full(1, UNKNOWN_CLIENT), []
    for _ in range(QUERIES + 1):
        began = time.perf_counter()
        trained.answer(one, nobody)
        taken.append(time.perf_counter() - began)
    return 1e6 * float(np.median(taken[1:]))


def searched(method: Method, trial: Trial, progress: Progress) -> tuple[float, ...]:
    """Learning-rate factors by their score on samples held out inside the federation after short runs, the best first.

    Where the best lies at the end of the grid, the grid is continued in that direction.
    """
    search = trial.scenario.search
    grid = sorted(search.factors)
    if not method.searched or len(grid) < 2:
        return (grid[len(grid) // 2] if method.searched else 1.0,)
    found: dict[float, float] = {}

    def measure(factor: float) -> None:
        short = replace(trial, factor=factor, share=search.share)
        progress.begin(f"{method.name}, learning rate x{factor:g}", _rounds(method, short))
        try:
            found[factor] = on_held_out(method.run(short), trial.federation)
        except RoundLostError:
            found[factor] = -inf

    for factor in grid:
        measure(factor)
    for _ in range(EXTENSIONS):
        best = max(found, key=lambda factor: found[factor])
        beyond = {max(found): best * grid[-1] / grid[-2], min(found): best * grid[0] / grid[1]}.get(best)
        if beyond is None:
            break
        measure(beyond)
    return tuple(sorted(found, key=lambda factor: -found[factor]))


def _rounds(method: Method, trial: Trial) -> int:
    return trial.rounds if method.searched else 1


@torch.no_grad()
def union_answers(trained: Contender, federation: FederatedData, told: NDArray[np.int64] | None = None) -> Tensor:
    """Answers to one test set from all regions, the client unknown but where something is told of it."""
    union = federation.union_test
    return trained.answer(union.inputs, np.full(len(union), UNKNOWN_CLIENT) if told is None else told)


def on_union(trained: Contender, federation: FederatedData) -> float:
    """The score on one test set from all regions, the client unknown."""
    return federation.task.score(union_answers(trained, federation), federation.union_test.targets)


def _told(method: Method, federation: FederatedData) -> NDArray[np.int64] | None:
    """What a method is told of the union test samples: their clients, which of them belong together, or nothing."""
    if method.knows_client:
        return federation.union_client
    return federation.union_group if method.context else None


@torch.no_grad()
def on_confidence(
    method: Method, trained: Contender, federation: FederatedData, answers: Tensor | None = None
) -> Confidence:
    """How sure a method is on the union test, and how rightly.

    Who fits no temperature alone gets one by the same means: of the same temperatures, on the same held-out samples.

    Args:
        answers: to the union test, where they are known already.
    """
    union, (held_out, owner) = federation.union_test, _held_out(federation)
    told = _told(method, federation)
    who = np.full(len(union), UNKNOWN_CLIENT) if told is None else told
    answers = union_answers(trained, federation, told) if answers is None else answers
    if trained.untempered is not None:
        raw = trained.untempered(union.inputs, who)
    else:
        asked = np.full(len(held_out), UNKNOWN_CLIENT) if told is None else owner
        losses = temperature_losses(trained.answer(held_out.inputs, asked), held_out.targets)
        raw, answers = answers, cooled(answers, fitted_temperature(losses))
    sure = answers.amax(1) >= SURE
    return Confidence(
        expected_calibration_error(answers, union.targets),
        expected_calibration_error(raw, union.targets),
        calibration_floor(answers),
        float(sure.double().mean()),
        federation.task.score(answers[sure], union.targets[sure]) if bool(sure.any()) else None,
    )


def _held_out(federation: FederatedData) -> tuple[Samples, NDArray[np.int64]]:
    """All samples held out inside the federation, and the client of each."""
    parts = [client.held_out for client in federation.clients]
    return Samples.concatenated(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


@torch.no_grad()
def on_local(trained: Contender, federation: FederatedData) -> float | None:
    """The mean score on each client's own test samples, every client counting once; None where no client has any."""
    local = [
        federation.task.score(trained.answer(own.test.inputs, np.full(len(own.test), number)), own.test.targets)
        for number, own in enumerate(federation.clients)
        if len(own.test)
    ]
    return float(np.mean(local)) if local else None


@torch.no_grad()
def on_held_out(trained: Contender, federation: FederatedData) -> float:
    """The score on the samples held out inside the federation, by which all choices are made.

    Answers that are not finite are worse than any others.
    """
    held_out, _ = _held_out(federation)
    answers = trained.answer(held_out.inputs, np.full(len(held_out), UNKNOWN_CLIENT))
    return federation.task.score(answers, held_out.targets) if bool(answers.isfinite().all()) else -inf


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
        "latency": mean([s.latency for s in scores]),
        "seconds": mean([s.seconds for s in scores]),
    }
