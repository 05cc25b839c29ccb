"""What the command line runs and can go on with: a job is written down in its folder before it begins."""

import json
import sys
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from federation.opening import Opened, open_run, run_config
from federation.rules import InputError, Rule, Several
from federation.settings import Search
from scenarios.baselines import METHODS, method
from scenarios.reports.display import comparison_tables, simulation_lines
from scenarios.reports.gathering import gather
from scenarios.reports.report import render
from scenarios.reports.sheet import Sheet
from scenarios.runs.compare import compare as run_comparison
from scenarios.runs.engines import Engine, Kind
from scenarios.runs.folder import RunFolder, check_out, versions
from scenarios.runs.journal import Journal
from scenarios.runs.minutes import Cut, fitted
from scenarios.runs.progress import Progress
from scenarios.runs.rates import EXTENSIONS
from scenarios.runs.scoring import Measured
from scenarios.runs.simulate import simulate as run_simulation
from scenarios.studies import drift_measures
from scenarios.studies.cap import cap, sheet
from scenarios.studies.drift import drifted, periods
from server.answering import check_answers
from server.app import Outcome
from server.schedule import schedule

CONFIG, JOB, SEEDS = "config.json", "job", "seeds.jsonl"


class Job(Rule):
    """One command with all that determines its result.

    Attributes:
        reference: the scenario's name or path.
        seed: the first one.
        engine, workers, ray_address: as `scenarios.runs.engines.Engine` has them.
        metrics: functions of the user's own by which answers are measured, too.
        cut: what a budget of time has left of it, where there is one.
    """

    reference: str
    overrides: dict[str, Any]
    seed: int
    engine: Kind = "cohort"
    workers: int | None = None
    ray_address: str | None = None
    metrics: Several[str] = ()
    cut: Cut | None = None

    @property
    @abstractmethod
    def result(self) -> str:
        """The file that is written last."""

    @abstractmethod
    def run(self, folder: RunFolder, progress: Progress, journal: Journal, rounds: int | None = None) -> dict[str, Any]:
        """Do what is left to do, write it down, and give the result as plain data.

        Args:
            rounds: the checkpoint to go on from; the last one without it.
        """

    @abstractmethod
    def show(self, result: dict[str, Any], folder: Path) -> None:
        """The result on the terminal."""

    @cached_property
    def opened(self) -> Opened:
        """The scenario on the first seed."""
        return open_run(run_config(self.reference, self.overrides, self.seed))

    @property
    def runs_on(self) -> Engine:
        """How clients are run."""
        return Engine(self.engine, self.workers, self.ray_address)

    @property
    def measured(self) -> Measured:
        """By what answers are measured beside the score."""
        return Measured(self.opened.scenario.data.label, self.metrics)

    def trainings(self, search: Search) -> float:
        """How many whole runs of the scenario's phases it takes, at most."""
        return 1.0

    def within(self, minutes: float | None, said: str = "") -> Self:
        """The job that is predicted to be done in so many minutes, said in one line; itself without them.

        Args:
            said: an option that tells the rounds already.
        """
        if minutes is None:
            return self
        if said:
            raise InputError(f"--minutes chooses the rounds of the scenario's own phases; leave it out, or {said}")
        cut = fitted(minutes, self.reference, self.overrides, self.seed, self.workers, self.trainings)
        print(cut, file=sys.stderr)
        return self.model_copy(update={"overrides": {**self.overrides, **cut.settings}, "cut": cut})

    def begin(self, out: Path | None) -> RunFolder:
        """The folder of a new run, made once its configuration and its data are known to be good."""
        check_out(out)
        self.opened.charted()
        check_answers(self.opened.scenario)
        schedule(self.opened.scenario, self.opened.federation().task)  # refuses phases that cannot run on these data
        self.measured.floor(self.opened.federation())
        config = run_config(self.reference, self.overrides, self.seed)
        placed = {"reference": config["scenario"], "overrides": json.loads(str(config["overrides"]))}
        folder = RunFolder.create(out, self.opened.scenario.name)
        settings = self.opened.scenario.dump()
        data = self.opened.federation().digest
        job = {**self.dump(), **placed}
        folder.write_json(CONFIG, {JOB: job, "versions": versions(), "settings": settings, "data": data})
        return folder


class Simulate(Job):
    """One federation."""

    @property
    def result(self) -> str:
        return "simulation.json"

    def run(self, folder: RunFolder, progress: Progress, journal: Journal, rounds: int | None = None) -> dict[str, Any]:
        simulation = run_simulation(
            self.reference, self.overrides, self.seed, progress, self.runs_on, journal, rounds, self.measured
        )
        _keep(folder, simulation.run.outcome, self.opened)
        folder.write_json(self.result, simulation.dump())
        return simulation.dump()

    def show(self, result: dict[str, Any], folder: Path) -> None:
        simulation_lines(result)


class Compare(Job):
    """The world model and its rivals, on several seeds."""

    methods: Several[str]
    seeds: int
    rounds: int | None = None

    @property
    def result(self) -> str:
        return "comparison.json"

    def trainings(self, search: Search) -> float:
        grid = search.share * (len(search.factors) + EXTENSIONS) if len(search.factors) > 1 else 0.0
        return (self.seeds + grid) * sum(method(name).searched for name in self.methods)

    def run(self, folder: RunFolder, progress: Progress, journal: Journal, rounds: int | None = None) -> dict[str, Any]:
        result = self.compared(folder, progress, journal, rounds)
        folder.write_json(self.result, result)
        return result

    def compared(
        self, folder: RunFolder, progress: Progress, journal: Journal, rounds: int | None = None
    ) -> dict[str, Any]:
        """Run what is left, and write the report."""
        if rounds is not None:
            raise InputError("a comparison goes on from its last checkpoint; leave --round out")
        seeds = range(self.seed, self.seed + self.seeds)
        comparison = run_comparison(
            self.reference,
            self.overrides,
            seeds,
            self.methods,
            progress,
            self.runs_on,
            journal,
            self.rounds,
            self.measured,
        )
        result = comparison.dump()
        if comparison.world is not None:
            _keep(folder, comparison.world.outcome, self.opened)
            gathered = gather(comparison)
            folder.write_json("report.json", gathered)
            folder.write_text("report.html", render(result, gathered))
        return result

    def show(self, result: dict[str, Any], folder: Path) -> None:
        comparison_tables(result, folder)


class Cap(Compare):
    """Coverage, accuracy and performance of the federation and of monoliths, from a comparison of them."""

    @property
    def result(self) -> str:
        return "cap.json"

    def begin(self, out: Path | None) -> RunFolder:
        if not self.opened.federation().task.classifies:
            raise InputError(f"{self.reference} has real values, of which nobody is sure; take a scenario with classes")
        return super().begin(out)

    def run(self, folder: RunFolder, progress: Progress, journal: Journal, rounds: int | None = None) -> dict[str, Any]:
        comparison = self.compared(folder, progress, journal, rounds)
        found = cap(comparison)
        folder.write_text("cap.html", self._sheet(found).render())
        folder.write_json(self.result, found)
        return found

    def show(self, result: dict[str, Any], folder: Path) -> None:
        self._sheet(result).print(folder / "cap.html")

    def _sheet(self, result: dict[str, Any]) -> Sheet:
        return sheet(result, self.opened.scenario.title, {name: METHODS[name].title for name in METHODS})


class Drift(Job):
    """The federation and its rivals over periods in which clients come and go, on several seeds."""

    seeds: int

    @property
    def result(self) -> str:
        return "drift.json"

    def begin(self, out: Path | None) -> RunFolder:
        periods(self.reference, self.overrides, self.seed)
        return super().begin(out)

    def run(self, folder: RunFolder, progress: Progress, journal: Journal, rounds: int | None = None) -> dict[str, Any]:
        if rounds is not None:
            raise InputError("a drift goes on from its last finished seed; leave --round out")
        done = {line["seed"]: line for line in folder.mended_lines(SEEDS)}
        for seed in range(self.seed, self.seed + self.seeds):
            if seed not in done:
                done[seed] = drifted(self.reference, self.overrides, seed, self.runs_on, progress)
                folder.append(SEEDS, done[seed])
        task = self.opened.federation().task
        result = drift_measures.summarised(
            self.opened.scenario.name, task.metric, [done[seed] for seed in sorted(done)]
        )
        folder.write_text("drift.html", drift_measures.sheet(result, self.opened.scenario.title).render())
        folder.write_json(self.result, result)
        return result

    def show(self, result: dict[str, Any], folder: Path) -> None:
        drift_measures.sheet(result, self.opened.scenario.title).print(folder / "drift.html")


def unfinished(folder: RunFolder) -> Job:
    """The job that was begun in a folder.

    Raises:
        InputError: there is none, or it is finished, or it was begun with other versions of what it depends on.
    """
    config = folder.read_json(CONFIG)
    if JOB not in config:
        raise InputError(f"{folder.path} holds no run; name the folder of one that was stopped")
    job = Job.model_validate_json(json.dumps(config[JOB]))
    if (folder.path / job.result).exists():
        raise InputError(f"{folder.path} is finished; its results are in {job.result}")
    changed = [f"{name} {old}" for name, old in config["versions"].items() if versions().get(name) != old]
    if changed:
        raise InputError(f"{folder.path} was begun with {', '.join(changed)}; go on with these, or begin it again")
    if (kept := config.get("data")) and kept != job.opened.federation().digest:
        raise InputError(
            f"the data of {folder.path} are not those with which it was begun; bring these back, or begin anew"
        )
    if config["settings"] != job.opened.scenario.dump():
        raise InputError(f"the scenario of {folder.path} has changed since it was begun; change it back, or begin anew")
    return job


def _keep(folder: RunFolder, outcome: Outcome, opened: Opened) -> None:
    """Write the rounds and the model of a finished run."""
    folder.write_text("metrics.jsonl", outcome.metrics)
    outcome.model.save(folder.path, opened.federation().preparation)
