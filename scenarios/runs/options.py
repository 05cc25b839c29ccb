"""Options that commands share: how a scenario's fields and its data are named."""

from pathlib import Path
from typing import Annotated

import typer

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="override a field; may be repeated")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of overrides")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder of npz files (or MANIFOLD_DATA)")]
