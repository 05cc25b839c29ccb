"""Client context: what unlabelled neighbours of the same client say about a query.

Two things are inferred, and each is used only if it pays on held-out samples: which experts suit the client, and how
often it meets each class. A query without neighbours is answered as if there were no context.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from federation.confidence import LEAST, TEMPERATURES, cooled
from federation.rules import Frozen
from federation.task import Task

SWEEPS = 10
"""Iterations of the label shift; later ones move next to nothing."""

PRIORS = (1.0, 4.0, 16.0, 64.0)
"""Samples of the federation that are tried as what is believed of a client before any of its own are seen."""

COARSE = TEMPERATURES[::4]
"""Temperatures that are tried with each of them."""


class Context(Frozen):
    """What is made of context.

    Attributes:
        router: whether the queries of a client share their choice of experts.
        prior: samples of the federation that a client's classes are believed to follow before any of its own are
            seen; None: the same classes are expected of all clients.
        temperature: of answers that come with context.
    """

    router: bool = False
    prior: float | None = None
    temperature: float = 1.0

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
    """Every way to use context that is tried, not to use it first. Values have neither shares nor temperatures."""
    priors, temperatures = ((None, *PRIORS), COARSE) if task.classifies else ((None,), (1.0,))
    return [Context(router=r, prior=p, temperature=t) for r in (False, True) for p in priors for t in temperatures]


def context_losses(
    answers: Sequence[Float[Tensor, "samples outputs"]],
    targets: Tensor,
    held_out: Bool[Tensor, " samples"],
    union: Float[Tensor, " outputs"] | None,
    task: Task,
) -> Float[Tensor, " options"]:
    """Losses of each option over one client's held-out samples, its other samples being their neighbours.

    Args:
        answers: with each sample's own choice of experts, and with the choice that all share.
    """
    if union is None:
        return torch.stack([task.losses(a, targets)[held_out].double().sum() for a in answers])
    group, true, losses = torch.zeros(len(targets), dtype=torch.int64), targets[held_out].unsqueeze(-1), []
    for each in answers:
        tried = torch.stack([cooled(each, temperature) for temperature in COARSE])
        for prior in (None, *PRIORS):
            after = tried if prior is None else label_shifted(tried, group, union, prior)
            likely = after[:, held_out].gather(-1, true.expand(len(COARSE), -1, -1))
            losses.append(-likely.double().clamp_min(LEAST).log().sum((1, 2)))
    return torch.cat(losses)


def chosen_context(sums: Float[Tensor, " options"], count: float, gain: float, task: Task) -> Context:
    """The option with the least held-out loss; each of the two things must gain `gain` nats a sample."""
    tried = options(task)
    costs = [float(s) + gain * count * (o.router + (o.prior is not None)) for s, o in zip(sums, tried, strict=True)]
    best = tried[costs.index(min(costs))]
    return best if best.used else Context()
