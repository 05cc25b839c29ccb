"""Which parts of the world model answer together: decided on held-out samples' sums."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from federation.rules import InputError
from federation.tasks import Task
from federation.tensors import Parameters

Part = Literal["charts", "mixture", "head", "prior"]
"""What may answer: the chart posterior of the labels, the routed experts, the head without experts, the generalist."""

PARTS: tuple[Part, ...] = get_args(Part)

POOLED_DOUBT = 1e-4
"""Share of each part's answer that is spread over all classes, so that none can rule one out alone. More of it would
outweigh, once the answers are cooled, what the parts say of unlikely classes."""


def usable(allowed: Sequence[Part], task: Task, head: bool) -> tuple[Part, ...]:
    """The parts that may answer, in the order of `PARTS`: of those that a scenario allows, those that the task has.

    Args:
        head: whether the scenario has one for this task.

    Raises:
        InputError: there is none.
    """
    has = {"mixture", "prior"} | ({"head"} if head else set()) | ({"charts"} if task.classifies else set())
    parts = tuple(part for part in PARTS if part in has and part in allowed)
    if not parts:
        raise InputError(f"composition.parts: none of {', '.join(allowed)} answers real values; add mixture or prior")
    return parts


def pooled(answers: Mapping[str, Tensor], weights: Mapping[str, float], task: Task) -> Float[Tensor, "samples outputs"]:
    """One answer from several parts.

    Classes: p(y|x) proportional to the product over parts of p_part(y|x)^weight. Values: the parts' weighted mean.
    """
    used = {part: weight for part, weight in weights.items() if weight > 0}
    if task.classifies:
        logs = [w * ((1 - POOLED_DOUBT) * answers[p] + POOLED_DOUBT / task.outputs).log() for p, w in used.items()]
        return torch.stack(logs).sum(0).softmax(-1)
    return torch.stack([w * answers[p] for p, w in used.items()]).sum(0) / sum(used.values())


def candidates(parts: Sequence[str], weights: Sequence[float], task: Task) -> list[dict[str, float]]:
    """Every combination of the weights, but for the empty one; fewest parts first, then in the order of the grid."""
    grid = [dict(zip(parts, choice, strict=True)) for choice in product(sorted({0.0, *weights}), repeat=len(parts))]
    if not task.classifies:
        grid = [choice for choice in grid if max(choice.values()) == max(weights)]
    return sorted((c for c in grid if any(c.values())), key=_parts_used)


def chosen(options: Sequence[dict[str, float]], sums: Parameters, gain: float) -> dict[str, float]:
    """The option with the least held-out loss, unless one with fewer parts is within `gain` nats a sample and part."""
    loss = sums["loss"] / sums["count"].clamp_min(1)
    best = min(range(len(options)), key=lambda i: float(loss[i]) + gain * _parts_used(options[i]))
    return options[best]


def _parts_used(choice: Mapping[str, float]) -> int:
    return sum(weight > 0 for weight in choice.values())
