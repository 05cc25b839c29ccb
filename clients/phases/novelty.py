"""How novel the held-out samples are, and whether the generalist answers the most novel ones better.

The same round asks how sure the composition should be, and whether the samples of one client help to answer each other.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.phases.composition import held_out_losses, held_out_parts
from clients.sums import one_by_one
from federation.phases.reach import HELD_OUT
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Listed
from federation.wire.records import LABELS, Order
from federation.world.composition import pooled
from federation.world.confidence import calibration_sums
from federation.world.context import context_sums, shares
from federation.world.novelty import novelty_histogram


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Histograms over novelty: counts, and sums of the losses of the composition and of the generalist. What tells
    its losses at each calibration, and with each use of context."""
    return one_by_one(orders, cohort, lambda order, member: _sums(order, member, scenario, task))


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    targets, novelty = member.data.held_out.targets, member.memory[HELD_OUT.novelty]
    parts, together = (held_out_parts(order, member, scenario, task, shared) for shared in (False, True))
    answers = _pooled(parts, order, task)
    others, union = (member.data.train.targets, shares(order.tensors[LABELS])) if task.classifies else (None, None)
    sums = {
        "count": novelty_histogram(novelty),
        "composition": novelty_histogram(novelty, held_out_losses(answers, targets, task)),
        "generalist": novelty_histogram(novelty, held_out_losses(parts["prior"], targets, task)),
        "context": context_sums([answers, _pooled(together, order, task)], targets, others, union, task),
    }
    return sums | ({"calibration": calibration_sums(answers, targets)} if task.classifies else {})


def _pooled(parts: Mapping[str, Tensor], order: Order, task: Task) -> Float[Tensor, "samples outputs"]:
    return pooled(parts, {part: weight for part, weight in order.settings.items() if part in parts}, task)
