"""The commands that run an experiment: many trials side by side, and a table of what they found."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from federation.rules import InputError
from scenarios.commands.options import RayAddress, Reference, Seeds, Shown
from scenarios.reports.display import Bars
from scenarios.runs.folder import RunFolder
from scenarios.runs.options import Config, DataDir, Seed, Settings, grouped
from scenarios.runs.overrides import alternatives
from scenarios.runs.progress import Silent

if TYPE_CHECKING:
    from scenarios.reports.sheet import Sheet
    from scenarios.runs.experiment import Experiment, Result

app = typer.Typer()

AtOnce = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="trials at once, as Ray tasks; default one a processor, 0 for this process"),
]
Again = Annotated[
    Path | None, typer.Option("--out", help="folder of the results; where they were begun, they are continued")
]


@app.command()
@grouped
def ablate(
    scenario: Reference,
    settings: Settings,
    shown: Shown,
    parts: Annotated[str | None, typer.Option("--parts", help="names with commas; default all that apply")] = None,
    seeds: Seeds = 3,
    seed: Seed = 0,
    workers: AtOnce = None,
    ray_address: RayAddress = None,
    out: Again = None,
) -> None:
    """Switch each part of the world model off in turn: what is it worth?"""
    from scenarios.runs.experiment import begun
    from scenarios.studies import ablate as ablations

    names = parts.split(",") if parts else None
    experiment, skipped = ablations.ablation(scenario, settings.overrides(), range(seed, seed + seeds), names)
    folder = begun(out, experiment, "ablation", experiment.dump())
    results = _trials(experiment, folder, shown, workers, ray_address)
    result = ablations.summarised(experiment, results, skipped)
    _show(folder, "ablation", result, ablations.sheet(result, experiment.scenario.title), shown)


@app.command()
@grouped
def sweep(
    shown: Shown,
    scenario: Annotated[str | None, typer.Argument(metavar="SCENARIO", help="name or path; not with --resume")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE,VALUE", help="values of a field; may be repeated"),
    ] = None,
    random: Annotated[int | None, typer.Option("--random", min=1, help="points drawn from the grid")] = None,
    seeds: Seeds = 1,
    metric: Annotated[str, typer.Option("--metric", help="score beside the held-out one, which chooses")] = "union",
    config: Config = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    workers: AtOnce = None,
    ray_address: RayAddress = None,
    out: Again = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="folder of a sweep that was stopped")] = None,
) -> None:
    """Try all values of some fields together; rank them by held-out samples inside the federation."""
    from scenarios.runs.experiment import begun, planned
    from scenarios.studies import sweep as sweeps

    score, fields = sweeps.check_score(metric), alternatives(set_, config, data_dir)
    if resume is None and scenario is not None:
        plan = sweeps.Sweep.of(scenario, fields, random, range(seed, seed + seeds))
    elif resume is not None and scenario is None and not fields and out is None:
        plan = sweeps.Sweep.load(planned(resume, "sweep"))
    else:
        raise InputError("expected either SCENARIO with its settings, or --resume with the folder of a sweep alone")
    experiment = plan.experiment
    folder = begun(out or resume, experiment, "sweep", plan.dump())
    results = _trials(experiment, folder, shown, workers, ray_address)
    result = sweeps.summarised(plan, results)
    _show(folder, "sweep", result, sweeps.sheet(result, experiment.scenario.title, score), shown)


def _trials(
    experiment: "Experiment", folder: RunFolder, shown: Shown, workers: int | None, ray_address: str | None
) -> "list[Result]":
    """Run all trials of an experiment; whoever stops them is told how to go on."""
    from scenarios.runs.experiment import run

    try:
        with Silent() if shown.silent else Bars("trials") as progress:
            return run(experiment, folder, progress, workers, ray_address)
    except KeyboardInterrupt:
        print(
            f"what is finished is in {folder.path}; the same command with --out {folder.path} goes on", file=sys.stderr
        )
        raise


def _show(folder: RunFolder, name: str, result: dict[str, Any], sheet: "Sheet", shown: Shown) -> None:
    """Write what an experiment found, and print it."""
    folder.write_json(f"{name}.json", result)
    folder.write_text(f"{name}.html", sheet.render())
    print(json.dumps({**result, "out": str(folder.path)})) if shown.json_ else sheet.print(folder.path / f"{name}.html")
