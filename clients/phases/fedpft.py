"""The Gaussians of each client's classes in the space of the shared encoder."""

from collections.abc import Sequence

import torch

from clients.member import Member
from clients.sums import one_by_one, own_number
from federation.manifold import ChartRule
from federation.models.cost import BACKWARD
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each class with `charts.min_count` samples or more, and what it took to encode them."""

    def sums(order: Order, member: Member) -> Parameters:
        encoder, samples = scenario.fitted(order.tensors)[0], member.data.train
        rule, visited = ChartRule(min_count=scenario.charts.min_count), float(len(samples))
        cost = {"visited": visited, "multiplies": visited * encoder.parameters / BACKWARD}
        metrics = {f"metric/{name}": torch.tensor(each, dtype=torch.float64) for name, each in cost.items()}
        return rule.sums(encoder(samples.inputs), samples.targets) | metrics

    return one_by_one(orders, cohort, sums, own_number)
