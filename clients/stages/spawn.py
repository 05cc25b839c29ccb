"""Stage 10, where regions may spawn: the chart of what no region knows. Clients that were never charted take part."""

from collections.abc import Sequence

import torch

from clients.member import Member
from clients.stages.charting import charted
from federation.contribution import Listed
from federation.manifold import Atlas, Encoder
from federation.novelty import discovered
from federation.records import KNOWN, Order
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's chart of its novel training samples, which it remembers; held-out samples never enter a chart."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        atlas = Atlas.from_tensors(int(order.settings["regions"]), under("atlas", order.tensors))
        latent = Encoder(scenario.encoder, under("encoder", order.tensors))(member.data.train.inputs)
        novel = discovered(atlas.novelty(latent), order.tensors[KNOWN], scenario.novelty.false_discoveries)
        rows = torch.nonzero(novel).flatten()
        member.memory["novel"] = rows
        contributions.append(charted(latent[rows], member.data.train.take(rows), order, member, scenario, task))
    return Listed(contributions)
