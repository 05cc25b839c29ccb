"""Sums of members one by one, where nothing is gained by treating a cohort at once."""

from collections.abc import Callable, Sequence

from clients.member import Member
from federation.tensors import Parameters
from federation.wire.contribution import EVERYWHERE, Contribution, Listed
from federation.wire.records import Order

Home = Callable[[Order, Member], int]
"""The region under which a member's sums are kept."""


def everywhere(order: Order, member: Member) -> int:
    """Sums that concern the whole federation."""
    return EVERYWHERE


def own_number(order: Order, member: Member) -> int:
    """Sums that the server keeps apart by client."""
    return member.number


def own_region(order: Order, member: Member) -> int:
    """Sums for the region that the order names."""
    return int(order.settings["region"])


def one_by_one(
    orders: Sequence[Order],
    cohort: Sequence[Member],
    sums: Callable[[Order, Member], Parameters],
    home: Home = everywhere,
) -> Listed:
    """What each member sends."""
    pairs = zip(orders, cohort, strict=True)
    return Listed([Contribution((m.number,), {home(order, m): sums(order, m)}) for order, m in pairs])
