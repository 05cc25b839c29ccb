"""The one local loop: stochastic gradient descent of a whole cohort at once, over a leading clients axis.

A single client is a cohort of one. Ragged clients are padded and masked: a padded row weighs nothing, and a client
whose steps are done keeps its weights, so that nobody's result depends on whom it is trained with.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from math import ceil
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from federation.models.family import Gradient, Product, written_out
from federation.randomness import Streams
from federation.settings import LocalTraining
from federation.tensors import Parameters, resident

Column = Sequence[Shaped[Tensor, "_ ..."]]
"""One tensor a client, with a row for each of its samples: inputs, targets, or what a client remembers of them."""

Batch = Sequence[Shaped[Tensor, "clients batch ..."]]
"""The rows of each column that the clients visit in one step."""

RowLosses = Callable[[Parameters, Batch], Float[Tensor, "clients batch"]]
"""Losses of a batch of each client's samples under that client's model."""


Direction = Callable[[Tensor, Tensor], Tensor]
"""A gradient and a weight, both with a leading clients axis -> along what the weight goes down."""


class Objective(Protocol):
    """What each client's steps go down."""

    def __call__(
        self, model: Parameters, batch: Batch, weights: Float[Tensor, "clients batch"]
    ) -> tuple[Float[Tensor, "clients batch"], Mapping[str, Gradient]]:
        """Losses of the rows, and the gradients of their weighted sum along the weights of each client's model."""


def by_autograd(losses: RowLosses) -> Objective:
    """The objective of any losses, by automatic differentiation."""

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Gradient]]:
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in model.items()}
        row_losses = losses(leaves, batch)
        gradients = torch.autograd.grad((row_losses * weights).sum(), list(leaves.values()))
        return row_losses.detach(), dict(zip(leaves, gradients, strict=True))

    return objective


@dataclass(frozen=True)
class Batches:
    """Which rows each client visits in each step, and which of their inputs, the first column, it sees flipped.

    Padding repeats row 0 and is not `real`. `epoch` is the number of steps in which the largest client visits its
    samples once.
    """

    rows: Int[Tensor, "clients steps batch"]
    real: Bool[Tensor, "clients steps batch"]
    mirrored: Bool[Tensor, "clients steps batch"]
    epoch: int

    def of(self, columns: Sequence[Column], device: torch.device) -> Iterator[Batch]:
        """The rows of each step, laid out an epoch at a time, straight from where each client has them."""
        for rows, mirrored in zip(*(torch.split(t, self.epoch, 1) for t in (self.rows, self.mirrored)), strict=True):
            laid_out = [_taken(column, rows, device) for column in columns]
            if bool(mirrored.any()):
                laid_out[0] = flipped(laid_out[0], mirrored.to(device))
            yield from zip(*(column.unbind(1) for column in laid_out), strict=True)


@dataclass(frozen=True)
class Pull:
    """mu / 2 ||theta - anchor||^2 beside the loss. Source: FedProx, Li et al. (2020); Ditto, Li et al. (2021).

    Steps are implicit, theta <- (theta - rate direction + rate mu anchor) / (1 + rate mu), and so stable for any mu.
    """

    mu: float
    anchor: Parameters

    def on(self, device: torch.device) -> "Pull":
        """The same, with its anchor where models are trained."""
        return Pull(self.mu, {name: tensor.to(device) for name, tensor in self.anchor.items()})

    def beside(self, down: Direction, name: str, rate: float) -> Direction:
        """The direction of a whole step, from that of the loss."""

        def direction(gradient: Tensor, weight: Tensor) -> Tensor:
            return down(gradient, weight).add(weight - self.anchor[name], alpha=self.mu).div_(1 + rate * self.mu)

        return direction


@dataclass(frozen=True)
class Trained:
    """Models after local training, and sums for the metrics."""

    parameters: Parameters
    loss: Float[Tensor, " clients"]
    visited: Int[Tensor, " clients"]

    def together(self, members: int) -> "Trained":
        """Each client's models, of which it has as many one after another, along an axis of their own."""
        parameters = {name: t.reshape(-1, members, *t.shape[1:]) for name, t in self.parameters.items()}
        loss, visited = (t.view(-1, members) for t in (self.loss, self.visited))
        return Trained(parameters, loss.mean(1), visited.sum(1))


def batches(
    samples: Sequence[int], local: LocalTraining, seed: int, address: tuple[int | str, ...], clients: Sequence[int]
) -> Batches:
    """Shuffled epochs of each client, by the address and its own number alone.

    Args:
        samples: number of samples of each client.
        address: of all clients' draws, such as ("experts", round).
    """
    width, longest = min(local.batch_size, max(samples)), ceil(max(samples) / local.batch_size)
    rows = np.zeros((len(samples), local.epochs * longest * width), dtype=np.int64)
    real, mirrored = np.zeros((2, *rows.shape), dtype=bool)
    streams = Streams(seed, "batches", *address)
    for place, (n, client) in enumerate(zip(samples, clients, strict=True)):
        draw, epoch = streams.of(client), ceil(n / local.batch_size) * width
        for start in range(0, local.epochs * epoch, epoch):
            rows[place, start : start + n], real[place, start : start + n] = draw.permutation(n), True
            if local.mirrored:
                mirrored[place, start : start + n] = draw.random(n) < 0.5
    table = (len(samples), -1, width)
    named, kept, flipped = (torch.from_numpy(each).view(table) for each in (rows, real, mirrored))
    return Batches(named, kept, flipped, longest)


def flipped(images: Float[Tensor, "*rows channels height width"], mirrored: Bool[Tensor, "*rows"]) -> Tensor:
    """The images, some of them flipped left to right."""
    return torch.where(mirrored[..., None, None, None], images.flip(-1), images)


def train(
    start: Parameters,
    objective: Objective,
    columns: Sequence[Column],
    plan: Batches,
    local: LocalTraining,
    rate: float,
    pull: Pull | None = None,
) -> Trained:
    """Train every client's model on that client's own batches.

    Args:
        start: models with a leading clients axis, all at the server's weights, on the device that trains them.
        columns: the samples; `objective` is given the same rows of each.
        rate: learning rate of this round.
    Returns:
        The models, each client's mean loss over its visited samples, and the number of visits.
    """
    model = {name: tensor.clone() for name, tensor in start.items()}
    device = next(iter(model.values())).device
    states: dict[str, dict[str, Tensor]] = {name: {} for name in model}
    losses: list[Tensor] = []
    real = plan.real.to(device)
    active, weights = real.any(2), real.float()
    weights = weights / weights.sum(2, keepdim=True).clamp_min(1)
    everyone, plain = active.all(0).tolist(), local.optimizer.plain and pull is None
    for step, batch in enumerate(plan.of(columns, device)):
        row_losses, gradients = objective(model, batch, weights[:, step])
        losses.append(row_losses)
        gradients = gradients if local.clip is None else clipped(gradients, local.clip)
        moving = None if everyone[step] else active[:, step]
        for name, gradient in gradients.items():
            down: Direction = partial(local.optimizer.direction, state=states[name], step=step + 1)
            if pull:
                down = pull.beside(down, name, rate)
            model[name] = stepped(model[name], gradient, rate, None if plain else down, moving)
    total = torch.where(real, torch.stack(losses, 1), 0).sum((1, 2), dtype=torch.float64).cpu()
    visited = plan.real.sum((1, 2))
    return Trained(model, (total / visited.clamp_min(1)).float(), visited)


def stepped(
    weight: Float[Tensor, "clients ..."],
    gradient: Gradient,
    rate: float,
    down: Direction | None,
    moving: Bool[Tensor, " clients"] | None,
) -> Float[Tensor, "clients ..."]:
    """The weight after one step, in place where that is possible.

    Args:
        down: the direction that an optimiser makes of the gradient; None: the gradient itself.
        moving: clients that take the step; None: all.
    """
    if down is None and moving is None and isinstance(gradient, Product):
        return gradient.descend(weight, rate)
    written = written_out(gradient)
    weight = _laid_out_like(written, weight)
    direction = written if down is None else down(written, weight)
    if moving is not None:
        direction = torch.where(_along(moving, weight), direction, 0)
    return weight.add_(direction, alpha=-rate)


def clipped(gradients: Mapping[str, Gradient], most: float) -> dict[str, Tensor]:
    """Each client's gradient, along all its weights, no longer than `most`; zero where it is not finite.

    As by `torch.nn.utils.clip_grad_norm_`: before weight decay and momentum.
    """
    written = {name: written_out(gradient) for name, gradient in gradients.items()}
    squares = torch.stack([g.reshape(len(g), -1).square().sum(1) for g in written.values()]).sum(0)
    factor = (most / (squares.sqrt() + 1e-6)).clamp_max(1.0).nan_to_num(0.0)
    return {name: torch.where(_along(squares.isfinite(), g), g * _along(factor, g), 0.0) for name, g in written.items()}


def _taken(
    column: Column, rows: Int[Tensor, "clients steps batch"], device: torch.device
) -> Shaped[Tensor, "clients steps batch ..."]:
    """column[c][rows[c, s, b]] for every client c, step s and place b in its batch, on a device."""
    shape = *rows.shape, *column[0].shape[1:]
    if device.type == "cpu":
        taken = column[0].new_empty(shape)
        for own, mine, out in zip(column, rows.flatten(1), taken.flatten(1, 2), strict=True):
            torch.index_select(own, 0, mine, out=out)
        return taken
    together = torch.cat([resident(own, device) for own in column])
    before = torch.tensor([0, *accumulate(map(len, column[:-1]))]).view(-1, 1, 1)
    return together.index_select(0, (rows + before).flatten().to(device)).view(shape)


def _laid_out_like(gradient: Tensor, weight: Tensor) -> Tensor:
    """The weight in the memory order of its gradient, copied once: so that each update runs along memory."""
    return weight if weight.stride() == gradient.stride() else torch.empty_like(gradient).copy_(weight)


def _along(flags: Shaped[Tensor, " clients"], like: Tensor) -> Shaped[Tensor, "clients ..."]:
    return flags.view(-1, *[1] * (like.dim() - 1))
