"""How well a region's expert, and each readout in its place, answer the samples that were held out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one, own_region
from federation.learning.experts import Expert
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import under
from federation.wire.contribution import Listed
from federation.wire.records import Order
from federation.world.confidence import committee_losses


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Right answers of the candidates, and their losses at each temperature, over each member's held-out samples of
    the region's classes; of values, their losses alone."""
    return one_by_one(orders, cohort, lambda order, member: _sums(order, member, scenario, task), own_region)


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    expert = Expert.of(under("model", order.tensors))
    readouts = expert.with_models(under("readout", order.tensors))
    samples = member.data.held_out.among(expert.classes)
    trained = expert.outputs_of(scenario.model, task, samples.inputs)
    read = readouts.outputs_of(scenario.model, task, samples.inputs, scenario.experts.features)
    candidates = [trained, *read.unsqueeze(1)]
    if not task.classifies:
        losses = [task.losses(values.mean(0), samples.targets).double().sum() for values in candidates]
        return {"losses": torch.stack(losses), "count": torch.tensor(float(len(samples)), dtype=torch.float64)}
    answers = torch.stack([logits.softmax(-1).mean(0) for logits in candidates])
    return {
        "right": (answers.argmax(2) == samples.targets).double().sum(1),
        "losses": torch.stack([committee_losses(logits, samples.targets) for logits in candidates]),
    }
