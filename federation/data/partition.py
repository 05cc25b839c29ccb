"""How samples are distributed over clients. The splitting itself is flwr-datasets'."""

import io
import warnings
from abc import abstractmethod
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from federation.randomness import generator
from federation.rules import InputError, Rule

if TYPE_CHECKING:
    from flwr_datasets.partitioner import Partitioner

Rows = NDArray[np.int64]
ATTEMPTS = 20


class PartitionRule(Rule):
    """Contract: distribute `samples` rows over clients; every row goes to at most one client."""

    @abstractmethod
    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        """Rows of each client.

        Args:
            labels: class of each row; None for real-valued targets.
            groups: natural client of each row, where the data have one.
        Raises:
            InputError: more clients than samples, or data that lack what the rule needs.
        """


class _Counted(PartitionRule):
    clients: int = Field(default=20, ge=1)

    def _check(self, samples: int, labels: Rows | None, needs_labels: bool) -> None:
        if self.clients > samples:
            raise InputError(
                f"partition.clients={self.clients} is more than the {samples} samples; ask for fewer clients"
            )
        if needs_labels and labels is None:
            raise InputError(
                f"partition.kind={self.kind()} needs classes, the targets are real values; use iid or natural"
            )


class Iid(_Counted):
    """Every client draws from the same distribution."""

    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        self._check(samples, labels, needs_labels=False)
        from flwr_datasets.partitioner import IidPartitioner

        order = generator(seed, "partition").permutation(samples)
        return _rows(IidPartitioner(self.clients), order, order)


class Dirichlet(_Counted):
    """Label skew: each class is shared out by a draw from Dirichlet(alpha). Source: Yurochkin et al. (2019)."""

    alpha: float = Field(default=0.1, gt=0)
    min_samples: int = Field(default=10, ge=1)
    balanced: bool = Field(default=True, description="a client with more than its even share gets no further class")

    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        self._check(samples, labels, needs_labels=True)
        assert labels is not None
        from flwr_datasets.partitioner import DirichletPartitioner

        for attempt in range(ATTEMPTS):
            draw = int(generator(seed, "partition", attempt).integers(2**31))
            try:
                rule = DirichletPartitioner(
                    self.clients, "label", self.alpha, self.min_samples, self_balancing=self.balanced, seed=draw
                )
                return _rows(rule, labels)
            except ValueError:
                continue
        raise InputError(
            f"no Dirichlet({self.alpha}) split gives each of {self.clients} clients {self.min_samples} of the "
            f"{samples} samples; raise partition.alpha, or lower partition.clients or partition.min_samples"
        )


class Shards(_Counted):
    """Label skew: rows sorted by class are cut into equal shards, a few a client. Source: McMahan et al. (2017)."""

    shards: int = Field(default=2, ge=1)

    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        self._check(samples, labels, needs_labels=True)
        assert labels is not None
        if self.clients * self.shards > samples:
            raise InputError(f"{self.clients} clients x {self.shards} shards are more than the {samples} samples")
        from flwr_datasets.partitioner import ShardPartitioner

        draw = int(generator(seed, "partition").integers(2**31))
        return _rows(ShardPartitioner(self.clients, "label", num_shards_per_partition=self.shards, seed=draw), labels)


class Natural(PartitionRule):
    """The data say whose they are: a writer, a person, a machine. `within` cuts each group into several clients."""

    within: int = Field(default=1, ge=1)

    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        if groups is None:
            raise InputError(
                "partition.kind=natural needs data that name their clients (group_train); use iid or dirichlet"
            )
        if groups.min() < 0:
            raise InputError(f"clients are numbered from 0, got {groups.min()}; renumber the groups of the samples")
        from flwr_datasets.partitioner import NaturalIdPartitioner

        parts = sorted(_rows(NaturalIdPartitioner("label"), groups), key=lambda rows: int(groups[rows[0]]))
        if min(len(rows) for rows in parts) < self.within:
            raise InputError(f"partition.within={self.within} is more than the samples of the smallest group")
        draws = [generator(seed, "partition", int(groups[rows[0]])).permutation(rows) for rows in parts]
        return [np.sort(piece) for rows in draws for piece in np.array_split(rows, self.within)]


class OnDemand(_Counted):
    """The data function makes each client's samples when it is asked for: for pools far larger than memory."""

    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        raise InputError("partition.kind=on_demand needs a scenario that makes its clients' samples; use iid")


class Automatic(PartitionRule):
    """The natural clients where the data name them, else at most `clients` that draw from the same distribution."""

    clients: int = Field(default=10, ge=1)
    least: int = Field(default=1, ge=1, description="samples a client, of whom there are fewer for it; one remains")

    def split(self, samples: int, labels: Rows | None, groups: Rows | None, seed: int) -> list[Rows]:
        clients = self.clients if self.least == 1 else min(self.clients, max(1, samples // self.least))
        rule: PartitionRule = Iid(clients=clients) if groups is None else Natural()
        return rule.split(samples, labels, groups, seed)


def _rows(partitioner: "Partitioner", labels: Rows, order: Rows | None = None) -> list[Rows]:
    """Ask a flwr-datasets partitioner which rows each client gets, without its progress bars."""
    from datasets import Dataset as Table

    row = np.arange(len(labels)) if order is None else order
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        partitioner.dataset = Table.from_dict({"row": row, "label": labels})
        parts = [partitioner.load_partition(n) for n in range(partitioner.num_partitions)]
        return [np.sort(part.with_format("numpy")[:]["row"].astype(np.int64)) for part in parts]
