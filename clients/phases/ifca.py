"""The model of the cluster that a client joins: the one that loses least on its training samples."""

from collections.abc import Sequence

import torch

from clients.global_training import answered, fitted, losses_of
from clients.member import Member
from clients.shares import reported
from federation.models.cost import BACKWARD
from federation.phases.ifca import Ifca
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import under
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Each member's model, under the number of its cluster, and which cluster it has left and joined."""
    models, components = under("components", orders[0].tensors), scenario.phase(Ifca).components
    chosen = [int(losses_of(models, member, scenario, task).mean(0).argmin()) for member in cohort]
    starts = [{name: tensor[cluster] for name, tensor in models.items()} for cluster in chosen]
    trained = fitted(orders[0], cohort, starts, scenario, task)
    cost = scenario.model.multiplies(task) * (1 + components / (BACKWARD * scenario.local.epochs))
    shares = torch.eye(components, dtype=torch.float64)[chosen]
    return answered(trained, cohort, cost, chosen, further=reported(orders, cohort, shares))
