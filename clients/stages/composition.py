"""Stage 8: how well each composition of the parts answers the samples that were held out inside the federation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from federation.composition import candidates, novelty_histogram, pooled
from federation.contribution import EVERYWHERE, Contribution
from federation.records import Order
from federation.routing import gates
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> list[Contribution]:
    """Sums over each member's held-out samples: loss and correct answers of each candidate, and a novelty histogram."""
    return [
        Contribution((member.number,), {EVERYWHERE: _sums(order, member, scenario, task)})
        for order, member in zip(orders, cohort, strict=True)
    ]


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    targets = member.data.held_out.targets
    parts = _parts(order, member, scenario, task)
    losses, correct = [], []
    for weights in candidates(tuple(parts), scenario.composition.weights, task):
        answers = pooled(parts, weights, task)
        if task.classifies:
            losses.append(-task.likelihoods(answers, targets).clamp_min(1e-9).log().double().sum())
            correct.append((answers.argmax(-1) == targets).double().sum())
        else:
            losses.append(task.losses(answers, targets).double().sum())
            correct.append(torch.zeros((), dtype=torch.float64))
    return {
        "loss": torch.stack(losses),
        "correct": torch.stack(correct),
        "count": torch.tensor(float(len(targets)), dtype=torch.float64),
        "novelty": novelty_histogram(member.memory["held_out/novelty"]),
    }


def _parts(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
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
