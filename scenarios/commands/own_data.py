"""What commands are told of a user's own data: `--data FILE --label COLUMN` in place of a scenario's name."""

import inspect
import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from federation.rules import InputError

OWN = "own"
"""The scenario of one's own data."""

Scenario = Annotated[
    str | None, typer.Argument(metavar="[SCENARIO]", help="name of a scenario, or path of a scenario file; or --data")
]
Data = Annotated[
    Path | None, typer.Option("--data", help="your own data: csv, jsonl, parquet, arrow, npz, or a folder (of images)")
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
Test = Annotated[
    str | None, typer.Option("--test", metavar="FILE|SHARE", help="a file to test on, or a share to hold out [0.2]")
]
Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="a column not to learn from; may be repeated")
]
OPTIONS = {
    "data": Data, "label": Label, "client": Client, "task": Kind, "test": Test, "ignore": Ignore
}  # fmt: skip


def of_own_data(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of one's own data, which become settings of the scenario `own`."""

    @wraps(command)
    def told(scenario: str | None = None, **options: Any) -> None:
        own = {name: options.pop(name) for name in OPTIONS}
        fields = settings(**own)
        if (scenario is None) == (own["data"] is None) and scenario != OWN:
            raise InputError("expected either SCENARIO, or --data with a file of your own and --label with its column")
        written = [f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in fields.items()]
        command(scenario or OWN, **options | {"set_": [*(options["set_"] or []), *written]})

    signature = inspect.signature(command)
    first, *rest = signature.parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in OPTIONS.items()
    ]
    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in rest]
    told.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first.replace(annotation=Scenario, default=None), *added, *keyword]
    )
    told.__annotations__ = {**command.__annotations__, **OPTIONS, first.name: Scenario}
    return told


def settings(
    data: Path | None,
    label: list[str] | None,
    client: str | None,
    task: str | None,
    test: str | None,
    ignore: list[str] | None,
) -> dict[str, Any]:
    """The fields of a scenario that say the same.

    Raises:
        InputError: a test is neither a file nor a share between 0 and 1.
    """
    fields: dict[str, Any] = {"label": label, "client": client, "task": task, "ignore": ignore}
    fields["path"] = None if data is None else str(data)
    if test is not None:
        try:
            fields["test_share"] = float(test)
        except ValueError:
            fields["test"] = test
        if not 0 < fields.get("test_share", 0.5) < 1:
            raise InputError(f"--test {test}: expected a file, or a share between 0 and 1 such as 0.2")
    return {f"data.{name}": value for name, value in fields.items() if value}
