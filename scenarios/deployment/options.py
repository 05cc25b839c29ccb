"""Arguments that several commands of deployments share."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="folder of the deployment")]
