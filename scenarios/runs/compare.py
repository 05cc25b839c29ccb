"""The honest comparison: same data, same search, same budget, several seeds, two protocols that are never mixed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from federation.data.samples import UNKNOWN_CLIENT, FederatedData
from federation.engine.local import Visit, in_order
from federation.world.novelty import Coverage, coverage
from federation.opening import Opened, open_run, run_config
from federation.rules import InputError, nearest
from federation.world.union_bound import UnionBound, union_bound
from scenarios.baselines import METHODS, Contender, Method, Trial
from scenarios.baselines.contract import WorldRun
from scenarios.baselines.world import contender, run_world
from scenarios.runs.engines import RAY, Engine
from scenarios.runs.journal import Journal, Score
from scenarios.runs.progress import Progress
from scenarios.runs.rates import at_best, rounds_of, searched
from scenarios.runs.scoring import Confidence, on_confidence, on_local, told_of, union_answers
from scenarios.runs.statistics import mean_interval, summary

WORLD = "world"
PROTOCOLS = ("union", "local", "ece", "ece_uncalibrated", "ece_floor", "coverage", "covered")
"""What is told of each method, each in a table of its own."""

QUERIES = 20
"""Single queries of which the time is taken."""


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
        trial = Trial(opened, engine.grids(opened, config), on_round=progress.advance)
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
                used, trained, run = at_best(trial, journal.factors(name), partial(_trained, method, journal, progress))
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


def _trained(method: Method, journal: Journal, progress: Progress, trial: Trial) -> tuple[Contender, WorldRun | None]:
    """A method at a trial's learning rate, and the run if it is the world model's, which may be resumed."""
    progress.begin(f"{method.name}, seed {trial.scenario.seed}", rounds_of(method, trial))
    if method.name != WORLD:
        return method.run(trial), None
    kept = journal.checkpoints(trial.scenario, trial.factor), journal.resumed(trial.scenario, trial.factor)
    run = run_world(replace(trial, checkpoints=kept[0], resumed=kept[1]))
    return contender(run), run


def _score(trial: Trial, method: Method, trained: Contender, factor: float, seconds: float) -> Score:
    """Ask a trained method for all test samples."""
    federation = trial.federation
    answers = union_answers(trained, federation, told_of(method, federation))
    sure = on_confidence(method, trained, federation, answers) if trial.task.classifies else Confidence()
    return Score(
        trial.scenario.seed,
        method.name,
        federation.task.score(answers, federation.union_test.targets),
        on_local(trained, federation),
        sure.ece,
        sure.uncalibrated,
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
