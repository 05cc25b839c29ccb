"""The one local loop: stochastic gradient descent of a whole cohort at once, over a leading clients axis.

A single client is a cohort of one. Ragged clients are padded and masked: a padded row weighs nothing, and a client
whose steps are done keeps its weights, so that nobody's result depends on whom it is trained with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, cos, pi
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from federation.models.family import Product, Slope
from federation.randomness import generator
from federation.scenario import LocalTraining
from federation.tensors import Parameters

RowLosses = Callable[[Parameters, Int[Tensor, "clients batch"]], Float[Tensor, "clients batch"]]
"""Losses of the named rows of each client's samples under that client's model."""


class Objective(Protocol):
    """What each client's steps go down."""

    def __call__(
        self, model: Parameters, rows: Int[Tensor, "clients batch"], weights: Float[Tensor, "clients batch"]
    ) -> tuple[Float[Tensor, "clients batch"], Mapping[str, Slope]]:
        """Losses of the named rows, and the slopes of their weighted sum along the weights of each client's model."""


def by_autograd(losses: RowLosses) -> Objective:
    """The objective of any losses, by automatic differentiation."""

    def objective(model: Parameters, rows: Tensor, weights: Tensor) -> tuple[Tensor, Mapping[str, Slope]]:
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in model.items()}
        row_losses = losses(leaves, rows)
        slopes = torch.autograd.grad((row_losses * weights).sum(), list(leaves.values()))
        return row_losses.detach(), dict(zip(leaves, slopes, strict=True))

    return objective


@dataclass(frozen=True)
class Batches:
    """Which rows each client visits in each step; padding repeats row 0 and is not `real`."""

    rows: Int[Tensor, "clients steps batch"]
    real: Bool[Tensor, "clients steps batch"]


@dataclass(frozen=True)
class Trained:
    """Models after local training, and sums for the metrics."""

    parameters: Parameters
    loss: Float[Tensor, " clients"]
    visited: Int[Tensor, " clients"]


def batches(
    samples: Sequence[int], local: LocalTraining, seed: int, address: Sequence[tuple[int | str, ...]]
) -> Batches:
    """Shuffled epochs of each client, by its own address alone.

    Args:
        samples: number of samples of each client.
        address: of each client's draws, such as ("experts", round, client).
    """
    steps = max(local.epochs * ceil(n / local.batch_size) for n in samples)
    width = min(local.batch_size, max(samples))
    rows = np.zeros((len(samples), steps * width), dtype=np.int64)
    real = np.zeros((len(samples), steps * width), dtype=bool)
    for client, (n, where) in enumerate(zip(samples, address, strict=True)):
        draw, epoch = generator(seed, "batches", *where), ceil(n / local.batch_size) * width
        for start in range(0, local.epochs * epoch, epoch):
            rows[client, start : start + n], real[client, start : start + n] = draw.permutation(n), True
    table = (len(samples), steps, width)
    return Batches(torch.from_numpy(rows).view(table), torch.from_numpy(real).view(table))


def learning_rate(local: LocalTraining, progress: float) -> float:
    """The rate of this round: constant, or half a cosine over the rounds of the phase."""
    return local.learning_rate * (0.5 * (1 + cos(pi * progress)) if local.schedule == "cosine" else 1.0)


def train(
    start: Parameters,
    objective: Objective,
    plan: Batches,
    local: LocalTraining,
    rate: float,
    proximal: float = 0.0,
) -> Trained:
    """Train every client's model on that client's own batches.

    Args:
        start: models with a leading clients axis, all at the server's weights.
        rate: learning rate of this round.
        proximal: mu of FedProx, the pull mu/2 ||theta - start||^2. Source: Li et al. (2020).
    Returns:
        The models, each client's mean loss over its visited samples, and the number of visits.
    """
    model = {name: tensor.clone() for name, tensor in start.items()}
    velocity: dict[str, Tensor] = {}
    losses: list[Tensor] = []
    active, weights = plan.real.any(2), plan.real.float()
    weights = weights / weights.sum(2, keepdim=True).clamp_min(1)
    plain = not (local.weight_decay or proximal or local.momentum)
    for step, everyone in enumerate(active.all(0).tolist()):
        row_losses, slopes = objective(model, plan.rows[:, step], weights[:, step])
        losses.append(row_losses)
        for name, slope in slopes.items():
            if plain and everyone and isinstance(slope, Product):
                model[name] = slope.descend(model[name], rate)
                continue
            written = slope.written() if isinstance(slope, Product) else slope
            weight = model[name] = _laid_out_like(written, model[name])
            if local.weight_decay:
                written = written.add(weight, alpha=local.weight_decay)
            if proximal:
                written = written.add(weight - start[name], alpha=proximal)
            if local.momentum:
                velocity[name] = written = written.add(velocity.get(name, 0.0), alpha=local.momentum)
            if not everyone:
                written = torch.where(_along(active[:, step], weight), written, 0)
            weight.add_(written, alpha=-rate)
    total = torch.where(plan.real, torch.stack(losses, 1), 0).sum((1, 2), dtype=torch.float64)
    visited = plan.real.sum((1, 2))
    return Trained(model, (total / visited.clamp_min(1)).float(), visited)


def padded(parts: Sequence[Float[Tensor, "_ *shape"] | Int[Tensor, "_ *shape"]]) -> Tensor:
    """Ragged tensors side by side, [clients, longest, ...], zeros where a client has no more rows."""
    if len({len(part) for part in parts}) == 1:
        return torch.stack(list(parts))
    return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)


def rows_of(values: Tensor, rows: Int[Tensor, "clients batch"]) -> Tensor:
    """values[c, rows[c, b]] for every client c and batch member b."""
    clients, samples = values.shape[:2]
    flat = (rows + samples * torch.arange(clients).unsqueeze(1)).flatten()
    return values.flatten(0, 1).index_select(0, flat).view(*rows.shape, *values.shape[2:])


def _laid_out_like(slope: Tensor, weight: Tensor) -> Tensor:
    """The weight in the memory order of its slope, copied once: so that each update runs along memory."""
    return weight if weight.stride() == slope.stride() else torch.empty_like(slope).copy_(weight)


def _along(flags: Bool[Tensor, " clients"], like: Tensor) -> Bool[Tensor, "clients ..."]:
    return flags.view(-1, *[1] * (like.dim() - 1))
