"""Arguments that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from scenarios.runs.options import Seed, Settings

Reference = Annotated[str, typer.Argument(metavar="SCENARIO", help="name of a scenario, or path of a scenario file")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="number of seeds")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output, and nothing else there")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="MODULE:FUNCTION", help="measure by this, too: f(targets, answers) is a number"),
]
Minutes = Annotated[
    float | None, typer.Option("--minutes", min=0.1, help="cut rounds and searches until the predicted time fits")
]
NumberOfWorkers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Ray processes; default one a processor, 0 for none but this one")
]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="Ray cluster to join; default a private one")]


@dataclass(frozen=True)
class Shown:
    """How a run tells of itself."""

    json_: Json = False
    quiet: Quiet = False

    @property
    def silent(self) -> bool:
        """Whether no progress is shown."""
        return self.quiet or self.json_


@dataclass(frozen=True)
class Running(Settings):
    """What a job is run with, and where its results go."""

    seed: Seed = 0
    engine: Annotated[
        Literal["cohort", "serial"],
        typer.Option("--engine", help="cohort: many clients at once; serial: one after another"),
    ] = "cohort"
    workers: NumberOfWorkers = None
    ray_address: RayAddress = None
    out: Annotated[
        Path | None, typer.Option("--out", help="new folder for the results (default runs/SCENARIO-TIME)")
    ] = None

    def fields(self, scenario: str) -> dict[str, Any]:
        """What each `scenarios.commands.jobs.Job` is made with."""
        return {
            "reference": scenario,
            "overrides": self.overrides(),
            "seed": self.seed,
            "engine": self.engine,
            "workers": self.workers,
            "ray_address": self.ray_address,
        }
