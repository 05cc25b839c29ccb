"""`manifold data check`: what is understood of one's own data before anything is trained."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Shown

from scenarios.commands.options import Json
from scenarios.commands.own_data import Client, Ignore, Kind, Label

if TYPE_CHECKING:
    from scenarios.runs.data_check import Understood

app = typer.Typer(no_args_is_help=True, help="One's own data.")


@app.callback()
def data() -> None:
    """One's own data."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="csv, jsonl, parquet, arrow, npz, or a folder")],
    label: Label = None,
    client: Client = None,
    task: Kind = None,
    ignore: Ignore = None,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object instead")] = False,
) -> int:
    """Say what a run would make of a file, and what looks suspicious in it. Status 2: a run would refuse it."""
    from scenarios.runs.data_check import checked

    found = checked(file, label or (), client, task, ignore or ())
    print(json.dumps(found.dump())) if json_ else _show(found)
    return 2 if found.problems else 0


@app.command()
def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder with a world model")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="as of training; npz with x_test and y_test")],
    label: Label = None,
    json_: Json = False,
) -> None:
    """Say how well a world model answers files of one's own, as a site does for itself: nothing leaves this machine."""
    from scenarios.runs.score import scored

    found = scored(run, files, label or ())
    if json_:
        print(json.dumps(found))
        return
    rows = [
        {"file": row["file"], "samples": row["samples"], found["metric"]: row["score"], **row["measures"]}
        | {"constant alone": row["floor"]["score"]}
        for row in found["files"]
    ]
    console = Console()
    _table(console, "each file by itself", list(dict.fromkeys(name for row in rows for name in row)), rows)
    if found["mean"] is not None:
        console.print(f"mean {found['mean']:.4f}, worst decile {found['worst_decile']:.4f}")


def _show(found: "Understood") -> None:
    console = Console()
    console.print(f"{found.name}: {found.rows:,} rows, {found.task or 'unclear'}", markup=False, highlight=False)
    _table(
        console,
        "columns",
        ("name", "kind", "missing", "values", "mean", "std", "min", "max"),
        found.columns,
    )
    for title, counts in (("class", found.classes), ("client", found.clients)):
        most = sorted(counts.items(), key=lambda item: -item[1])
        shown = [{title: name, "rows": rows} for name, rows in most[:SHOWN]]
        _table(
            console,
            f"{len(counts)} {title}es" if title == "class" else f"{len(counts)} clients",
            (title, "rows"),
            shown,
        )
    amounts = [{"label": name, **each} for name, each in found.amounts.items()]
    _table(console, "amounts", ("label", "mean", "std", "min", "max"), amounts)
    for word, lines in (("suspicious", found.suspicious), ("error", found.problems)):
        for line in lines:
            console.print(f"{word}: {line}", markup=False, highlight=False, soft_wrap=True)


SHOWN = 30
"""Rows of a table that are printed; --json tells all."""


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Shown(
        title=title if len(rows) <= SHOWN else f"{title}, the first {SHOWN} of {len(rows):,}", title_justify="left"
    )
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", overflow="fold")
    for row in rows[:SHOWN]:
        cells = (row.get(column, "") for column in columns)
        table.add_row(*(escape(f"{cell:.6g}" if isinstance(cell, float) else str(cell)) for cell in cells))
    console.print(table)
