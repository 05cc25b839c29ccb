"""The shares that components have in a client's samples: it remembers them, and sends how they change."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.global_training import samples_of
from clients.member import Member
from clients.proposals import agreed, propose
from federation.wire.records import Order


def reported(
    orders: Sequence[Order], cohort: Sequence[Member], shares: Float[Tensor, "clients components"]
) -> dict[str, Float[Tensor, "clients components"]]:
    """Samples of each component, as they were when an answer of the client was last counted, and as they are now."""
    left = []
    for order, member, own in zip(orders, cohort, shares, strict=True):
        before = agreed(member, order)
        propose(member, order, before, {"shares": own})
        left.append(before.get("shares", torch.zeros_like(own)))
    samples = samples_of(cohort).unsqueeze(1)
    return {"left": samples * torch.stack(left), "joined": samples * shares}
