"""The command line: `manifold list | show | plan | simulate | compare | report`.

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

from federation.rules import InputError
from federation.scenario import open_run, open_scenario, run_config, scenario_names
from scenarios.baselines import METHODS
from scenarios.compare import check_methods
from scenarios.compare import compare as run_comparison
from scenarios.display import Bars, Silent, comparison_tables, plan_tables, simulation_lines
from scenarios.engines import Engine, Kind
from scenarios.overrides import collected
from scenarios.plan import plan as make_plan
from scenarios.report import gather, render
from scenarios.runs import RunFolder, check_out, versions
from scenarios.simulate import simulate as run_simulation
from server.app import Outcome

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Reference = Annotated[str, typer.Argument(metavar="SCENARIO", help="name of a scenario, or path of a scenario file")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="override a field; may be repeated")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of overrides")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder of npz files (or MANIFOLD_DATA)")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="first seed")]
Out = Annotated[Path | None, typer.Option("--out", help="new folder for the results (default runs/SCENARIO-TIME)")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output, and nothing else there")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
Which = Annotated[Kind, typer.Option("--engine", help="cohort: many clients at once; serial: one after another")]
NumberOfWorkers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Ray processes; default one a processor, 0 for none but this one")
]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="Ray cluster to join; default a private one")]


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
def simulate(
    scenario: Reference,
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
    """Run one federation and save its world model."""
    overrides = collected(set_, config, data_dir)
    folder = _started(scenario, overrides, seed, out)
    with Silent() if quiet or json_ else Bars() as progress:
        simulation = run_simulation(scenario, overrides, seed, progress, Engine(engine, workers, ray_address))
    _keep(folder, simulation.run.outcome)
    result = {**simulation.dump(), "out": str(folder.path)}
    folder.write_json("simulation.json", simulation.dump())
    print(json.dumps(result)) if json_ else simulation_lines(result)


@app.command()
def compare(
    scenario: Reference,
    methods: Annotated[str, typer.Option("--methods", help="names with commas; default all")] = ",".join(METHODS),
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="number of seeds")] = 1,
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
    overrides, names = collected(set_, config, data_dir), check_methods(methods.split(","))
    folder = _started(scenario, overrides, seed, out)
    with Silent() if quiet or json_ else Bars() as progress:
        comparison = run_comparison(
            scenario,
            overrides,
            range(seed, seed + seeds),
            names,
            progress,
            Engine(engine, workers, ray_address),
            on_score=lambda score: folder.append("metrics.jsonl", score.dump()),
        )
    _keep(folder, comparison.world.outcome)
    result, gathered = comparison.dump(), gather(comparison)
    folder.write_json("comparison.json", result)
    folder.write_json("report.json", gathered)
    folder.write_text("report.html", render(result, gathered))
    print(json.dumps({**result, "out": str(folder.path)})) if json_ else comparison_tables(result, folder.path)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="folder of a finished comparison")]) -> None:
    """Draw the report of a finished comparison again."""
    folder = RunFolder(run)
    folder.write_text("report.html", render(folder.read_json("comparison.json"), folder.read_json("report.json")))
    Console().print(f"{run / 'report.html'}")


def _started(scenario: str, overrides: dict[str, Any], seed: int, out: Path | None) -> RunFolder:
    """The folder of a new run, made once its configuration and its data are known to be good."""
    check_out(out)
    opened = open_run(run_config(scenario, overrides, seed))
    opened.federation()
    folder = RunFolder.create(out, opened.scenario.name)
    folder.write_json("config.json", {"scenario": scenario, "versions": versions(), "settings": opened.scenario.dump()})
    return folder


def _keep(folder: RunFolder, outcome: Outcome) -> None:
    """Write the rounds and the world model of a finished run."""
    for record in outcome.history:
        folder.append("metrics.jsonl", record.dump())
    outcome.world.save(folder.path)


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
