"""Stage 8: how well each composition of the parts answers the samples that were held out inside the federation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from federation.composition import candidates, pooled, usable
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.records import Order
from federation.routing import gates, shared
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Sums over each member's held-out samples: loss and correct answers of each candidate."""
    return Listed(
        [
            Contribution((member.number,), {EVERYWHERE: _sums(order, member, scenario, task)})
            for order, member in zip(orders, cohort, strict=True)
        ]
    )


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    targets = member.data.held_out.targets
    parts = held_out_parts(order, member, scenario, task)
    losses, correct = [], []
    for weights in candidates(usable(scenario.composition.parts, task), scenario.composition.weights, task):
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


def held_out_parts(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    """Each part's answers to the held-out samples, in the order of `federation.composition.PARTS`."""
    return parts_of(remembered(member, "held_out"), order, scenario, task)


def remembered(member: Member, *pieces: str) -> dict[str, Tensor]:
    """The evidence of some of the member's samples: "train", "held_out", or of both, one after the other."""
    names = [name.removeprefix("held_out/") for name in member.memory if name.startswith("held_out/")]
    return {name: torch.cat([member.memory[f"{piece}/{name}"] for piece in pieces]) for name in names}


def parts_of(
    evidence: Parameters, order: Order, scenario: Scenario, task: Task, together: bool = False
) -> dict[str, Tensor]:
    """Each part's answers to remembered samples.

    Args:
        together: whether all of them share their experts.
    """
    rule, parts = scenario.router.rule, {}
    if task.classifies:
        parts["charts"] = evidence["chart_logits"].softmax(-1)
    router = {name: tensor[None] for name, tensor in under("router", order.tensors).items()}
    logits = rule.logits(router, evidence["latent"][None], evidence["scores"][None])[0]
    logits = shared(logits, torch.zeros(len(logits), dtype=torch.int64)) if together else logits
    parts["mixture"] = (gates(logits, rule.top).unsqueeze(-1) * evidence["experts"]).sum(1)
    if task.classifies:
        head = {name: tensor[None] for name, tensor in under("head", order.tensors).items()}
        outputs = evidence["chart_logits"] + scenario.head.network.apply(head, evidence["latent"][None])[0]
        parts["head"] = outputs.softmax(-1)
    parts["prior"] = evidence["prior"]
    return parts
