"""The experts without a router: each answers, all have the same say."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from federation.routing import Gates
from scenarios.baselines.contract import Contender, Method, Trial


class Ensemble(Method):
    """The world model's own experts, averaged: what routing adds is the difference."""

    name, title, searched, reuses_world = "uniform", "the same experts, averaged", False, True

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        world, regions = run.outcome.world, run.outcome.world.design.regions

        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            return world.mixture(inputs, Gates.even(len(inputs), regions))

        cost = world.cost_of_experts(regions)
        return Contender(answer, cost, run.traffic.up, run.traffic.down, run.training_flops)


UNIFORM = Ensemble()
