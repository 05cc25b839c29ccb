"""The last layer of a network from one sum over clients: the same, however the samples lie among these.

No client drifts, since none takes a step. Hidden units that nobody trained are random features, of which some hundreds
give a good head. Source: Zhuang et al. (2025), AFL: a single-round analytic approach for federated learning.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from federation.tasks import Task
from federation.tensors import Parameters, Shapes

SHARPNESS = 10.0
"""Logits for a probability of one: least squares gives posterior probabilities, and a softmax wants logits."""

LEAST_SPREAD = 1e-3
"""Share of the units' mean variance under which one is penalised no less: it hardly ever speaks."""


def moments(features: Float[Tensor, "samples units"], targets: Tensor, task: Task) -> dict[str, Tensor]:
    """What one client adds up over its samples: products of the features, and of these with what is to be told.

    A constant joins the features, for the bias. Of the symmetric products the upper triangle travels.
    """
    rows = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    upper = torch.triu_indices(rows.shape[1], rows.shape[1])
    return {"products": (rows.T @ rows)[upper[0], upper[1]], "targets": rows.T @ task.fitted(targets)}


def sums_of(head: Parameters) -> Shapes:
    """Shapes of `moments`, for a network with this last layer."""
    outputs, units = head["head.weight"].shape
    return {"products": ((units + 1) * (units + 2) // 2,), "targets": (units + 1, outputs)}


def products_of(sums: Parameters) -> Float[Tensor, "units units"]:
    """The symmetric products of which the upper triangle has travelled, in double precision."""
    size = len(sums["targets"])
    products = torch.zeros(size, size, dtype=torch.float64)
    upper = torch.triu_indices(size, size)
    products[upper[0], upper[1]] = sums["products"]
    return products + products.triu(1).T


def refitted(head: Parameters, sums: Parameters, ridge: float | None, task: Task) -> dict[str, Tensor]:
    """The network with another last layer: ridge regression of the targets on its hidden units; of classes, as logits.

    Args:
        sums: `moments` of all clients. Where nobody sent any, the network stays.
        ridge: what is added to each unit's square, as a share of its variance; nothing for the bias.
    """
    if not sums or ridge is None:
        return dict(head)
    products = products_of(sums)
    samples = products[-1, -1].clamp_min(1e-300)
    spread = products.diagonal() - products[-1].square() / samples
    penalty = ridge * spread.clamp_min(LEAST_SPREAD * spread[:-1].mean().clamp_min(1e-300))
    penalty[-1] = 1e-12 * samples
    solution = (SHARPNESS if task.classifies else 1.0) * torch.linalg.solve(products + penalty.diag(), sums["targets"])
    weight, bias = solution[:-1].T.contiguous(), solution[-1]
    return {**head, "head.weight": weight.to(head["head.weight"]), "head.bias": bias.to(head["head.bias"])}
