"""Where regions may spawn: the chart of what no region knows. Clients that were never charted take part."""

from collections.abc import Sequence

import torch

from clients.member import Member
from clients.phases.charting import chart_sums
from clients.phases.reach import charted
from clients.sums import one_by_one, own_number
from federation.data.samples import Samples
from federation.phases.spawn import NOVEL
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Listed
from federation.wire.records import KNOWN, Order
from federation.world.novelty import discovered
from federation.world_model import WorldModel


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's chart of its novel training samples, which it remembers; held-out samples never enter a chart."""

    def sums(order: Order, member: Member) -> Parameters:
        world, found = remember(order, member, scenario, task)
        return chart_sums(world.encoder(found.inputs), found, order, scenario, task)

    return one_by_one(orders, cohort, sums, own_number)


def remember(order: Order, member: Member, scenario: Scenario, task: Task) -> tuple[WorldModel, Samples]:
    """The world as the order tells it, and the member's samples that are novel to it, whose rows the member keeps."""
    world, samples = charted(order, scenario, task), member.data.train
    novel = discovered(world.novelty(samples.inputs), order.tensors[KNOWN], scenario.novelty.false_discoveries)
    rows = member.memory[NOVEL] = torch.nonzero(novel).flatten()
    return world, samples.take(rows)
