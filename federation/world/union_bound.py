"""The union bound, checked: the whole errs at most as much as its pieces together, and the router that chooses them.

Source: Ma and Shi (2025), eqs. 30-32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT, FederatedData
from federation.routing import Gates
from federation.world_model import WorldModel


@dataclass(frozen=True)
class UnionBound:
    """Errors on the union test samples whose region is known: shares of wrong answers, or mean squared errors over the
    variance of the targets.

    Attributes:
        measured: of the world model.
        routed: of the expert with the largest gate, asked alone.
        regions: of the expert of each sample's own region: the routed sum of the regions' errors.
        routing: what wrong routes may cost at most: the share of them; or, of values, what they have cost.
    """

    measured: float
    routed: float
    regions: float
    routing: float

    @property
    def bound(self) -> float:
        """That the error of the routed experts never passes."""
        return self.regions + self.routing


@torch.no_grad()
def union_bound(world: WorldModel, federation: FederatedData) -> UnionBound | None:
    """Ask the world model, its routed experts and those of the true regions; None where no region is known."""
    known = np.flatnonzero(federation.union_client != UNKNOWN_CLIENT)
    if not len(known):
        return None
    samples, task = federation.union_test.take(known), federation.task
    own = torch.tensor(world.design.region_of_client)[torch.from_numpy(federation.union_client[known])]
    first = world.gates(world.query(samples.inputs)).first

    def errors(region: Tensor) -> Float[Tensor, " samples"]:
        return task.errors(world.mixture(samples.inputs, Gates.alone(region)), samples.targets)

    routed, regions = errors(first), errors(own)
    cost = (first != own).double() if task.classifies else (routed - regions).clamp_min(0)
    told = task.errors(world.predict(samples.inputs), samples.targets), routed, regions, cost
    return UnionBound(*(float(each.mean()) for each in told))
