"""Stage 8: how well each composition of the parts answers the samples that were held out inside the federation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from federation.composition import candidates, pooled, usable
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.records import Order
from federation.routing import gates
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under


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
    memory = {name.removeprefix("held_out/"): t for name, t in member.memory.items() if name.startswith("held_out/")}
    rule, parts = scenario.router.rule, {}
    if task.classifies:
        parts["charts"] = memory["chart_logits"].softmax(-1)
    router = {name: tensor[None] for name, tensor in under("router", order.tensors).items()}
    logits = rule.logits(router, memory["latent"][None], memory["scores"][None])[0]
    parts["mixture"] = (gates(logits, rule.top).unsqueeze(-1) * memory["experts"]).sum(1)
    if task.classifies:
        head = {name: tensor[None] for name, tensor in under("head", order.tensors).items()}
        outputs = memory["chart_logits"] + scenario.head.network.apply(head, memory["latent"][None])[0]
        parts["head"] = outputs.softmax(-1)
    parts["prior"] = memory["prior"]
    return parts
