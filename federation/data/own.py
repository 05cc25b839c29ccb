"""A data set of one's own from a table: which column is what, and its rows as samples that models take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.arrays import ArrayRows
from federation.data.columns import encode, kind_of, numbers, strings, summed
from federation.data.npz import read_npz
from federation.data.pictures import is_image, pictures
from federation.data.preparation import Preparation
from federation.data.raw import FEWEST, Raw, Rows, prepared
from federation.data.samples import Dataset
from federation.data.tables import Table, opened
from federation.data.targets import Kind
from federation.rules import InputError


@dataclass(frozen=True)
class Meaning:
    """What the columns of a table are.

    Attributes:
        label: what is to be learned: one column, or several of amounts.
        client: whose each row is; None: rows are dealt out.
        task: whether labels are classes or amounts; None: what they look like.
        ignore: columns that are not looked at.
    """

    label: Sequence[str]
    client: str | None = None
    task: Kind | None = None
    ignore: Sequence[str] = ()

    def inputs(self, table: Table) -> list[str]:
        """The columns that are learned from; one of images alone, where there is one.

        Raises:
            InputError: a column that is named is not there, or none is left.
        """
        named = [*self.label, *([self.client] if self.client else []), *self.ignore]
        if not self.label:
            raise InputError(f"{table.name}: say by --label which column is to be learned: {', '.join(table.columns)}")
        for column in named:
            table.check(column)
        left = [name for name in table.columns if name not in named]
        if not left:
            raise InputError(f"{table.name} has no column beside {', '.join(named)}; nothing is there to learn from")
        return [name for name in left if is_image(table.columns[name])][:1] or left


@dataclass(frozen=True)
class TableRows(Raw):
    """Rows of a table.

    Attributes:
        columns: those that are learned from; rows to test on need none, their preparation names them.
    """

    table: Table
    meaning: Meaning
    columns: Sequence[str] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.table.name

    @property
    def label(self) -> str:  # type: ignore[override]
        return f"{self.name}, column {', '.join(self.meaning.label)}"

    @cached_property
    def labels(self) -> NDArray[Any]:
        return labels(self.table, self.meaning.label)

    @cached_property
    def clients(self) -> NDArray[Any] | None:  # type: ignore[override]
        client = self.meaning.client
        return None if client is None or client not in self.table.columns else client_names(self.table, client)

    def told(self, rows: Rows) -> dict[str, Any]:
        if self._pictured:
            return {"shape": self._pixels(rows[:1]).shape[1:]}
        return {"columns": summed(self.columns, _taken(self.table, self.columns, rows), self.name)}

    def inputs(self, preparation: Preparation, rows: Rows) -> Tensor:
        if not preparation.columns:
            return preparation.inputs(self._pixels(rows))
        out, first = np.empty((len(rows), *preparation.shape(())), dtype=np.float32), 0
        for piece, numbered in _taken(self.table, [column.name for column in preparation.columns], rows):
            out[first : first + piece.num_rows] = encode(preparation.columns, piece, self.name, numbered)
            first += piece.num_rows
        pa.default_memory_pool().release_unused()
        return torch.from_numpy(out)

    @property
    def _pictured(self) -> bool:
        return is_image(self.table.columns[self.columns[0]])

    def _pixels(self, rows: Rows) -> NDArray[np.uint8]:
        name = next(name for name, kind in self.table.columns.items() if is_image(kind))
        return pictures(self.table.column(name).take(pa.array(rows)), rows, f"{self.name}, column {name!r}")


def opened_rows(path: Path, meaning: Meaning, part: Literal["train", "test"] = "train") -> Raw:
    """The rows of a file: of a table, or of one part of an npz file.

    Raises:
        InputError: it cannot be read, or lacks what it should hold.
    """
    if path.suffix.lower() == ".npz":
        return ArrayRows.of(read_npz(path, (f"x_{part}", f"y_{part}")), path.name, part)
    table = opened(path, (*meaning.label, *([meaning.client] if meaning.client else [])))
    return TableRows(table, meaning, meaning.inputs(table) if part == "train" else ())


def of_table(
    table: Table, meaning: Meaning, test: Table | None = None, share: float = 0.2, limit: int | None = None
) -> Dataset:
    """Samples of a table whose columns are prepared as its training rows say.

    Args:
        test: rows to test on; without them a share of the table is held out, the same for all seeds.
        limit: at most so many training rows, drawn.
    Raises:
        InputError: the table does not hold what it should.
    """
    columns = meaning.inputs(table)
    asked = None if test is None else TableRows(test, meaning)
    return prepared(TableRows(table, meaning, columns), asked, meaning.task, share, limit)


def labels(table: Table, columns: Sequence[str]) -> NDArray[Any]:
    """What is to be learned, as numbers, text, or true and false; [rows, columns] of several.

    Raises:
        InputError: a label is missing, or of no kind that can be learned.
    """
    if len(table) == 0:
        raise InputError(f"{table.name} has column names and no rows; expected {FEWEST} or more")
    found = []
    for column in columns:
        values = table.column(column).combine_chunks()
        if (absent := np.flatnonzero(np.asarray(values.is_null(nan_is_null=True)))).size:
            raise InputError(
                f"{table.name}: column {column!r} is missing or NaN in {absent.size} rows, the first is row "
                f"{absent[0] + 1}; leave such rows out"
            )
        text = pa.types.is_dictionary(values.type) or "string" in str(values.type)
        if text:
            found.append(strings(values))
        elif pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
            found.append(values.to_numpy(zero_copy_only=False))
        elif kind_of(values.type, column, table.name) == "date":
            raise InputError(f"{table.name}: column {column!r} holds dates; expected classes or amounts to learn")
        else:
            found.append(numbers(values, column, table.name))
    if len(found) > 1 and any(values.dtype.kind not in "fiu" for values in found):
        raise InputError(
            f"{table.name}: {', '.join(columns)} are not all numbers; one label of classes, or amounts only"
        )
    return found[0] if len(found) == 1 else np.stack([values.astype(np.float64) for values in found], 1)


def _taken(table: Table, names: Sequence[str], rows: Rows) -> Iterator[tuple[pa.RecordBatch, Rows]]:
    """Some rows by pieces, in order, each piece with the numbers of its rows."""
    for piece, numbered in table.numbered(names):
        inside = slice(*np.searchsorted(rows, [numbered[0], numbered[-1] + 1]))
        if inside.start < inside.stop:
            yield piece.take(pa.array(rows[inside] - numbered[0])), rows[inside]


def client_names(table: Table, client: str) -> NDArray[Any]:
    """The name of each row's client.

    Raises:
        InputError: one has none.
    """
    values = table.column(client).combine_chunks()
    if (absent := np.flatnonzero(np.asarray(values.is_null()))).size:
        raise InputError(f"{table.name}: column {client!r} is empty in row {absent[0] + 1}; each row needs its client")
    return strings(values)
