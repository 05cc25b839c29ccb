"""Options that commands share: how a scenario's fields and its data are named."""

from pathlib import Path
from typing import Annotated

import typer

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="override a field; may be repeated")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of overrides")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder of npz files (or MANIFOLD_DATA)")]
OneMethod = Annotated[
    str | None, typer.Option("--method", help="run this method, such as fedavg, in place of the scenario's phases")
]
MethodRounds = Annotated[
    int | None, typer.Option("--rounds", min=1, help="of --method; default those of gradient steps in the scenario")
]
