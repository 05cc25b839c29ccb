"""What commands are told of a user's own data: `--data FILE --label COLUMN` in place of a scenario's name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from federation.rules import InputError

OWN = "own"
"""The scenario of one's own data."""

Scenario = Annotated[
    str | None, typer.Argument(metavar="[SCENARIO]", help="name of a scenario, or path of a scenario file; or --data")
]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="COLUMN", help="what is to be learned; repeated for several values"),
]
Client = Annotated[
    str | None, typer.Option("--client", metavar="COLUMN", help="whose a row is; else rows are dealt out")
]
Kind = Annotated[
    Literal["classification", "regression"] | None,
    typer.Option("--task", help="whether labels are classes or amounts, where they may be either"),
]
Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="a column not to learn from; may be repeated")
]


@dataclass(frozen=True)
class OwnData:
    """A user's own data, and what their columns are."""

    data: Annotated[
        Path | None,
        typer.Option("--data", help="your own data: csv, jsonl, parquet, arrow, npz, or a folder (of images)"),
    ] = None
    label: Label = None
    client: Client = None
    task: Kind = None
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="FILE|SHARE", help="a file to test on, or a share to hold out [0.2]"),
    ] = None
    ignore: Ignore = None

    def named(self, scenario: str | None) -> str:
        """The scenario that is run: the one that is named, or that of one's own data.

        Raises:
            InputError: both are given, or neither.
        """
        if (scenario is None) == (self.data is None) and scenario != OWN:
            raise InputError("expected either SCENARIO, or --data with a file of your own and --label with its column")
        return scenario or OWN

    def overrides(self) -> dict[str, Any]:
        """The fields of a scenario that say the same.

        Raises:
            InputError: a test is neither a file nor a share between 0 and 1.
        """
        fields: dict[str, Any] = {
            "label": self.label, "client": self.client, "task": self.task, "ignore": self.ignore
        }  # fmt: skip
        fields["path"] = None if self.data is None else str(self.data)
        if self.test is not None:
            try:
                fields["test_share"] = float(self.test)
            except ValueError:
                fields["test"] = self.test
            if not 0 < fields.get("test_share", 0.5) < 1:
                raise InputError(f"--test {self.test}: expected a file, or a share between 0 and 1 such as 0.2")
        return {f"data.{name}": value for name, value in fields.items() if value}
