"""The honest comparison: same data, same search, same budget, several seeds, two protocols that are never mixed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from federation.data.samples import UNKNOWN_CLIENT, FederatedData
from federation.opening import Opened, open_run, run_config
from federation.rules import InputError
from federation.world.novelty import Coverage, coverage
from federation.world.union_bound import UnionBound, union_bound
from scenarios.baselines import METHODS, Contender, Method, Trial, method
from scenarios.baselines.contract import Run
from scenarios.baselines.running import contender
from scenarios.baselines.world import World
from scenarios.runs.engines import RAY, Engine
from scenarios.runs.fields import answered
from scenarios.runs.journal import Journal, Score
from scenarios.runs.progress import Progress
from scenarios.runs.rates import at_best, rounds_of, searched
from scenarios.runs.scoring import Confidence, Measured, on_clients, on_confidence, told_of, union_answers
from scenarios.runs.served import by_client
from scenarios.runs.statistics import differences, mean_interval, summary

WORLD, WITHOUT = "world", "without_experts"
PROTOCOLS = ("union", "local", "worst_decile", "ece", "ece_uncalibrated", "ece_floor", "coverage", "covered")
"""What is told of each method, each in a table of its own."""

QUERIES = 20
"""Single queries of which the time is taken."""


@dataclass(frozen=True)
class Comparison:
    """All scores, and the first seed's world run for the report; None where no world model is compared."""

    reference: str
    first: Opened
    world: Run | None
    scores: tuple[Score, ...]
    skipped: Mapping[str, str]
    compositions: tuple[dict[str, float], ...]
    coverages: tuple[Coverage, ...]
    bounds: tuple[UnionBound, ...]
    floor: Mapping[str, float]

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
        return list(dict.fromkeys(score.method for score in self.scores))

    @property
    def yardstick(self) -> str:
        """The method from which all others are subtracted: the world model, or without it the first one."""
        return WORLD if self.of(WORLD) else self.methods[0]

    def dump(self) -> dict[str, Any]:
        """What `comparison.json` holds."""
        plain = [name for name in self.methods if not method(name).context]
        federation = self.first.federation()
        return {
            "scenario": self.first.scenario.name,
            "metric": federation.task.metric,
            "seeds": self.seeds,
            "yardstick": self.yardstick,
            "titles": {name: method(name).title for name in self.methods},
            **self._protocols(plain),
            "floor": dict(self.floor),
            "measures": {name: self._table(plain, partial(_measure, name)) for name in self._measures},
            "by_client": by_client([score for score in self.scores if score.method in plain], federation),
            "context": self._protocols([name for name in self.methods if method(name).context]),
            "experts_worth": self._worth(),
            "drawn": [score.method for score in self.scores if score.seed == self.seeds[0] and score.field],
            "budget": {name: _budget(self.of(name)) for name in self.methods},
            "learning_rate_factor": {name: self.of(name)[0].factor for name in self.methods},
            "learning_rate_factor_per_seed": {name: [s.factor for s in self.of(name)] for name in self.methods},
            "skipped": dict(self.skipped),
            "composition": self.compositions[0] if self.compositions else {},
            "composition_per_seed": list(self.compositions),
            "novelty": means_of(self.coverages),
            "union_bound": means_of(self.bounds),
        }

    def _worth(self) -> dict[str, Any]:
        """What the world model scores on the union test above the same without its experts, seed by seed."""
        values = {name: [score.union for score in self.of(name)] for name in (WORLD, WITHOUT)}
        return mean_interval(differences(values[WORLD], values[WITHOUT])) if all(values.values()) else {}

    def _protocols(self, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
        """A table for each of PROTOCOLS, of methods that are told the same of the test samples."""
        return {key: self._table(methods, attrgetter(key)) for key in PROTOCOLS}

    def _table(self, methods: Sequence[str], value: Callable[[Score], float | None]) -> dict[str, Any]:
        """A row for each method that has a value on each seed, as the yardstick must."""

        def values(name: str) -> list[float]:
            found = [value(score) for score in self.of(name)]
            known = [each for each in found if each is not None]
            return known if len(known) == len(found) else []

        reference = values(self.yardstick)
        return {name: summary(values(name), reference) for name in methods if reference and values(name)}

    @property
    def _measures(self) -> list[str]:
        """All that answers were measured by, in the order of tables."""
        return list(dict.fromkeys(name for score in self.scores for name in score.measures))


def _measure(name: str, score: Score) -> float | None:
    return score.measures.get(name)


def means_of(found: Sequence[Coverage] | Sequence[UnionBound]) -> dict[str, Any]:
    """Means over the seeds that have a value, None where none has, and the values themselves; nothing of nothing."""
    rows = [asdict(each) for each in found]
    if not rows:
        return {}
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {name: mean_interval(values) if values else None for name, values in known.items()} | {"per_seed": rows}


def check_methods(names: Sequence[str], rounds: int | None = None) -> list[str]:
    """The methods to run, in the order of tables.

    The world model is among them, with and without its experts, unless the rounds of all are given: without it, nothing
    else says how many they are.

    Raises:
        InputError: an unknown name, or rounds for a comparison with the world model, whose phases have rounds each.
    """
    for name in names:
        method(name)
    if rounds is None:
        wanted = {*names, WORLD, WITHOUT}
        return [*(name for name in METHODS if name in wanted), *(name for name in names if name not in METHODS)]
    if made := [name for name in names if name == WORLD or method(name).reuses_world]:
        raise InputError(f"--rounds is for methods without the world model's phases; leave it out, or {made[0]}")
    return [*(name for name in METHODS if name in names), *(name for name in names if name not in METHODS)]


def compare(
    reference: str,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    methods: Sequence[str],
    progress: Progress,
    engine: Engine = RAY,
    journal: Journal | None = None,
    rounds: int | None = None,
    measured: Measured | None = None,
) -> Comparison:
    """Run all methods on all seeds. Learning rates are searched on the first seed, for all methods alike.

    Args:
        journal: what is finished already, and where all that is finished is kept.
        rounds: of every method; where they are not given, the world model is run, and its rounds hold.
        measured: by what answers are measured beside the score.
    """
    journal, names, measured = journal or Journal(), check_methods(methods, rounds), measured or Measured()
    first: Run | None = None
    scores, skipped = list[Score](), dict[str, str]()
    compositions, coverages, bounds = list[dict[str, float]](), list[Coverage](), list[UnionBound]()
    for seed in seeds:
        config = run_config(reference, overrides, seed)
        begun = Trial(config, engine.fresh, budget=rounds, on_round=progress.advance)
        trial, found, reasons = _one_seed(begun, names, progress, journal, measured)
        scores += found
        skipped |= reasons
        if trial.world is not None:
            first, world, federation = first or trial.world, trial.world.outcome.world, trial.federation
            compositions.append(world.design.composition)
            coverages.append(coverage(world, federation.union_test))
            if bound := union_bound(world, federation):
                bounds.append(bound)
    opened = open_run(run_config(reference, overrides, seeds[0]))
    made = (tuple(compositions), tuple(coverages), tuple(bounds))
    return Comparison(reference, opened, first, tuple(scores), skipped, *made, measured.floor(opened.federation()))


def _one_seed(
    trial: Trial, methods: Sequence[str], progress: Progress, journal: Journal, measured: Measured
) -> tuple[Trial, list[Score], dict[str, str]]:
    """The trial with its world model, if there is one, the methods' scores, and why the others do not apply."""
    scores, skipped, seed = list[Score](), dict[str, str](), trial.scenario.seed
    for name in methods:
        one = method(name)
        if reason := one.absent(trial):
            skipped[name] = reason
            continue
        if not journal.factors(name):
            keep = partial(journal.keep_tried, name)
            journal.keep_factors(name, searched(one, trial, progress, journal.tried(name), keep))
        score = journal.score(seed, name)
        if score is None or name == WORLD:
            began = time.perf_counter()
            used, trained, run = at_best(trial, journal.factors(name), partial(_trained, one, journal, progress))
            if run is not None:
                trial = replace(trial, world=run, size=run.outcome.world.cost())
            if score is None:
                score = _score(trial, one, trained, used, time.perf_counter() - began, measured)
                journal.keep_score(score)
        scores.append(score)
    return trial, scores, skipped


def _trained(method: Method, journal: Journal, progress: Progress, trial: Trial) -> tuple[Contender, Run | None]:
    """A method at a trial's learning rate, and the run if it is the world model's; both may be resumed."""
    progress.begin(f"{method.name}, seed {trial.scenario.seed}", rounds_of(method, trial))
    kept = replace(
        trial,
        checkpoints=partial(journal.checkpoints, method=method.name, factor=trial.factor),
        resumed=partial(journal.resumed, method=method.name, factor=trial.factor),
    )
    if isinstance(method, World):
        run = method.finish(kept)
        return contender(run), run
    return method.run(kept), None


def _score(
    trial: Trial, method: Method, trained: Contender, factor: float, seconds: float, measured: Measured
) -> Score:
    """Ask a trained method for all test samples."""
    federation = trial.federation
    answers = union_answers(trained, federation, told_of(method, federation))
    sure = on_confidence(method, trained, federation, answers) if trial.task.classifies else Confidence()
    return Score(
        trial.scenario.seed,
        method.name,
        federation.task.score(answers, federation.union_test.targets),
        on_clients(trained, federation),
        measured.of(federation, answers),
        sure.ece,
        sure.uncalibrated,
        sure.floor,
        sure.coverage,
        sure.covered,
        _latency(trained, federation),
        factor,
        seconds,
        trained,
        answered(method, trained, federation),
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
        "budgets": mean([s.contender.budgets for s in scores]),
        "query_flops": mean([s.contender.cost.query_flops for s in scores]),
        "latency": mean([s.latency for s in scores]),
        "seconds": mean([s.seconds for s in scores]),
    }
