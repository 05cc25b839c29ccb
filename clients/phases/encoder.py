"""The sums from which the shared encoder is fitted, of each one that may be chosen."""

from collections.abc import Sequence

from clients.member import Member
from federation.learning.experts import trunk_of
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under
from federation.wire.contribution import EVERYWHERE, Contribution, Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each member's training inputs."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        trunk = trunk_of(scenario.model, under("prior", order.tensors))
        sums = scenario.moments(member.data.train.inputs, trunk)
        contributions.append(Contribution((member.number,), {EVERYWHERE: sums}))
    return Listed(contributions)
