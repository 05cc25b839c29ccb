"""The sums from which the head's last layer begins: its hidden units' products, over each member's samples."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one
from federation.learning.least_squares import moments
from federation.phases.reach import TRAIN
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, single, under
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each member's training samples, and what they cost."""
    network = scenario.head.network

    def sums(order: Order, member: Member) -> Parameters:
        head, targets = under("model", order.tensors), member.data.train.targets
        read = network.reads(member.data.train.inputs, member.memory[TRAIN.latent])
        units = network.units(single(head), read[None])[0]
        return counted(units, targets, task, network.multiplies(task, head))

    return one_by_one(orders, cohort, sums)


def counted(units: Float[Tensor, "samples units"], targets: Tensor, task: Task, multiplies: int) -> dict[str, Tensor]:
    """The moments, and what they cost.

    Args:
        multiplies: multiply-adds that it took to make one sample's units.
    """
    sums = moments(units, targets, task)
    rows, outputs = sums["targets"].shape
    cost = {"visited": len(targets), "multiplies": (multiplies + rows * (rows + outputs)) * len(targets)}
    return sums | {f"metric/{name}": torch.tensor(float(each), dtype=torch.float64) for name, each in cost.items()}
