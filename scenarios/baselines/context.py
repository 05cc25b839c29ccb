"""The world model where queries come with unlabelled neighbours: another question than all other methods answer."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scenarios.baselines.contract import Contender, Method, Trial


class WithContext(Method):
    """The same world model. Each test sample comes with the other test samples of its own client, without labels.

    Which client that is stays unknown, on local tests, too. Samples of strangers whom nothing tells apart come alone.
    """

    name, title = "context", "the world model, told which test samples share a client (no labels)"
    searched, reuses_world, context = False, True, True

    def run(self, trial: Trial) -> Contender:
        run = trial.finished()
        world = run.outcome.world

        def answer(inputs: Tensor, groups: NDArray[np.int64]) -> Tensor:
            return world.predict(inputs, groups)

        def untempered(inputs: Tensor, groups: NDArray[np.int64]) -> Tensor:
            return world.untempered().predict(inputs, groups)

        up, down = run.traffic.up, run.traffic.down
        return Contender(answer, world.cost(), up, down, run.training_flops, untempered=untempered)
