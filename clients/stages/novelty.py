"""Stage 9: how novel the held-out samples are, and whether the generalist answers the most novel ones better.

The same round asks how sure the composition should be, and whether the samples of one client help to answer each other.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.stages.composition import held_out_losses, held_out_parts, parts_of, remembered
from federation.composition import pooled, usable
from federation.confidence import temperature_losses
from federation.context import context_losses, shares
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.novelty import novelty_histogram
from federation.records import LABELS, Order
from federation.scenario import Scenario
from federation.task import Task


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Histograms over novelty: counts, and sums of the losses of the composition and of the generalist. Losses of the
    composition at each temperature, and with each use of context."""
    return Listed(
        [
            Contribution((member.number,), {EVERYWHERE: _sums(order, member, scenario, task)})
            for order, member in zip(orders, cohort, strict=True)
        ]
    )


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    targets, parts = member.data.held_out.targets, held_out_parts(order, member, scenario, task)
    novelty, answers = member.memory["held_out/novelty"], _pooled(parts, order, scenario, task)
    sums = {
        "count": novelty_histogram(novelty),
        "composition": novelty_histogram(novelty, held_out_losses(answers, targets, task)),
        "generalist": novelty_histogram(novelty, held_out_losses(parts["prior"], targets, task)),
        "context": _context_losses(order, member, scenario, task),
    }
    return sums | ({"temperature": temperature_losses(answers, targets)} if task.classifies else {})


def _context_losses(order: Order, member: Member, scenario: Scenario, task: Task) -> Float[Tensor, " options"]:
    """All of the member's samples are neighbours of its held-out ones: these alone may be too few, or torn from it in
    pieces that tell little of how often it meets each class."""
    evidence = remembered(member, "train", "held_out")
    both = [parts_of(evidence, order, scenario, task, together) for together in (False, True)]
    targets = torch.cat([member.data.train.targets, member.data.held_out.targets])
    held_out = torch.arange(len(targets)) >= len(member.data.train)
    union = shares(order.tensors[LABELS]) if task.classifies else None
    return context_losses([_pooled(parts, order, scenario, task) for parts in both], targets, held_out, union, task)


def _pooled(
    parts: Mapping[str, Tensor], order: Order, scenario: Scenario, task: Task
) -> Float[Tensor, "samples outputs"]:
    weights: dict[str, float] = {part: order.settings[part] for part in usable(scenario.composition.parts, task)}
    return pooled(parts, weights, task)
