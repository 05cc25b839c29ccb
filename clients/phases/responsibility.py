"""Which of a client's samples lie in which region: each in the one that most likely holds it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from clients.phases.reach import charted
from clients.sums import one_by_one, own_number
from federation.manifold.survey import NEVER
from federation.phases.responsibility import HELD_OUT, TRAIN
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """How many of the member's training samples lie in each region, under the member's own number."""
    return one_by_one(
        orders, cohort, lambda order, member: {"count": remember(order, member, scenario, task)}, own_number
    )


def remember(order: Order, member: Member, scenario: Scenario, task: Task) -> Tensor:
    """Keep the region of each sample; gives the number of those to train on in each.

    A region in which a client has fewer than `charts.min_count` of these is none of its own: they belong to the most
    likely region of the others, and all of them to one region if there is no other.
    """
    world = charted(order, scenario, task)
    regions = world.design.regions
    train, held_out = (
        world.query(samples.inputs).survey.spread(regions) for samples in (member.data.train, member.data.held_out)
    )
    counts = torch.bincount(train.argmax(1), minlength=regions)
    own = counts >= min(scenario.charts.min_count, int(counts.max()))
    for kept, scores in ((TRAIN, train), (HELD_OUT, held_out)):
        member.memory[kept] = scores.masked_fill(~own, NEVER).argmax(1)
    return torch.bincount(member.memory[TRAIN], minlength=regions).double()
