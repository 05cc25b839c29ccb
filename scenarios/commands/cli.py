"""The command line, `manifold`: all jobs of the project, each a command.

Exit status: 0 done, 1 the run failed, 2 the input is wrong (with one line that says what, and what to do).
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import click
import tomli_w
import typer
from rich.console import Console

from federation.rules import InputError
from scenarios.commands.data import app as data
from scenarios.commands.options import Json, Metrics, Minutes, NumberOfWorkers, Reference, Running, Seeds, Shown
from scenarios.commands.own_data import OwnData, Scenario
from scenarios.commands.studies_cli import app as studies
from scenarios.deployment.cli import app as deploy
from scenarios.reports.display import Bars, plan_tables
from scenarios.runs.folder import RunFolder
from scenarios.runs.options import OneMethod, Seed, Settings, grouped
from scenarios.runs.progress import Silent

if TYPE_CHECKING:
    from scenarios.commands.jobs import Job

# What takes long to import, each command imports for itself: so help appears at once.

UNTIL_STABLE = {"fixed_point.residual": 0.02, "experts.rounds": 100}
"""What `--until stable` sets; whatever else is set wins."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(studies)
app.add_typer(deploy, name="deploy")
app.add_typer(data, name="data")


@app.command("list")
def list_scenarios() -> None:
    """The scenarios, and the methods that a comparison can run."""
    from federation.opening import open_scenario, scenario_names
    from scenarios.baselines import METHODS

    console = Console()
    for name in scenario_names():
        console.print(f"[bold]{name:10}[/] {open_scenario(name).scenario.title}")
    console.print()
    for method in METHODS.values():
        console.print(f"[bold]{method.name:14}[/] {method.title}")


@app.command()
@grouped
def show(scenario: Reference, settings: Settings, json_: Json = False) -> None:
    """Print the effective configuration, as TOML that --config reads."""
    from federation.opening import open_scenario

    fields = open_scenario(scenario, settings.overrides()).scenario.dump()
    print(json.dumps(fields, indent=2) if json_ else tomli_w.dumps(_without_none(fields)), end="\n" if json_ else "")


@app.command()
@grouped
def plan(
    own: OwnData,
    settings: Settings,
    scenario: Scenario = None,
    seed: Seed = 0,
    workers: NumberOfWorkers = None,
    json_: Json = False,
) -> None:
    """Predict a run's memory, bytes and seconds from a rehearsal with a few of its clients."""
    from scenarios.runs.plan import plan

    planned = plan(own.named(scenario), settings.overrides() | own.overrides(), seed, workers).dump()
    print(json.dumps(planned)) if json_ else plan_tables(planned)


@app.command()
@grouped
def simulate(
    own: OwnData,
    running: Running,
    one: OneMethod,
    shown: Shown,
    scenario: Scenario = None,
    until: Annotated[
        Literal["stable"] | None,
        typer.Option("--until", help="stable: experts are trained until their regions rest, for 100 rounds at most"),
    ] = None,
    metric: Metrics = None,
    minutes: Minutes = None,
) -> None:
    """Run one federation and save what it makes: a world model, or the model of another method."""
    from scenarios.commands.jobs import Simulate
    from scenarios.runs.methods import with_method

    fields = running.fields(own.named(scenario))
    overrides = (UNTIL_STABLE if until else {}) | fields["overrides"] | own.overrides()
    fields["overrides"] = with_method(one.method, one.rounds, fields["reference"], overrides)
    job = Simulate(**fields, metrics=tuple(metric or ()))
    _begin(job.within(minutes, "--method" if one.method else "--until" if until else ""), running.out, shown)


@app.command()
@grouped
def compare(
    own: OwnData,
    running: Running,
    shown: Shown,
    scenario: Scenario = None,
    methods: Annotated[
        str | None, typer.Option("--methods", help="names with commas, flwr:NAME for Flower's own; default all")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="of every method, without a world model")
    ] = None,
    metric: Metrics = None,
    minutes: Minutes = None,
    seeds: Seeds = 1,
) -> None:
    """Compare the world model with monoliths and rivals at equal budget, and write a report."""
    from scenarios.baselines import METHODS
    from scenarios.commands.jobs import Compare
    from scenarios.runs.compare import check_methods

    names = check_methods(list(METHODS) if methods is None else methods.split(","), rounds)
    fields = running.fields(own.named(scenario))
    fields["overrides"] |= own.overrides()
    job = Compare(**fields, methods=tuple(names), seeds=seeds, rounds=rounds, metrics=tuple(metric or ()))
    _begin(job.within(minutes, "--rounds" if rounds else ""), running.out, shown)


@app.command()
@grouped
def cap(scenario: Reference, running: Running, shown: Shown, seeds: Seeds = 1) -> None:
    """Coverage, accuracy and performance of the federation at several sizes, and of monoliths."""
    from scenarios.commands.jobs import Cap
    from scenarios.studies.cap import METHODS

    _begin(Cap(**running.fields(scenario), methods=METHODS, seeds=seeds), running.out, shown)


@app.command()
@grouped
def drift(scenario: Reference, running: Running, shown: Shown, seeds: Seeds = 1) -> None:
    """Clients come and go, period by period: what is forgotten, and how fast is the new learned?"""
    from scenarios.commands.jobs import Drift

    _begin(Drift(**running.fields(scenario), seeds=seeds), running.out, shown)


@app.command()
@grouped
def resume(
    run: Annotated[Path, typer.Argument(help="folder of a run that was stopped")],
    shown: Shown,
    rounds: Annotated[
        int | None, typer.Option("--round", min=1, help="go on after this round; default the last checkpoint")
    ] = None,
) -> None:
    """Go on with a run that was stopped, to the same result as if it had not been."""
    from scenarios.commands.jobs import unfinished

    folder = RunFolder(run)
    _work(unfinished(folder), folder, shown, rounds)


@app.command()
def forget(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder with a world model")],
    out: Annotated[Path, typer.Option("--out", help="new folder for the world model that is left")],
    client: Annotated[int | None, typer.Option("--client", min=0, help="take out the region of a client")] = None,
    region: Annotated[int | None, typer.Option("--region", min=0, help="take out a region")] = None,
) -> None:
    """Take a region out of a world model: its expert, its charts and its gate. The others stay as they are."""
    from scenarios.runs.forget import forgotten

    print(forgotten(run, out, client, region))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="folder of a finished comparison")]) -> None:
    """Draw the report of a finished comparison again."""
    from scenarios.reports.report import render

    folder = RunFolder(run)
    comparison, gathered = folder.read_json("comparison.json"), folder.read_json("report.json")
    try:
        page = render(comparison, gathered)
    except KeyError as error:
        raise InputError(f"{run} was written by another version, without {error}; compare again") from error
    folder.write_text("report.html", page)
    Console().print(f"{run / 'report.html'}")


def _begin(job: "Job", out: Path | None, shown: Shown) -> None:
    """Run a new job."""
    _work(job, job.begin(out), shown)


def _work(job: "Job", folder: RunFolder, shown: Shown, rounds: int | None = None) -> None:
    """Run a job, or what is left of it, and print its result; whoever stops it is told how to go on."""
    from scenarios.runs.journal import Journal

    journal = Journal(folder)
    try:
        with Silent() if shown.silent else Bars() as progress:
            result = {**job.run(folder, progress, journal, rounds), "out": str(folder.path)}
    except KeyboardInterrupt:
        print(f"stopped; manifold resume {folder.path} goes on", file=sys.stderr)
        raise
    journal.close()
    print(json.dumps(result)) if shown.json_ else job.show(result, folder.path)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is not set is left out."""
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in fields.items() if v is not None}


def _grave(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    logging.getLogger("flwr").addFilter(_grave)  # a level would be overwritten when Flower is imported
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
