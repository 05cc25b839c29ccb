"""An experiment: variants of one scenario, each simulated on the same seeds, side by side and resumable.

One variant on one seed is a trial: a whole simulated federation in one process with one thread, so that its result is
the same wherever it runs. Every finished trial is a line of `trials.jsonl`; whoever begins the same experiment in the
same folder goes on from there. What failed is tried again.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from federation.opening import Opened, open_run, run_config
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tensors import threads_for
from federation.world_model import WorldModel
from scenarios.runs.engines import HERE
from scenarios.runs.folder import RunFolder, versions
from scenarios.runs.progress import Progress, Silent
from scenarios.runs.simulate import SCORES, simulate

CONFIG, TRIALS = "config.json", "trials.jsonl"

CHOOSES = "held_out"
"""The score by which all choices are made, of a composition within a run and of a point among those of a sweep."""

DATA = ("data", "partition", "held_out", "model", "composition")
"""Fields that decide whether a scenario fits its data."""


@dataclass(frozen=True)
class Trial:
    """One variant on one seed."""

    variant: str
    seed: int
    config: dict[str, str | int]


@dataclass(frozen=True)
class Result:
    """What a trial gave: its scores, or why there are none."""

    variant: str
    seed: int
    seconds: float
    scores: Mapping[str, float | None] = field(default_factory=dict)
    composition: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Experiment:
    """Variants of a scenario.

    Attributes:
        reference: the scenario's name or path.
        variants: all overrides of each, by its name.
    """

    reference: str
    variants: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]

    @staticmethod
    def of(
        reference: str, overrides: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]
    ) -> "Experiment":
        """From the overrides that all variants share, and what each changes; a changed group is changed as a whole.

        Raises:
            InputError: a variant is no valid scenario, or does not fit its data; the message names it.
        """
        merged = {name: _merged(overrides, change) for name, change in changes.items()}
        configs = {name: run_config(reference, fields, seeds[0]) for name, fields in merged.items()}
        variants = {name: json.loads(str(config["overrides"])) for name, config in configs.items()}
        fits: set[str] = set()
        for name, config in configs.items():
            try:
                opened = open_run(config)
                if (parts := json.dumps([opened.scenario.dump()[part] for part in DATA])) not in fits:
                    opened.federation()
                fits.add(parts)
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        return Experiment(str(next(iter(configs.values()))["scenario"]), variants, tuple(seeds))

    @cached_property
    def opened(self) -> Opened:
        """The first variant on the first seed."""
        return open_run(self.trials[0].config)

    @property
    def scenario(self) -> Scenario:
        """Of the first variant on the first seed."""
        return self.opened.scenario

    @property
    def metric(self) -> str:
        """Name of the scores' unit."""
        return self.opened.federation().task.metric

    @property
    def trials(self) -> list[Trial]:
        """All of them, seed by seed, so that a part of them can be compared."""
        return [
            Trial(name, seed, run_config(self.reference, overrides, seed))
            for seed in self.seeds
            for name, overrides in self.variants.items()
        ]

    def dump(self) -> dict[str, Any]:
        """Plain data, from which `load` makes the same experiment."""
        return {"scenario": self.reference, "seeds": list(self.seeds), "variants": self.variants}

    @staticmethod
    def load(data: Mapping[str, Any]) -> "Experiment":
        """The inverse of `dump`."""
        return Experiment(data["scenario"], data["variants"], tuple(data["seeds"]))


def _merged(overrides: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; what lies under a changed field has no meaning any more."""
    kept = {name: value for name, value in overrides.items() if not any(name.startswith(f"{c}.") for c in change)}
    return {**kept, **change}


def begun(out: Path | None, experiment: Experiment, kind: str, plan: Mapping[str, Any]) -> RunFolder:
    """A new folder for an experiment, or the one in which the same experiment was begun.

    Args:
        kind: of experiment, as `config.json` names it.
        plan: all that determines it.
    Raises:
        InputError: the folder holds something else.
    """
    settings = experiment.scenario.dump()
    data = experiment.opened.federation().digest
    config = json.loads(json.dumps({"versions": versions(), "settings": settings, "data": data, kind: plan}))
    if out is None or not out.exists():
        folder = RunFolder.create(out, experiment.scenario.name)
        folder.write_json(CONFIG, config)
        return folder
    folder = RunFolder(out)
    if not (out / CONFIG).is_file() or folder.read_json(CONFIG) != config:
        raise InputError(
            f"output folder {out} exists already, and holds no {kind} of these settings and versions; "
            "name another by --out"
        )
    return folder


def planned(path: Path, kind: str) -> Any:
    """The plan of an experiment that was begun in a folder.

    Raises:
        InputError: none of that kind was.
    """
    config = RunFolder(path).read_json(CONFIG)
    if kind not in config:
        raise InputError(f"{path} holds no {kind}; name the folder of one that was stopped")
    return config[kind]


def run(
    experiment: Experiment,
    folder: RunFolder,
    progress: Progress,
    workers: int | None = None,
    ray_address: str | None = None,
) -> list[Result]:
    """Run the trials that are left, and give the results of all, in the order of `experiment.trials`.

    Args:
        workers: Ray tasks at once, one a processor where it is not set; 0 runs the trials in this process.
    """
    done = {(result.variant, result.seed): result for result in _kept(folder)}
    left = [trial for trial in experiment.trials if (trial.variant, trial.seed) not in done]
    progress.begin(f"{experiment.scenario.name}, {len(experiment.variants)} variants", len(experiment.trials))
    for _ in done:
        progress.advance()
    for result in _results(left, workers, ray_address):
        folder.append(TRIALS, vars(result))
        done[result.variant, result.seed] = result
        progress.advance()
    return [done[trial.variant, trial.seed] for trial in experiment.trials]


def by_seed(results: Sequence[Result]) -> dict[str, dict[str, list[float | None]]]:
    """Each score of each variant, seed by seed; None where it failed or has none."""
    variants = dict.fromkeys(result.variant for result in results)
    return {
        score: {name: [result.scores.get(score) for result in results if result.variant == name] for name in variants}
        for score in SCORES
    }


def failures(results: Sequence[Result]) -> list[str]:
    """What failed, one line each."""
    return [f"{result.variant}, seed {result.seed}: failed, {result.failure}" for result in results if result.failure]


def simulated(trial: Trial) -> Result:
    """Run a trial in this process. Whatever goes wrong is its result."""
    began, config = time.perf_counter(), trial.config
    try:
        with threads_for(0):
            simulation = simulate(
                str(config["scenario"]), json.loads(str(config["overrides"])), trial.seed, Silent(), HERE
            )
        if bad := [name for name, score in simulation.scores.items() if score is not None and not isfinite(score)]:
            raise ArithmeticError(f"no finite score: {', '.join(bad)}")
    except Exception as error:
        return Result(trial.variant, trial.seed, time.perf_counter() - began, failure=_cause(error))
    model = simulation.run.outcome.model
    composition = model.design.composition if isinstance(model, WorldModel) else {}
    return Result(trial.variant, trial.seed, time.perf_counter() - began, simulation.scores, composition)


def _kept(folder: RunFolder) -> list[Result]:
    """What has been finished; the file is left with nothing else."""
    results = [Result(**line) for line in folder.read_lines(TRIALS)]
    finished = [result for result in results if not result.failure]
    folder.write_lines(TRIALS, [vars(result) for result in finished])
    return finished


def _results(trials: Sequence[Trial], workers: int | None, ray_address: str | None) -> Iterator[Result]:
    """Results in the order in which they come."""
    if workers == 0 or not trials:
        yield from map(simulated, trials)
        return
    from federation.engine.tasks import side_by_side  # Ray takes seconds to import

    for trial, result in side_by_side(simulated, trials, workers, ray_address):
        yield result if isinstance(result, Result) else Result(trial.variant, trial.seed, 0.0, failure=_cause(result))


def _cause(error: Exception) -> str:
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
