"""What a client holds, and what a whole simulated federation holds."""

import hashlib
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import overload

import numpy as np
import psutil
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from federation.data.preparation import Preparation
from federation.rules import InputError
from federation.tasks import Task

KEPT = psutil.virtual_memory().total // (8 * (os.cpu_count() or 1))
"""Bytes of samples made on demand that a process keeps: with one on each processor, an eighth of the memory."""

STEADY = "data.periods is set, but these data do not drift; leave it out or take another scenario"

UNKNOWN_CLIENT = -1
"""The client of a test sample that belongs to no client of the federation."""


@dataclass(frozen=True)
class Samples:
    """Inputs with their targets: class numbers, or real vectors."""

    inputs: Float[Tensor, "samples *shape"]
    targets: Int[Tensor, " samples"] | Float[Tensor, "samples outputs"]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.inputs.nbytes + self.targets.nbytes

    def take(self, index: NDArray[np.int64] | Tensor) -> "Samples":
        """The rows that `index` names, in its order."""
        rows = torch.as_tensor(index, dtype=torch.int64)
        return Samples(self.inputs[rows], self.targets[rows])

    def among(self, classes: Int[Tensor, " classes"] | None) -> "Samples":
        """The rows of some classes, which are in order, their targets counted among these; None: all as they are."""
        if classes is None:
            return self
        place = torch.searchsorted(classes, self.targets).clamp_max(len(classes) - 1)
        mine = classes[place] == self.targets
        return Samples(self.inputs[mine], place[mine])

    @staticmethod
    def concatenated(parts: Sequence["Samples"]) -> "Samples":
        """All rows of all parts, in order."""
        return Samples(torch.cat([p.inputs for p in parts]), torch.cat([p.targets for p in parts]))

    @staticmethod
    def none(task: Task) -> "Samples":
        """No samples of a task."""
        targets = (0,) if task.classifies else (0, task.outputs)
        return Samples(torch.zeros(0, *task.input_shape), torch.zeros(targets, dtype=task.target_dtype))


@dataclass(frozen=True)
class ClientData:
    """One client's private samples: to train on, held out inside the federation, and for its local test."""

    train: Samples
    held_out: Samples
    test: Samples

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.train.nbytes + self.held_out.nbytes + self.test.nbytes

    @property
    def digest(self) -> str:
        """SHA-256 of what it learns from."""
        return _digest([self.train, self.held_out])


@dataclass(frozen=True)
class Dataset:
    """Samples before they are distributed.

    `group` names the natural client of each training sample. `unit` names the piece that must not be torn between
    training and held-out samples (overlapping windows of one recording). A dataset that `leaks_unless_natural` refuses
    every other split. Test samples with a `test_group` that no client has are strangers. `domain` says what kind of
    region a training sample comes from, where that is known; it serves the report and never the training. `period`
    and `test_period`, where the data drift, number the time from 0 in which a sample is there. `preparation` is what
    has been done to a user's raw rows; a saved model does it to whatever it is asked.
    """

    task: Task
    train: Samples
    test: Samples
    group: NDArray[np.int64] | None = None
    test_group: NDArray[np.int64] | None = None
    unit: NDArray[np.int64] | None = None
    domain: NDArray[np.int64] | None = None
    domain_names: tuple[str, ...] = ()
    leaks_unless_natural: str = ""
    local_test: Samples | None = None
    local_test_group: NDArray[np.int64] | None = None
    period: NDArray[np.int64] | None = None
    test_period: NDArray[np.int64] | None = None
    preparation: Preparation = field(default_factory=Preparation)

    def during(self, periods: Sequence[int]) -> "Dataset":
        """What is there in these periods, training and test samples; all where there are none.

        Raises:
            InputError: the data have no periods, or not all of these.
        """
        if not periods:
            return self
        if self.period is None or self.test_period is None:
            raise InputError(STEADY)
        last = int(self.period.max())
        if not set(periods) <= set(range(last + 1)):
            raise InputError(f"data.periods={list(periods)}; expected numbers from 0 to {last}")
        now, asked = (np.flatnonzero(np.isin(when, periods)) for when in (self.period, self.test_period))

        def of(column: NDArray[np.int64] | None, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
            return None if column is None else column[rows]

        return replace(
            self,
            train=self.train.take(now),
            test=self.test.take(asked),
            group=of(self.group, now),
            test_group=of(self.test_group, asked),
            unit=of(self.unit, now),
            domain=of(self.domain, now),
            period=of(self.period, now),
            test_period=of(self.test_period, asked),
        )


@dataclass(frozen=True)
class Pool:
    """Clients whose samples are made or loaded when they are asked for, in whichever process asks.

    Attributes:
        client: a client's data from its number alone; partition.clients says how many there are.
        preparation: what is done to their raw rows.
    """

    task: Task
    client: Callable[[int], ClientData]
    union_test: Samples
    preparation: Preparation = field(default_factory=Preparation)

    def during(self, periods: Sequence[int]) -> "Pool":
        """Itself; a pool has no periods.

        Raises:
            InputError: some are asked for.
        """
        if periods:
            raise InputError(STEADY)
        return self


class Lazy(Sequence[ClientData]):
    """The clients of a pool. Those who were asked before are kept, at most `kept` bytes of them.

    So memory never follows the pool, and whoever is drawn once from a large one, most likely never to be asked again,
    takes nobody's place. Who makes room is drawn: where all are asked in turn, the last one asked would be the next.
    """

    def __init__(self, clients: int, make: Callable[[int], ClientData], kept: int = KEPT) -> None:
        self._clients, self._make, self._left = clients, make, kept
        self._held: dict[int, ClientData] = {}
        self._asked = np.zeros(clients, dtype=bool)
        self._order: list[int] = []
        self._draw = random.Random(0)

    def __len__(self) -> int:
        return self._clients

    @overload
    def __getitem__(self, number: int) -> ClientData: ...
    @overload
    def __getitem__(self, number: slice) -> list[ClientData]: ...
    def __getitem__(self, number: int | slice) -> ClientData | list[ClientData]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(self._clients))]
        if not 0 <= number < self._clients:
            raise IndexError(f"client {number} of a pool of {self._clients}")
        if number in self._held:
            return self._held[number]
        made = self._make(number)
        if self._asked[number]:
            self._keep(number, made)
        self._asked[number] = True
        return made

    def _keep(self, number: int, made: ClientData) -> None:
        while self._order and self._left < made.nbytes:
            place = self._draw.randrange(len(self._order))
            self._order[place], self._order[-1] = self._order[-1], self._order[place]
            self._left += self._held.pop(self._order.pop()).nbytes
        self._order.append(number)
        self._held[number] = made
        self._left -= made.nbytes


@dataclass(frozen=True)
class FederatedData:
    """A whole federation: clients, and one union test set with the client of each of its samples.

    `union_group` has the same number for union samples of the same source: a client, or a stranger. It says which
    samples belong together, and not to whom.
    """

    task: Task
    clients: Sequence[ClientData]
    union_test: Samples
    union_client: NDArray[np.int64]
    union_group: NDArray[np.int64]
    client_domain: NDArray[np.int64]
    domain_names: tuple[str, ...]
    preparation: Preparation = field(default_factory=Preparation)

    @cached_property
    def most_of_a_kind(self) -> int | None:
        """The most training samples of one class, or of real values, that a client has; None where they are made when
        they are asked."""
        if isinstance(self.clients, Lazy):
            return None
        if not self.task.classifies:
            return max(len(client.train) for client in self.clients)
        return max(int(client.train.targets.bincount().max()) for client in self.clients)

    @property
    def digest(self) -> str:
        """SHA-256 of all samples, in the order of clients; empty where clients are made when they are asked."""
        if isinstance(self.clients, Lazy):
            return ""
        return _digest([self.union_test, *(s for client in self.clients for s in (client.train, client.held_out))])


def _digest(parts: Sequence[Samples]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        for tensor in (part.inputs, part.targets):
            whole.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
            whole.update(np.ascontiguousarray(tensor.numpy()).data)
    return whole.hexdigest()
