"""The experts with a router that knows the client of every sample: an upper mark, not a method.

It is no routing rule: a rule sees where a sample lies, and never whose it is.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.samples import UNKNOWN_CLIENT
from federation.routing import Gates
from scenarios.baselines.contract import Contender, Method, Trial


class Oracle(Method):
    """Each sample is answered by the expert of its client's region."""

    name, title, searched, reuses_world = "oracle", "the same experts, true region known", False, True
    knows_client = True

    def absent(self, trial: Trial) -> str:
        strangers = bool((trial.federation.union_client == UNKNOWN_CLIENT).any())
        if trial.scenario.charts.clusters > 1:
            return "clients have samples in several regions, so that who asks does not tell which"
        return "the union test holds strangers, whose region nobody knows" if strangers else ""

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        world = run.outcome.world
        region = np.array(world.design.region_of_client)

        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            return world.mixture(inputs, Gates.alone(torch.from_numpy(region[clients])))

        cost = world.cost_of_experts(1)
        return Contender(answer, cost, run.traffic.up, run.traffic.down, run.training_flops)


ORACLE = Oracle()
