"""Raw rows of one place, in a user's units: what they tell to be prepared, and the samples that they then are."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from federation.data.preparation import Preparation
from federation.data.samples import Dataset, Samples
from federation.data.spread import Spread
from federation.data.summary import Summary
from federation.data.targets import Kind, amounts_of, check_varied, classes_of, learned, task_of
from federation.randomness import generator
from federation.rules import InputError
from federation.tasks import Task

Rows = NDArray[np.int64]

FEWEST = 3
"""Rows of a table, at least: two to train on and one to test."""


class Raw(ABC):
    """Contract: rows that are not yet prepared, numbered from 0.

    Attributes:
        name: what messages call them; `label` their targets.
        labels: the target of each, numbers or text; [rows, values] of several.
        clients: the name of each row's client, where they name it.
    """

    name: str
    label: str
    clients: NDArray[Any] | None

    @cached_property
    @abstractmethod
    def labels(self) -> NDArray[Any]: ...

    @abstractmethod
    def told(self, rows: Rows) -> dict[str, Any]:
        """The fields of a `Summary` that tell of the inputs of some rows.

        Raises:
            InputError: they cannot be read.
        """

    @abstractmethod
    def inputs(self, preparation: Preparation, rows: Rows) -> Tensor:
        """Some rows, prepared.

        Raises:
            InputError: they are not of the kind that the preparation was made for.
        """

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def all(self) -> Rows:
        """The numbers of all rows."""
        return np.arange(len(self))

    def kind(self, wanted: Kind | None) -> Kind:
        """What the targets are, or, where nothing is wanted, look like.

        Raises:
            InputError: one is missing, or they may be either.
        """
        return task_of(self.labels, wanted, self.label)

    def summary(self, kind: Kind, rows: Rows) -> Summary:
        """What is told of some rows.

        Raises:
            InputError: they cannot be read, or learned.
        """
        values = self.labels[rows]
        if kind == "classification":
            return Summary(kind=kind, classes=classes_of(values, self.label), **self.told(rows))
        return Summary(kind=kind, amounts=Spread.of(amounts_of(values, self.label), self.label), **self.told(rows))

    def samples(self, preparation: Preparation, task: Task, rows: Rows) -> Samples:
        """Some rows as models take them.

        Raises:
            InputError: they do not fit the preparation, or are no samples of the task.
        """
        inputs = self.inputs(preparation, rows)
        if (shape := tuple(inputs.shape[1:])) != task.input_shape:
            raise InputError(f"{self.name} has samples of {list(shape)}, training samples are {list(task.input_shape)}")
        return Samples(inputs, learned(self.labels[rows], preparation, self.label))


def prepared(train: Raw, test: Raw | None, wanted: Kind | None, share: float, limit: int | None) -> Dataset:
    """Samples that are prepared as the training rows say.

    Args:
        test: rows to test on; without them a share of the others is held out, the same for all seeds.
        wanted: whether targets are classes or amounts; None: what they look like.
        limit: at most so many training rows, drawn.
    Raises:
        InputError: the rows do not hold what they should.
    """
    kind, asked = train.kind(wanted), test or train
    if test is None:
        kept, aside = apart(train.labels if kind == "classification" else None, len(train), share, train.name)
    else:
        kept, aside = train.all, test.all
    if limit is not None and limit < len(kept):
        kept = np.sort(generator(0, "limit").permutation(kept)[:limit])
    summary = train.summary(kind, kept)
    preparation = summary.preparation(train.label)
    if kind == "regression":
        check_varied(asked.labels[aside], asked.label)
    owner, visitor = _clients(train, asked)
    task = summary.task(preparation)
    return Dataset(
        task=task,
        train=train.samples(preparation, task, kept),
        test=asked.samples(preparation, task, aside),
        group=None if owner is None else owner[kept],
        test_group=None if visitor is None else visitor[aside],
        unit=_pieces(len(kept), None if owner is None else owner[kept]),
        preparation=preparation,
    )


def apart(classes: NDArray[Any] | None, rows: int, share: float, name: str) -> tuple[Rows, Rows]:
    """Rows to train on, and those held out to test, in their order; the first row of each class is trained on.

    Raises:
        InputError: there are too few.
    """
    if rows < FEWEST:
        raise InputError(f"{name} has {rows} rows; expected {FEWEST} or more, to train and to test")
    order = generator(0, "own test").permutation(rows)
    first = np.zeros(0, dtype=np.int64) if classes is None else np.unique(classes[order], return_index=True)[1]
    free = np.delete(order, first)
    tested = free[: max(1, round(share * rows))] if len(free) else order[:1]
    return np.setdiff1d(np.arange(rows), tested), np.sort(tested)


def neighbours(rows: int, pieces: int = 20) -> Rows:
    """The number of each row's piece, of rows that follow one another. They are held out together: neighbours in a file
    are often neighbours in time, and one tells what the other is."""
    return np.arange(rows) // max(1, rows // pieces)


def _pieces(rows: int, owner: Rows | None) -> Rows:
    """The same by client, as each would cut its own rows; of rows that are dealt out, as for ten clients."""
    if owner is None:
        return neighbours(rows, 200)
    counts = np.bincount(owner)
    unit = np.empty(rows, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    unit[np.argsort(owner, kind="stable")] = np.concatenate(
        [start + neighbours(count) for start, count in zip(starts.tolist(), counts.tolist(), strict=True)]
    )
    return unit


def _clients(train: Raw, asked: Raw) -> tuple[Rows | None, Rows | None]:
    """The number of each row's client, of both; of the second, where it names them."""
    if train.clients is None:
        return None, None
    both = [train.clients, *([asked.clients] if asked is not train and asked.clients is not None else [])]
    numbered = np.unique(np.concatenate(both), return_inverse=True)[1].astype(np.int64)
    owner = numbered[: len(train)]
    return owner, owner if asked is train else numbered[len(train) :] if len(both) == 2 else None
