"""A client that came late, or lost its memory in a restart, is told again within the order that needs it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from clients.member import Member
from clients.phases import side
from clients.phases.contract import Remembering
from federation.phases import named
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import under
from federation.wire.records import AGAIN, Order


def tell_again(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> None:
    """Members remember what their order tells them once more, phase by phase."""
    earlier = named(orders[0].phase).may_recall()
    different = {id(order): order for order in orders}
    told = {key: [(name, _repeated(order, name)) for name in earlier] for key, order in different.items()}
    for order, member in zip(orders, cohort, strict=True):
        for name, repeated in told[id(order)]:
            if repeated.tensors:
                cast(Remembering, side(name)).remember(repeated, member, scenario, task)


def _repeated(order: Order, phase: str) -> Order:
    """The order of an earlier phase that an order holds; without tensors where it holds none."""
    prefix = f"{AGAIN}/{phase}/"
    settings = {name.removeprefix(prefix): value for name, value in order.settings.items() if name.startswith(prefix)}
    tensors = under(prefix.removesuffix("/"), order.tensors)
    return replace(order, phase=phase, settings={**order.settings, **settings}, tensors=tensors)
