"""The spawned expert is trained as all experts are, on the samples that were novel."""

from collections.abc import Sequence
from dataclasses import replace

from clients.member import Member
from clients.model_training import contribute as contribute_models
from federation.phases.spawn import NOVEL
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models of those who found enough."""
    return contribute_models(orders, [_novel(member) for member in cohort], scenario, task)


def _novel(member: Member) -> Member:
    """The same member with its novel samples to train on."""
    return replace(member, data=replace(member.data, train=member.data.train.take(member.memory[NOVEL])))
