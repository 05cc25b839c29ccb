"""The experts without a router: each answers, all have the same say."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.routing import Gates
from federation.world_model import Cost
from scenarios.baselines.contract import Contender, Method, Trial


class Ensemble(Method):
    """The world model's own experts, averaged: what routing adds is the difference."""

    name, title, searched = "uniform", "the same experts, averaged", False

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        world, family, task = run.outcome.world, trial.scenario.model, trial.task
        regions = world.design.regions

        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            everybody = torch.arange(regions).expand(len(inputs), -1)
            return world.mixture(inputs, Gates(everybody, torch.full(everybody.shape, 1 / regions)))

        size = family.parameters(task)
        cost = Cost(size * regions, size * regions, 2 * family.multiplies(task) * regions)
        return Contender(answer, cost, run.traffic.up, run.traffic.down, run.training_flops)
