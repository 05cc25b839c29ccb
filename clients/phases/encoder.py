"""The sums from which the shared encoder is fitted, of each one that may be chosen."""

from collections.abc import Sequence

import torch

from clients.member import Member
from clients.sums import one_by_one
from federation.learning.experts import trunk_of
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, under
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each member's training inputs; zeros of a member with so few that they would show them."""

    def sums(order: Order, member: Member) -> Parameters:
        inputs = member.data.train.inputs
        found = scenario.moments(inputs, trunk_of(scenario.model, under("prior", order.tensors)))
        enough = len(inputs) >= scenario.charts.min_count
        return found if enough else {name: torch.zeros_like(tensor) for name, tensor in found.items()}

    return one_by_one(orders, cohort, sums)
