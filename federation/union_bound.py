"""The union bound, checked: the whole errs at most as much as its pieces together, and the router that chooses them.

Source: Ma and Shi (2025), eqs. 30-32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from federation.data import UNKNOWN_CLIENT, FederatedData
from federation.routing import Gates
from federation.task import Task
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
    gates = world.gates(world.query(samples.inputs))
    first = gates.regions.gather(1, gates.weights.argmax(1, keepdim=True)).squeeze(1)

    def errors(answers: Tensor) -> Float[Tensor, " samples"]:
        return _errors(task, answers, samples.targets)

    def alone(region: Tensor) -> Float[Tensor, " samples"]:
        return errors(world.mixture(samples.inputs, Gates(region.unsqueeze(1), torch.ones(len(region), 1))))

    routed, regions = alone(first), alone(own)
    cost = (first != own).double() if task.classifies else (routed - regions).clamp_min(0)
    told = errors(world.predict(samples.inputs)), routed, regions, cost
    return UnionBound(*(float(each.mean()) for each in told))


def _errors(task: Task, answers: Tensor, targets: Tensor) -> Float[Tensor, " samples"]:
    if task.classifies:
        return (answers.argmax(1) != targets).double()
    squares = (targets.double() - targets.double().mean(0)).square().sum(1).mean()
    return (answers - targets).double().square().sum(1) / squares.clamp_min(1e-12)
