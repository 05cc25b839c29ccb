"""Stage 1: the sums from which the shared encoder is fitted, and how often each class occurs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.data import Samples
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of each member's training inputs, and counts of its classes."""
    return Listed(
        [Contribution((member.number,), {EVERYWHERE: _sums(member.data.train, scenario, task)}) for member in cohort]
    )


def _sums(samples: Samples, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    sums = scenario.encoder.moments(samples.inputs)
    if task.classifies:
        sums["labels"] = torch.bincount(samples.targets, minlength=task.outputs).double()
    return sums
