"""The sums of which a region's coordinates are made: products of its inputs and targets, over its clients' samples."""

from collections.abc import Sequence

from clients.member import Member
from clients.sums import one_by_one, own_region
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Products of the member's training samples."""
    rule = scenario.experts.coordinates
    assert rule is not None

    def sums(order: Order, member: Member) -> Parameters:
        return rule.sums(member.data.train.inputs, member.data.train.targets, task)

    return one_by_one(orders, cohort, sums, own_region)
