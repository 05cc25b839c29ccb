"""Every client alone: the experts' family, trained on the client's own data only. Nothing is communicated."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from federation.models import ElasticFamily
from federation.randomness import generator, torch_generator
from federation.tensors import Parameters, stacked, unstacked
from federation.world_model import Cost
from scenarios.baselines.contract import Answer, Trial, own_models
from scenarios.baselines.federated import Federated, Round

Models = Sequence[Parameters]
"""Each client's."""


class Local(Federated[Models]):
    """Everybody trains in each round, asked or not. On the union each sample is answered by a client drawn at random;
    on local tests by its own client."""

    name, title = "local", "each client alone, equal expert size"

    def family(self, trial: Trial) -> ElasticFamily:
        return trial.scenario.model

    def begin(self, trial: Trial, family: ElasticFamily) -> Models:
        clients = range(len(trial.federation.clients))
        return [family.init(trial.task, torch_generator(trial.scenario.seed, "local", n)) for n in clients]

    def round(self, state: Models, now: Round) -> Models:
        models: list[Parameters] = []
        for cohort in now.cohorts(among=range(len(state))):
            trained = now.train(stacked([state[client] for client in cohort]), cohort, purpose="local")
            models += unstacked(trained.parameters)
        return models

    def answer(self, state: Models, trial: Trial, family: ElasticFamily) -> Answer:
        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            strangers = generator(trial.scenario.seed, "local union").integers(len(state), size=len(inputs))
            return own_models(family, state.__getitem__, trial.task)(inputs, np.where(clients < 0, strangers, clients))

        return answer

    def cost(self, trial: Trial, family: ElasticFamily) -> Cost:
        size, clients = family.parameters(trial.task), len(trial.federation.clients)
        return Cost(size * clients, size, 2 * family.multiplies(trial.task))
