"""How well each composition of the parts answers the samples that were held out inside the federation."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one
from federation.manifold.survey import NEVER
from federation.phases.evidence import DOWNLOADED, EXPERTS, GENERALIST
from federation.phases.reach import HELD_OUT, TRAIN, Places
from federation.routing import shared
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import single, under
from federation.wire.contribution import Listed
from federation.wire.records import Order
from federation.world.composition import pooled


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Sums over each member's held-out samples: loss and correct answers of each candidate."""
    return one_by_one(orders, cohort, lambda order, member: _sums(order, member, scenario, task))


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    targets = member.data.held_out.targets
    parts = held_out_parts(order, member, scenario, task)
    losses, correct = [], []
    for weights in scenario.compositions(task):
        answers = pooled(parts, weights, task)
        losses.append(held_out_losses(answers, targets, task).double().sum())
        correct.append((answers.argmax(-1) == targets).double().sum() if task.classifies else losses[-1])
    return {
        "loss": torch.stack(losses),
        "correct": torch.stack(correct),
        "count": torch.tensor(float(len(targets)), dtype=torch.float64),
    }


def held_out_losses(answers: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Loss of each answer: nats for classes, half the squared error for values."""
    if task.classifies:
        return -task.likelihoods(answers, targets).clamp_min(1e-9).log()
    return task.losses(answers, targets)


def held_out_parts(
    order: Order, member: Member, scenario: Scenario, task: Task, together: bool = False
) -> dict[str, Tensor]:
    """Each part's answers to the held-out samples, in the order of `federation.world.composition.PARTS`.

    Args:
        together: whether all of the member's samples share their choice of experts.
    """
    memory, parts = member.memory, {}
    if task.classifies:
        parts["charts"] = memory[HELD_OUT.chart_logits].softmax(-1)
    logits = _shared_logits(order, member, scenario) if together else _logits(order, member, scenario, HELD_OUT)
    here = torch.where(memory[DOWNLOADED] > 0, logits, NEVER)  # an expert that was not downloaded has no say
    parts["mixture"] = (scenario.router.rule.spread(here).unsqueeze(-1) * memory[EXPERTS]).sum(1)
    if scenario.head.tells(task):
        network, head = scenario.head.network, single(under("head", order.tensors))
        read = network.reads(member.data.held_out.inputs, memory[HELD_OUT.latent])
        charts = memory[HELD_OUT.chart_logits] if task.classifies else 0.0
        parts["head"] = task.answers(charts + network.apply(head, read[None])[0])
    parts["prior"] = memory[GENERALIST]
    return parts


def _logits(order: Order, member: Member, scenario: Scenario, piece: Places) -> Float[Tensor, "samples regions"]:
    """Gate logits of the member's samples: of those to train on, or of those held out."""
    latent, scores = (member.memory[kept][None] for kept in (piece.latent, piece.scores))
    return scenario.router.rule.logits(single(under("router", order.tensors)), latent, scores)[0]


def _shared_logits(order: Order, member: Member, scenario: Scenario) -> Float[Tensor, "samples regions"]:
    """Those of the held-out samples, all of the member's samples being neighbours."""
    every = torch.cat([_logits(order, member, scenario, piece) for piece in (TRAIN, HELD_OUT)])
    return shared(every, torch.zeros(len(every), dtype=torch.int64))[len(member.data.train) :]
