"""A data set of one's own from a table: which column is what, and its rows as samples that models take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.arrays import FEWEST, Rows, apart, assembled, preparation_of
from federation.data.columns import encode, fitted, kind_of, numbers, strings, summed
from federation.data.pictures import is_image, pictures
from federation.data.preparation import Preparation
from federation.data.samples import Dataset
from federation.data.tables import Table
from federation.data.targets import Kind, prepared, task_of
from federation.randomness import generator
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
    inputs, y = meaning.inputs(table), labels(table, meaning.label)
    name = f"{table.name}, column {', '.join(meaning.label)}"
    kind = task_of(y, meaning.task, name)
    if test is None:
        train, aside = apart(y if kind == "classification" else None, len(y), share, table.name)
        asked, answers, where = table, y[aside], name
    else:
        train, asked, answers, where = np.arange(len(y)), test, labels(test, meaning.label), test.name
        aside = np.arange(len(answers))
    if limit is not None and limit < len(train):
        train = np.sort(generator(0, "limit").permutation(train)[:limit])
    targets = prepared(y[train], answers, kind, (name, where))
    owner, visitor = _clients(table, asked, meaning.client)
    parts = ((table, train), (asked, aside))
    found = _pictured(parts, inputs[0]) if is_image(table.columns[inputs[0]]) else _tabulated(parts, inputs)
    return assembled(
        *found, targets, None if owner is None else owner[train], None if visitor is None else visitor[aside]
    )


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


def _tabulated(parts: Sequence[tuple[Table, Rows]], names: Sequence[str]) -> tuple[Preparation, tuple[Tensor, Tensor]]:
    """Rows of a table, encoded as its training rows say."""
    (table, train), _ = parts
    columns = fitted(summed(names, _taken(table, names, train), table.name), table.name)
    kept = [column.name for column in columns]
    encoded = []
    for source, rows in parts:
        out = np.empty((len(rows), sum(column.width for column in columns)), dtype=np.float32)
        first = 0
        for piece, numbered in _taken(source, kept, rows):
            out[first : first + piece.num_rows] = encode(columns, piece, source.name, numbered)
            first += piece.num_rows
        encoded.append(torch.from_numpy(out))
    pa.default_memory_pool().release_unused()
    return Preparation(columns=columns), (encoded[0], encoded[1])


def _taken(table: Table, names: Sequence[str], rows: Rows) -> Iterator[tuple[pa.RecordBatch, Rows]]:
    """Some rows by pieces, in order, each piece with the numbers of its rows."""
    for piece, numbered in table.numbered(names):
        inside = slice(*np.searchsorted(rows, [numbered[0], numbered[-1] + 1]))
        if inside.start < inside.stop:
            yield piece.take(pa.array(rows[inside] - numbered[0])), rows[inside]


def _pictured(parts: Sequence[tuple[Table, Rows]], name: str) -> tuple[Preparation, tuple[Tensor, Tensor]]:
    """Images of a table, as bytes -1..1."""
    train, test = (
        pictures(table.column(name).take(pa.array(rows)), rows, f"{table.name}, column {name!r}")
        for table, rows in parts
    )
    if train.shape[1:] != test.shape[1:]:
        raise InputError(f"test images are {list(test.shape[1:])}, training images {list(train.shape[1:])}")
    preparation = preparation_of(train)
    return preparation, (preparation.inputs(train), preparation.inputs(test))


def _clients(table: Table, asked: Table, client: str | None) -> tuple[Rows | None, Rows | None]:
    """The number of each row's client, in both tables; of the second, where it names them."""
    if client is None:
        return None, None
    names = [
        client_names(each, client)
        for each in (table, *([asked] if asked is not table and client in asked.columns else []))
    ]
    numbered = np.unique(np.concatenate(names), return_inverse=True)[1].astype(np.int64)
    owner = numbered[: len(names[0])]
    visitor = numbered[len(names[0]) :] if len(names) == 2 else owner if asked is table else None
    return owner, visitor


def client_names(table: Table, client: str) -> NDArray[Any]:
    """The name of each row's client.

    Raises:
        InputError: one has none.
    """
    values = table.column(client).combine_chunks()
    if (absent := np.flatnonzero(np.asarray(values.is_null()))).size:
        raise InputError(f"{table.name}: column {client!r} is empty in row {absent[0] + 1}; each row needs its client")
    return strings(values)
