"""The command line, `manifold`: all jobs of the project, each a command.

Exit status: 0 done, 1 the run failed, 2 the input is wrong (with one line that says what, and what to do).
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import click
import tomli_w
import typer
from rich.console import Console

from federation.opening import open_scenario, scenario_names
from federation.rules import InputError
from scenarios.baselines import METHODS
from scenarios.commands.data import app as data
from scenarios.commands.jobs import Cap, Compare, Drift, Job, Simulate, unfinished
from scenarios.commands.options import (
    Json,
    Metrics,
    Minutes,
    NumberOfWorkers,
    Out,
    Quiet,
    RayAddress,
    Reference,
    Seed,
    Seeds,
    Until,
    Which,
)
from scenarios.commands.own_data import of_own_data
from scenarios.commands.studies_cli import app as studies
from scenarios.deployment.cli import app as deploy
from scenarios.reports.display import Bars, plan_tables
from scenarios.reports.report import render
from scenarios.runs.compare import check_methods
from scenarios.runs.engines import Kind
from scenarios.runs.folder import RunFolder
from scenarios.runs.forget import forgotten
from scenarios.runs.journal import Journal
from scenarios.runs.methods import with_method
from scenarios.runs.options import Config, DataDir, MethodRounds, OneMethod, Set
from scenarios.runs.overrides import collected
from scenarios.runs.plan import plan as make_plan
from scenarios.runs.progress import Silent
from scenarios.studies import cap as caps

UNTIL_STABLE = {"fixed_point.residual": 0.02, "experts.rounds": 100}
"""What `--until stable` sets; whatever else is set wins."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(studies)
app.add_typer(deploy, name="deploy")
app.add_typer(data, name="data")


@app.command("list")
def list_scenarios() -> None:
    """The scenarios, and the methods that a comparison can run."""
    console = Console()
    for name in scenario_names():
        console.print(f"[bold]{name:10}[/] {open_scenario(name).scenario.title}")
    console.print()
    for method in METHODS.values():
        console.print(f"[bold]{method.name:14}[/] {method.title}")


@app.command()
def show(
    scenario: Reference, set_: Set = None, config: Config = None, data_dir: DataDir = None, json_: Json = False
) -> None:
    """Print the effective configuration, as TOML that --config reads."""
    fields = open_scenario(scenario, collected(set_, config, data_dir)).scenario.dump()
    print(json.dumps(fields, indent=2) if json_ else tomli_w.dumps(_without_none(fields)), end="\n" if json_ else "")


@app.command()
@of_own_data
def plan(
    scenario: Reference,
    set_: Set = None,
    config: Config = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    workers: NumberOfWorkers = None,
    json_: Json = False,
) -> None:
    """Predict a run's memory, bytes and seconds from a rehearsal with a few of its clients."""
    planned = make_plan(scenario, collected(set_, config, data_dir), seed, workers)
    print(json.dumps(planned.dump())) if json_ else plan_tables(planned.dump())


@app.command()
@of_own_data
def simulate(
    scenario: Reference,
    set_: Set = None,
    config: Config = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    method: OneMethod = None,
    rounds: MethodRounds = None,
    until: Until = None,
    metric: Metrics = None,
    minutes: Minutes = None,
    engine: Which = "cohort",
    workers: NumberOfWorkers = None,
    ray_address: RayAddress = None,
    out: Out = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run one federation and save what it makes: a world model, or the model of another method."""
    where = _where(scenario, set_, config, data_dir, seed, engine, workers, ray_address)
    overrides = (UNTIL_STABLE if until else {}) | where["overrides"]
    fields = {"overrides": with_method(method, rounds, scenario, overrides), "metrics": tuple(metric or ())}
    job = Simulate(**where | fields).within(minutes, "--method" if method else "--until" if until else "")
    _work(job, job.begin(out), json_, quiet)


@app.command()
@of_own_data
def compare(
    scenario: Reference,
    methods: Annotated[
        str, typer.Option("--methods", help="names with commas, flwr:NAME for Flower's own; default all")
    ] = ",".join(METHODS),
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="of every method, without a world model")
    ] = None,
    metric: Metrics = None,
    minutes: Minutes = None,
    seeds: Seeds = 1,
    set_: Set = None,
    config: Config = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    engine: Which = "cohort",
    workers: NumberOfWorkers = None,
    ray_address: RayAddress = None,
    out: Out = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the world model with monoliths and rivals at equal budget, and write a report."""
    names = tuple(check_methods(methods.split(","), rounds))
    where = _where(scenario, set_, config, data_dir, seed, engine, workers, ray_address)
    job = Compare(**where, methods=names, seeds=seeds, rounds=rounds, metrics=tuple(metric or ()))
    job = job.within(minutes, "--rounds" if rounds else "")
    _work(job, job.begin(out), json_, quiet)


@app.command()
def cap(
    scenario: Reference,
    seeds: Seeds = 1,
    set_: Set = None,
    config: Config = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    engine: Which = "cohort",
    workers: NumberOfWorkers = None,
    ray_address: RayAddress = None,
    out: Out = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Coverage, accuracy and performance of the federation at several sizes, and of monoliths."""
    where = _where(scenario, set_, config, data_dir, seed, engine, workers, ray_address)
    job = Cap(**where, methods=caps.METHODS, seeds=seeds)
    _work(job, job.begin(out), json_, quiet)


@app.command()
def drift(
    scenario: Reference,
    seeds: Seeds = 1,
    set_: Set = None,
    config: Config = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    engine: Which = "cohort",
    workers: NumberOfWorkers = None,
    ray_address: RayAddress = None,
    out: Out = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Clients come and go, period by period: what is forgotten, and how fast is the new learned?"""
    where = _where(scenario, set_, config, data_dir, seed, engine, workers, ray_address)
    job = Drift(**where, seeds=seeds)
    _work(job, job.begin(out), json_, quiet)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="folder of a run that was stopped")],
    rounds: Annotated[
        int | None, typer.Option("--round", min=1, help="go on after this round; default the last checkpoint")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was stopped, to the same result as if it had not been."""
    folder = RunFolder(run)
    _work(unfinished(folder), folder, json_, quiet, rounds)


@app.command()
def forget(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder with a world model")],
    out: Annotated[Path, typer.Option("--out", help="new folder for the world model that is left")],
    client: Annotated[int | None, typer.Option("--client", min=0, help="take out the region of a client")] = None,
    region: Annotated[int | None, typer.Option("--region", min=0, help="take out a region")] = None,
) -> None:
    """Take a region out of a world model: its expert, its charts and its gate. The others stay as they are."""
    print(forgotten(run, out, client, region))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="folder of a finished comparison")]) -> None:
    """Draw the report of a finished comparison again."""
    folder = RunFolder(run)
    comparison, gathered = folder.read_json("comparison.json"), folder.read_json("report.json")
    try:
        page = render(comparison, gathered)
    except KeyError as error:
        raise InputError(f"{run} was written by another version, without {error}; compare again") from error
    folder.write_text("report.html", page)
    Console().print(f"{run / 'report.html'}")


def _where(
    scenario: str,
    set_: list[str] | None,
    config: Path | None,
    data_dir: Path | None,
    seed: int,
    engine: Kind,
    workers: int | None,
    ray_address: str | None,
) -> dict[str, Any]:
    """What all jobs are told."""
    return {
        "reference": scenario,
        "overrides": collected(set_, config, data_dir),
        "seed": seed,
        "engine": engine,
        "workers": workers,
        "ray_address": ray_address,
    }


def _work(job: Job, folder: RunFolder, json_: bool, quiet: bool, rounds: int | None = None) -> None:
    """Run a job, or what is left of it, and print its result; whoever stops it is told how to go on."""
    journal = Journal(folder)
    try:
        with Silent() if quiet or json_ else Bars() as progress:
            result = {**job.run(folder, progress, journal, rounds), "out": str(folder.path)}
    except KeyboardInterrupt:
        print(f"stopped; manifold resume {folder.path} goes on", file=sys.stderr)
        raise
    journal.close()
    print(json.dumps(result)) if json_ else job.show(result, folder.path)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is not set is left out."""
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in fields.items() if v is not None}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="datasets|flwr_datasets")
    try:
        status = typer.main.get_command(app)(args=arguments, prog_name="manifold", standalone_mode=False)
    except (InputError, click.ClickException) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)
    except click.exceptions.Abort:
        print("stopped", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
