"""The readouts of all regions, from the sums of their clients' features."""

from dataclasses import replace

import torch
from torch import Tensor

from federation.learning.least_squares import refitted, sums_of
from federation.learning.readout import Readout as Network
from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, stacked
from federation.wire.contribution import Contribution
from server.bounds import Answer
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState


class Readout(ServerSide):
    """Sends the classes and coordinates of each region, and makes a readout for each ridge of what comes back."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return int(scenario.experts.readout is not None)

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(now.state.expert(kind.region).with_models({}).tensors())

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return sums_of(_empty(now, region))

    def advance(self, now: Now, total: Contribution) -> ServerState:
        wanted, regions = now.scenario.experts.readout, range(len(now.state.experts))
        assert wanted is not None
        whole = total.together() if any(wanted.borrowed) else {}
        return replace(now.state, readouts=tuple(_readouts(now, r, total.sums.get(r, {}), whole) for r in regions))


def _empty(now: Now, region: int) -> dict[str, Tensor]:
    """A region's readout that says nothing yet."""
    features = now.scenario.experts.features
    assert features is not None
    readout, own = Network.like(now.scenario.model, now.task, features, now.state.expert(region).outputs)
    return {name: torch.zeros(shape) for name, shape in readout.shapes(own).items()}


def _readouts(now: Now, region: int, sums: Parameters, whole: Parameters) -> dict[str, Tensor]:
    """The readouts of a region, one for each ridge and each number of borrowed samples along their first axis.

    A region that borrows is fitted to its own samples and, with a weight of so many, to those of all regions: the more
    it borrows, the nearer it stays to the readout of the whole federation.
    """
    wanted, empty = now.scenario.experts.readout, _empty(now, region)
    assert wanted is not None
    names = [name for name in sums_of(empty) if name in sums]
    found: list[Parameters] = []
    for borrowed in wanted.borrowed:
        joint = {n: sums[n] + borrowed / whole["products"][-1] * whole[n] if borrowed else sums[n] for n in names}
        found += [refitted(empty, joint, ridge, now.task) for ridge in wanted.ridges]
    return stacked(found)


SIDE = Readout()
