"""A client that came late, or lost its memory in a restart, is told again within the order that needs it."""

from collections.abc import Sequence
from dataclasses import replace

from clients.member import Member
from clients.stages import evidence, reach, spawn
from federation.records import AGAIN, Order, Stage
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under


def tell_again(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> None:
    """Those whose order says so remember where their samples lie and what the experts say of them; or, where a region
    grows that has spawned, which of their samples were novel before it did."""
    told = {id(order): under(AGAIN, order.tensors) for order in {id(order): order for order in orders}.values()}
    for order, member in zip(orders, cohort, strict=True):
        if tensors := told[id(order)]:
            repeated = replace(order, tensors=tensors)
            if order.stage is Stage.GROWTH:
                before = {**order.settings, "regions": order.settings["regions"] - 1}
                spawn.remember(replace(repeated, settings=before), member, scenario, task)
            else:
                reach.remember(reach.charted(repeated, scenario, task), member)
                evidence.remember(repeated, member, scenario, task)
