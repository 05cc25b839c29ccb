"""How much a model's answers have changed since a client last saw it, on a few of the samples that it holds out."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from federation.learning.experts import Expert
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import under
from federation.wire.records import Order

PROBES = 32
"""The most held-out samples of a client that are asked about."""


def probed(
    orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task
) -> dict[str, Float[Tensor, " clients"]]:
    """Sums of KL(now || before) in nats over each member's probes, and their number; nothing where orders ask for none.

    In the first round both are zero. What the model of this round answers is remembered for the next.
    """
    if not orders[0].settings.get("probe"):
        return {}
    divergences, counts = [], []
    for order, member in zip(orders, cohort, strict=True):
        rows, place = member.data.held_out.inputs[:PROBES], f"probe/{order.phase}"
        now = Expert.of(under("model", order.tensors)).answers(scenario.model, task, rows)
        before = member.memory.get(place)
        divergences.append(0.0 if before is None else float(divergence(now, before, task).sum()))
        counts.append(0.0 if before is None else float(len(rows)))
        member.memory[place] = now
    sums = {"divergence": divergences, "probed": counts}
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in sums.items()}


def divergence(
    now: Float[Tensor, "samples outputs"], before: Float[Tensor, "samples outputs"], task: Task
) -> Float[Tensor, " samples"]:
    """KL(now || before) of the classes; of values, as of Gaussians of variance one: half the squared difference."""
    if task.classifies:
        return (now * (now.clamp_min(1e-9) / before.clamp_min(1e-9)).log()).sum(-1)
    return 0.5 * (now - before).square().sum(-1)
