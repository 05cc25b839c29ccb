"""What comes from the network is checked against what was asked, before any arithmetic."""

import re
from collections.abc import Collection, Mapping, Sequence

from federation.models import Size
from federation.models.family import FULL
from federation.phases.census import Census
from federation.tensors import Parameters
from federation.wire.contribution import EVERYWHERE, WEIGHT, Contribution
from server.bounds import Answer, declared
from server.phases import side
from server.phases.contract import Now

CENSUS = Census().name
COUNT = re.compile(r"(^|/)count(/|$)")
"""Name of a sum that counts samples in a chart, whose labels are not known beforehand."""


def check(contribution: Contribution, now: Now) -> None:
    """Refuse sums that do not fit what the phase of a round asks.

    Raises:
        ValueError: a sum is missing, of the wrong shape, or not finite; the text names the clients.
    """
    who, phase = "client " + ", ".join(map(str, contribution.clients[:3])), side(now.step.phase)
    if any(tensor.is_complex() for sums in contribution.sums.values() for tensor in sums.values()):
        raise ValueError(f"{who}: complex numbers in its sums")
    if not contribution.finite():
        raise ValueError(f"{who}: NaN or infinity in its sums")
    if strange := contribution.sums.keys() - phase.homes(now, contribution.clients):
        raise ValueError(f"{who}: sums of region {min(strange)}, may send them of its own alone")
    for region, sums in contribution.sums.items():
        sizes = _sizes(region, contribution.clients[0], now)
        options = [phase.answer(now, region, size) for size in sizes]
        misfits = min((_misfits(sums, expected) for expected in options), key=len)
        if misfits:
            name, got, shape = misfits[0]
            raise ValueError(f"{who}: {name} of region {region} is {got}, expected {list(shape)}")
        phase.check(now, who, sums, options[0])


def check_sender(
    clients: Sequence[int], nodes: Sequence[int], sender: int, node_of: Mapping[int, int], online: Collection[int]
) -> None:
    """Refuse a deployed node that speaks for another: each answers for one client, always the same.

    Only where its node has left may a client come from another one.

    Args:
        sender: the node that was asked.
        node_of: the node of each client that has answered before.
        online: nodes that are there.
    Raises:
        ValueError: the reply names several clients, another node, or somebody else's client.
    """
    if len(clients) != 1 or list(nodes) != [sender]:
        raise ValueError(f"node {sender}: answers for clients {list(clients)} of nodes {list(nodes)}, may for its own")
    (client,) = clients
    owner = node_of.get(client, sender)
    if owner != sender and owner in online:
        raise ValueError(f"node {sender}: answers for client {client}, which is node {owner}'s")
    if other := [number for number, node in node_of.items() if node == sender and number != client]:
        raise ValueError(f"node {sender}: answers for client {client}, but is client {other[0]}")


def check_counts(contribution: Contribution, now: Now, told: float | None) -> None:
    """Hold a deployed client to the number of samples that its census told; None where it told none.

    Raises:
        ValueError: it counts more: more to train on, or more with those that it holds out.
    """
    if told is None or now.step.phase.name == CENSUS:
        return
    for name, count in counted(contribution, now).items():
        weighs = name.startswith(f"{WEIGHT}/")
        if count > (told if weighs else told / (1 - now.scenario.held_out) + 1):
            what = "its model weighs" if weighs else f"{name} counts"
            raise ValueError(f"client {contribution.clients[0]}: {what} {count:g} samples, its census told {told:g}")


def counted(contribution: Contribution, now: Now) -> dict[str, float]:
    """The largest number of each sum that counts samples, by name."""
    found: dict[str, float] = {}
    for region, sums in contribution.sums.items():
        answer = side(now.step.phase).answer(now, region, FULL)
        for name, tensor in sums.items():
            if tensor.numel() and (declared(answer.get(name, ())).counts or COUNT.search(name)):
                found[name] = max(found.get(name, 0.0), float(tensor.max()))
    return found


def _sizes(region: int, client: int, now: Now) -> set[Size]:
    """The sizes of which a client's model may be: its own, or all of it, for a newcomer's own is not known yet."""
    if not now.step.phase.elastic or not EVERYWHERE <= region < len(now.state.sizes):
        return {FULL}
    return {now.state.size(region, client, now.scenario), FULL}


def _misfits(sums: Parameters, expected: Answer) -> list[tuple[str, object, tuple[int, ...]]]:
    """Name, shape (or nothing) and expected shape of each sum that does not fit."""
    got = {name: list(sums[name].shape) if name in sums else "nothing" for name in expected}
    wanted = {name: declared(asked).shape for name, asked in expected.items()}
    return [(name, got[name], shape) for name, shape in wanted.items() if got[name] != list(shape)]
