"""One table and one picture: how an experiment is shown, in the terminal and as a self-contained HTML page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios.reports.report import page

TEMPLATE = "sheet.html.j2"


@dataclass(frozen=True)
class Column:
    """A column's name, and whether it holds numbers."""

    name: str
    number: bool = True


@dataclass(frozen=True)
class Sheet:
    """What is shown of an experiment; all cells are text."""

    heading: str
    about: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    picture: str
    caption: str
    notes: Sequence[str]
    titles: Mapping[str, str] = field(default_factory=dict)
    """What the names in the first column mean."""

    def render(self) -> str:
        """One HTML page that needs nothing else."""
        return page(TEMPLATE, sheet=self, picture=Markup(self.picture))

    def print(self, file: Path) -> None:
        """The table on the terminal, and where the page is."""
        console, table = Console(), Table(title=self.heading, title_justify="left")
        for column in self.columns:
            table.add_column(column.name, justify="right" if column.number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*map(escape, row))
        console.print(table)
        console.print(self.about, markup=False, highlight=False, soft_wrap=True)
        for line in [*(f"{name}: {title}" for name, title in self.titles.items()), *self.notes]:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print(f"report: {file}")


def interval(row: Mapping[str, Any], text: Callable[[float], str]) -> str:
    """A mean with its 95 % interval, where it has one; the unit is said once."""
    mean, between, ends = text(row["mean"]), ",\u00a0", [text(end).removesuffix("\u00a0%") for end in row["ci95"] or ()]
    return mean + (f" [{between.join(ends)}]" if ends else "")
