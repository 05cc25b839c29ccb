"""The sums from which the shared encoder is fitted, of each one that may be chosen."""

from collections.abc import Sequence

from clients.member import Member
from clients.sums import one_by_one
from federation.learning.experts import trunk_of
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, under
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each member's training inputs."""

    def sums(order: Order, member: Member) -> Parameters:
        return scenario.moments(member.data.train.inputs, trunk_of(scenario.model, under("prior", order.tensors)))

    return one_by_one(orders, cohort, sums)
