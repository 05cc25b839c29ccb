"""How many samples there are, and how often each class occurs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Listed
from federation.wire.records import LABELS, Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Counts of each member's training samples, and of its classes."""
    return one_by_one(orders, cohort, lambda order, member: _sums(member, task))


def _sums(member: Member, task: Task) -> dict[str, Tensor]:
    targets = member.data.train.targets
    sums = {"samples": torch.tensor(float(len(targets)), dtype=torch.float64)}
    return sums | ({LABELS: torch.bincount(targets, minlength=task.outputs).double()} if task.classifies else {})
