"""The world without experts: chart posterior of the labels times a small network."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scenarios.baselines.contract import Contender, Method, Trial


def without_head(trial: Trial) -> str:
    """Why there is no head; empty where there is one."""
    tells = trial.scenario.head.tells(trial.task)
    return "" if tells else "real values have a head by least squares alone (head.ridge)"


class Head(Method):
    """The same charts and the same head as in the world model, nothing else. Always to be beaten."""

    name, title, searched, reuses_world = "head", "charts and head, without experts", False, True

    def absent(self, trial: Trial) -> str:
        return without_head(trial)

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        world = run.outcome.world

        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            return world.parts(world.query(inputs), ("head",))["head"]

        cost = world.cost({"head": 1.0})
        return Contender(answer, cost, run.traffic.up, run.traffic.down, run.training_flops)


HEAD = Head()
