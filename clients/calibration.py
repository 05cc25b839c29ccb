"""Local losses under label skew: a client that holds few classes must not unlearn the others.

A client draws from p(x|y) pi_i(y), the union from p(x|y) pi(y); so if f are logits of the union's posterior, those of
the client's own are f + log(pi_i / pi). Trained on these, the best f of every client is the best of the union, and a
class that a client does not hold gets no gradient from it. That helps where classes of different clients are told
apart by the router (domains: +0.8 points), and harms where nothing else ever compares them (two shards of fashion: the
prior falls from .68 to .50); so it is off unless a scenario asks for it. Source: Menon et al. (2021), in federations
Zhang et al. (2022).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

LEAST = -30.0
"""Shift of a class that the client does not hold: no more than rounding is left of its probability."""


def shift(targets: Int[Tensor, " samples"], union: Float[Tensor, " outputs"]) -> Float[Tensor, " outputs"]:
    """log(pi_i / pi) of each class, at least -30.

    Args:
        targets: the client's classes.
        union: counts of the classes in the whole federation.
    """
    mine = torch.bincount(targets, minlength=len(union)).double()
    ratio = (mine / mine.sum()) / (union.double() / union.double().sum()).clamp_min(1e-12)
    return ratio.log().clamp_min(LEAST).float()


def shifts(targets: Sequence[Tensor], union: Tensor | None) -> Float[Tensor, "clients 1 outputs"] | float:
    """The shift of each client, to be added to logits [clients, rows, outputs]; zero where nothing is calibrated."""
    return 0.0 if union is None else torch.stack([shift(own, union) for own in targets]).unsqueeze(1)
