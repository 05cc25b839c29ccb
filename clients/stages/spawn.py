"""Stage 13, where regions may spawn: the chart of what no region knows. Clients that were never charted take part."""

from collections.abc import Sequence

import torch

from clients.member import Member
from clients.stages.charting import chart_sums
from federation.contribution import Contribution, Listed
from federation.novelty import discovered
from federation.records import KNOWN, Order
from federation.scenario import Scenario
from federation.task import Task
from federation.world_model import WorldModel


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's chart of its novel training samples, which it remembers; held-out samples never enter a chart."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        encoder, samples = scenario.encoders[int(order.settings["encoder"])], member.data.train
        world = WorldModel.of(scenario.design(task, encoder, int(order.settings["regions"])), order.tensors)
        novel = discovered(world.novelty(samples.inputs), order.tensors[KNOWN], scenario.novelty.false_discoveries)
        found = samples.take(torch.nonzero(novel).flatten())
        member.memory["novel"] = torch.nonzero(novel).flatten()
        sums = chart_sums(world.encoder(found.inputs), found, order, member, scenario, task)
        contributions.append(Contribution((member.number,), {member.number: sums}))
    return Listed(contributions)
