"""Client context: what unlabelled neighbours of the same client say about a query.

Two things are inferred, and each is used only if it pays on held-out samples: which experts suit the client, and how
often it meets each class. A query without neighbours is answered as if there were no context.
"""

from collections.abc import Sequence
from math import inf

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from federation.rules import Frozen, InputError
from federation.tasks import Task
from federation.world.confidence import (
    LEAST,
    PRODUCTS,
    TEMPERATURES,
    Calibration,
    calibration_at,
    calibration_losses,
    cooled,
    products,
)

SWEEPS = 10
"""Iterations of the label shift; later ones move next to nothing."""

PRIORS = (1.0, 4.0, 16.0, 64.0)
"""Samples of the federation that are tried as what is believed of a client before any of its own are seen."""

COARSE = TEMPERATURES[::2]
"""Temperatures that are tried with each of them."""

VIEWS = 2
"""Ways to see on held-out samples what neighbours are worth."""


class Context(Frozen):
    """What is made of context.

    Attributes:
        router: whether the queries of a client share their choice of experts.
        prior: samples of the federation that a client's classes are believed to follow before any of its own are
            seen; None: the same classes are expected of all clients.
        calibration: of answers that come with context; classes are inferred from each of the answers that it mixes.
    """

    router: bool = False
    prior: float | None = None
    calibration: Calibration = Calibration()

    @property
    def used(self) -> bool:
        """Whether context changes anything."""
        return self.router or self.prior is not None


def shares(counts: Float[Tensor, " outputs"]) -> Float[Tensor, " outputs"]:
    """Share of each class in the federation; one sample more of each, so that none is impossible."""
    return ((counts + 1) / (counts + 1).sum()).float()


def label_shifted(
    answers: Float[Tensor, "*tried samples outputs"],
    group: Int[Tensor, " samples"],
    union: Float[Tensor, " outputs"],
    prior: float,
) -> Float[Tensor, "*tried samples outputs"]:
    """p(y|x) pi_group(y) / pi(y), normalised, where pi_group is the share of each class among the group's others.

    The shares are found by expectation and maximisation, from the answers themselves and from `prior` samples of the
    federation. Source: Saerens et al. (2002); that a sample does not count for itself, and the prior, are ours.
    """
    groups, others = int(group.max()) + 1 if len(group) else 0, torch.bincount(group)[group].unsqueeze(1) - 1
    ratio = answers / union
    after = answers
    for _ in range(SWEEPS):
        total = torch.zeros(*answers.shape[:-2], groups, answers.shape[-1], dtype=answers.dtype)
        total = total.index_add(-2, group, after)[..., group, :]
        after = ratio * (total - after + prior * union) / (others + prior)
        after = after / after.sum(-1, keepdim=True).clamp_min(LEAST)
    return after


def options(task: Task) -> list[Context]:
    """Every way to use context that is tried, not to use it first. Values have no shares."""
    priors = (None, *PRIORS) if task.classifies else (None,)
    return [Context(router=router, prior=prior) for router in (False, True) for prior in priors]


def context_shape(task: Task) -> tuple[int, ...]:
    """The shape of a client's sums."""
    tried = (VIEWS, len(options(task)))
    return (*tried, len(COARSE), PRODUCTS) if task.classifies else tried


def context_sums(
    answers: Sequence[Float[Tensor, "samples outputs"]],
    targets: Tensor,
    others: Int[Tensor, " others"] | None,
    union: Float[Tensor, " outputs"] | None,
    task: Task,
) -> Float[Tensor, "views options *products"]:
    """What tells the losses of each option over one client's held-out samples, in two views of what neighbours tell.

    In the first they are the held-out samples themselves: few, and perhaps torn from the client in pieces that say
    little of how often it meets each class. In the second they are its other samples, whose classes are known: more
    than neighbours will ever tell.

    Args:
        answers: with each sample's own choice of experts, and with the choice that all share.
        others: classes of the client's other samples; None, as `union` is, where the task is to answer values.
    """
    if others is None or union is None:
        return torch.stack([task.losses(each, targets).double().sum() for each in answers]).expand(VIEWS, -1)
    group, counts = torch.zeros_like(targets), torch.bincount(others, minlength=task.outputs)
    views: list[list[Tensor]] = [[], []]
    for each in answers:
        tried = torch.stack([cooled(each, temperature) for temperature in COARSE])
        for prior in (None, *PRIORS):
            known = union if prior is None else (counts + prior * union) / (len(others) + prior)
            own = tried if prior is None else label_shifted(tried, group, union, prior)
            views[0].append(_products(own, targets))
            views[1].append(_products(tried * (known / union), targets))
    return torch.stack([torch.stack(view) for view in views])


def _products(
    weights: Float[Tensor, "tried samples outputs"], targets: Int[Tensor, " samples"]
) -> Float[Tensor, "temperatures 6"]:
    """Of the shares of weights at each temperature; at one they are the plain ones."""
    cool = weights.double() / weights.double().sum(-1, keepdim=True).clamp_min(LEAST)
    return products(cool, cool[COARSE.index(1.0)], targets)


def chosen_context(
    sums: Float[Tensor, "views options *products"], count: float, gain: float, task: Task, router: bool | None = None
) -> Context:
    """The option with the least held-out loss in the view that likes it less, at the calibration that suits it; each of
    the two things must lower the loss of a sample by `gain`.

    Args:
        router: whether the queries of a client share their choice of experts; None: where it gains.
    """
    tried = options(task)
    losses = calibration_losses(sums, task.outputs).flatten(2) if task.classifies else sums.unsqueeze(2)
    parts = torch.tensor([[o.router + (o.prior is not None)] for o in tried])
    ruled_out = torch.tensor([[router not in (None, o.router)] for o in tried])
    least = (losses.amax(0) + gain * count * parts).masked_fill(ruled_out, inf)
    option, place = divmod(int(least.argmin()), least.shape[1])
    best = tried[option]
    if not best.used:
        return Context()
    return best.model_copy(update={"calibration": calibration_at(place, COARSE)}) if task.classifies else best


def numbered(context: Tensor | NDArray[np.int64], samples: int) -> Int[Tensor, " samples"]:
    """Groups counted from zero; whoever comes alone is a group.

    Raises:
        InputError: there is not one whole number for each sample.
    """
    given = torch.as_tensor(context)
    if tuple(given.shape) != (samples,) or given.is_floating_point():
        raise InputError(
            f"context of shape {list(given.shape)}, {given.dtype}; expected a whole number for each of {samples} inputs"
        )
    free = torch.arange(samples) + int(given.max()) + 1 if samples else given
    group: Tensor = torch.unique(torch.where(given < 0, free, given), return_inverse=True)[1]
    return group
