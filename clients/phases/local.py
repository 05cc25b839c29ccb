"""The client's own model, trained on its own samples alone."""

from collections.abc import Sequence
from dataclasses import replace

from clients.global_training import answered, fitted
from clients.member import Member
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed, unstacked
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """What the round did, and no model: it stays with the client."""
    order = orders[0]
    starts = [
        member.memory.under(order.phase)
        or scenario.model.init(task, torch_generator(order.seed, "local", member.number))
        for member in cohort
    ]
    trained = fitted(order, cohort, starts, scenario, task, purpose="local")
    for member, model in zip(cohort, unstacked(trained.parameters), strict=True):
        member.memory.update(prefixed(order.phase, model))
    return answered(replace(trained, parameters={}), cohort, scenario.model.multiplies(task))
