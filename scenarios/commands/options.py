"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from scenarios.runs.engines import Kind

Reference = Annotated[str, typer.Argument(metavar="SCENARIO", help="name of a scenario, or path of a scenario file")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="number of seeds")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="first seed")]
Out = Annotated[Path | None, typer.Option("--out", help="new folder for the results (default runs/SCENARIO-TIME)")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output, and nothing else there")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="MODULE:FUNCTION", help="measure by this, too: f(targets, answers) is a number"),
]
Minutes = Annotated[
    float | None, typer.Option("--minutes", min=0.1, help="cut rounds and searches until the predicted time fits")
]
Until = Annotated[
    Literal["stable"] | None,
    typer.Option(
        "--until", help="stable: experts are trained until their regions come to rest, for 100 rounds at most"
    ),
]
Which = Annotated[Kind, typer.Option("--engine", help="cohort: many clients at once; serial: one after another")]
NumberOfWorkers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Ray processes; default one a processor, 0 for none but this one")
]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="Ray cluster to join; default a private one")]
