"""Stage 9: how novel the held-out samples are, and whether the generalist answers the most novel ones better."""

from collections.abc import Sequence

from torch import Tensor

from clients.member import Member
from clients.stages.composition import held_out_losses, held_out_parts
from federation.composition import pooled, usable
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.novelty import novelty_histogram
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Histograms over novelty: counts, and sums of the losses of the composition and of the generalist."""
    return Listed(
        [
            Contribution((member.number,), {EVERYWHERE: _histograms(order, member, scenario, task)})
            for order, member in zip(orders, cohort, strict=True)
        ]
    )


def _histograms(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    targets, parts = member.data.held_out.targets, held_out_parts(order, member, scenario, task)
    novelty = member.memory["held_out/novelty"]
    weights: dict[str, float] = {part: order.settings[part] for part in usable(scenario.composition.parts, task)}
    return {
        "count": novelty_histogram(novelty),
        "composition": novelty_histogram(novelty, held_out_losses(pooled(parts, weights, task), targets, task)),
        "generalist": novelty_histogram(novelty, held_out_losses(parts["prior"], targets, task)),
    }
