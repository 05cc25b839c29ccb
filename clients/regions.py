"""A client whose samples lie in several regions answers for each of them as if it were a client of its own there."""

from collections.abc import Sequence
from dataclasses import replace

from clients.member import Member
from federation.phases.responsibility import HELD_OUT, TRAIN
from federation.tensors import under
from federation.wire.records import Order


def by_region(orders: Sequence[Order], cohort: Sequence[Member]) -> tuple[list[Order], list[Member], list[list[int]]]:
    """An order and a member for each region of each member, who holds its samples there; and the rows of each member
    among them."""
    told: dict[tuple[int, int], Order] = {}  # an order that recurs holds the same tensors, not copies
    places, there, rows = list[Order](), list[Member](), list[list[int]]()
    for order, member in zip(orders, cohort, strict=True):
        regions = order.regions or (int(order.settings["region"]),)
        rows.append(list(range(len(places), len(places) + len(regions))))
        for region in regions:
            if (id(order), region) not in told:
                told[id(order), region] = _of_region(order, region)
            places.append(told[id(order), region])
            there.append(_in_region(member, region) if order.regions else member)
    return places, there, rows


def _of_region(order: Order, region: int) -> Order:
    if not order.regions:
        return order
    settings = {**order.settings, "region": float(region)}
    return replace(order, settings=settings, tensors=under(str(region), order.tensors), regions=())


def _in_region(member: Member, region: int) -> Member:
    train, held_out = member.memory[TRAIN] == region, member.memory[HELD_OUT] == region
    data = replace(
        member.data,
        train=member.data.train.take(train.nonzero().flatten()),
        held_out=member.data.held_out.take(held_out.nonzero().flatten()),
    )
    return replace(member, data=data)
