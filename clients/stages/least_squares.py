"""The sums from which the head's last layer begins: its hidden units' products, over each member's samples."""

from collections.abc import Sequence

import torch

from clients.member import Member
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.least_squares import moments
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import single, under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each member's training samples, and what they cost."""
    network, contributions = scenario.head.network, []
    for order, member in zip(orders, cohort, strict=True):
        head, targets = under("model", order.tensors), member.data.train.targets
        read = network.reads(member.data.train.inputs, member.memory["train/latent"])
        sums = moments(network.units(single(head), read[None])[0], targets, task.outputs)
        units = len(sums["classes"])
        each = network.multiplies(task, head) + units * (units + task.outputs)
        cost = {"visited": len(targets), "multiplies": each * len(targets)}
        metrics = {f"metric/{name}": torch.tensor(float(value), dtype=torch.float64) for name, value in cost.items()}
        contributions.append(Contribution((member.number,), {EVERYWHERE: {**sums, **metrics}}))
    return Listed(contributions)
