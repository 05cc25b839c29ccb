"""How a data set is distributed over the clients of a federation."""

import numpy as np
from numpy.typing import NDArray

from federation.data.partition import Natural, OnDemand, PartitionRule
from federation.data.samples import UNKNOWN_CLIENT, ClientData, Dataset, FederatedData, Lazy, Pool, Samples
from federation.randomness import generator
from federation.rules import InputError


def federate(dataset: Dataset | Pool, rule: PartitionRule, held_out: float, seed: int) -> FederatedData:
    """Distribute a dataset over clients, or open a pool of clients that are made on demand.

    Args:
        held_out: share of each client's training samples kept for decisions inside the federation.
    Raises:
        InputError: the rule would leak, or leaves a client without samples.
    """
    if isinstance(dataset, Pool):
        return _opened(dataset, rule)
    if dataset.leaks_unless_natural and not isinstance(rule, Natural):
        raise InputError(
            f"partition.kind={rule.kind()} leaks: {dataset.leaks_unless_natural}; use partition.kind=natural"
        )
    labels = dataset.train.targets.numpy() if dataset.task.classifies else None
    parts = rule.split(len(dataset.train), labels, dataset.group, seed)
    owner, tests = _test_owners(dataset, parts, seed)
    clients = []
    for number, rows in enumerate(parts):
        kept, aside = divided(rows, dataset.unit, held_out, seed, number)
        if len(kept) == 0:
            raise InputError(f"client {number} has no samples to train on; ask for fewer clients or hold out less")
        clients.append(ClientData(dataset.train.take(kept), dataset.train.take(aside), tests[number]))
    domain = np.zeros(len(dataset.train), dtype=np.int64) if dataset.domain is None else dataset.domain
    client_domain = np.array([np.bincount(domain[rows]).argmax() for rows in parts], dtype=np.int64)
    group, names = _groups(owner, dataset.test_group, len(parts)), dataset.domain_names or ("all",)
    return FederatedData(dataset.task, clients, dataset.test, owner, group, client_domain, names, dataset.preparation)


def _opened(pool: Pool, rule: PartitionRule) -> FederatedData:
    if not isinstance(rule, OnDemand):
        raise InputError(f"partition.kind={rule.kind()}, but this scenario makes its own clients; use on_demand")
    owner = np.full(len(pool.union_test), UNKNOWN_CLIENT, dtype=np.int64)
    domain = np.zeros(rule.clients, dtype=np.int64)
    clients = Lazy(rule.clients, pool.client)
    return FederatedData(pool.task, clients, pool.union_test, owner, owner, domain, ("all",), pool.preparation)


def divided(
    rows: NDArray[np.int64], unit: NDArray[np.int64] | None, share: float, seed: int, number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a client's rows into kept and held out, whole units together; at least one row is kept."""
    units = np.arange(len(rows)) if unit is None else unit[rows]
    names = generator(seed, "hold out", number).permutation(np.unique(units))
    aside = np.isin(units, names[: min(round(share * len(names)), len(names) - 1)])
    return rows[~aside], rows[aside]


def _test_owners(
    dataset: Dataset, parts: list[NDArray[np.int64]], seed: int
) -> tuple[NDArray[np.int64], list[Samples]]:
    """Which client each union test sample belongs to, and each client's local test."""
    owner = _owners_like(dataset, parts, dataset.test, dataset.test_group, seed)
    local, whose = dataset.test, owner
    if dataset.local_test is not None:
        local = dataset.local_test
        whose = _owners_like(dataset, parts, local, dataset.local_test_group, seed)
    return owner, [local.take(np.flatnonzero(whose == number)) for number in range(len(parts))]


def _groups(owner: NDArray[np.int64], test_group: NDArray[np.int64] | None, clients: int) -> NDArray[np.int64]:
    """The client of each union sample; strangers are numbered after the clients, where the data tell them apart."""
    if test_group is None:
        return owner
    return np.where(owner == UNKNOWN_CLIENT, clients + np.unique(test_group, return_inverse=True)[1], owner)


def _owners_like(
    dataset: Dataset, parts: list[NDArray[np.int64]], test: Samples, test_group: NDArray[np.int64] | None, seed: int
) -> NDArray[np.int64]:
    """Share out test samples as the training samples of the same natural group and class were shared out."""
    grouped = dataset.group is not None and test_group is not None
    group = dataset.group if grouped and dataset.group is not None else np.zeros(len(dataset.train), dtype=np.int64)
    asked = test_group if grouped and test_group is not None else np.zeros(len(test), dtype=np.int64)
    classifies = dataset.task.classifies
    label = dataset.train.targets.numpy() if classifies else np.zeros_like(group)
    tested = test.targets.numpy() if classifies else np.zeros_like(asked)
    owner = np.full(len(test), UNKNOWN_CLIENT, dtype=np.int64)
    draw = generator(seed, "test owners")
    for home, kind in np.unique(np.stack([asked, tested]), axis=1).T:
        rows = draw.permutation(np.flatnonzero((asked == home) & (tested == kind)))
        held = np.array([((group[part] == home) & (label[part] == kind)).sum() for part in parts], dtype=np.float64)
        if held.sum() == 0:
            held = np.array([(group[part] == home).sum() for part in parts], dtype=np.float64)
        if held.sum() > 0:
            ends = np.rint(np.cumsum(held / held.sum()) * len(rows)).astype(np.int64)
            for number, piece in enumerate(np.split(rows, ends[:-1])):
                owner[piece] = number
    return owner
