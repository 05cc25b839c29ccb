"""How many samples there are, and how often each class occurs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from federation.scenario import Scenario
from federation.task import Task
from federation.wire.contribution import EVERYWHERE, Contribution, Listed
from federation.wire.records import LABELS, Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Counts of each member's training samples, and of its classes."""
    return Listed([Contribution((member.number,), {EVERYWHERE: _sums(member, task)}) for member in cohort])


def _sums(member: Member, task: Task) -> dict[str, Tensor]:
    targets = member.data.train.targets
    sums = {"samples": torch.tensor(float(len(targets)), dtype=torch.float64)}
    return sums | ({LABELS: torch.bincount(targets, minlength=task.outputs).double()} if task.classifies else {})
