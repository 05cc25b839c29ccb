"""Every client alone: the experts' family, trained on the client's own data only. Nothing is communicated."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clients.stages.training import train_models
from clients.training import learning_rate
from federation.randomness import generator, torch_generator
from federation.tensors import Parameters, threads_for, unstacked
from federation.world_model import Cost
from scenarios.baselines.contract import Contender, Method, Trial, own_models, training_flops


class Local(Method):
    """On the union each sample is answered by a client drawn at random; on local tests by its own client."""

    name, title = "local", "each client alone, equal expert size"

    def run(self, trial: Trial) -> Contender:
        task, scenario, family = trial.task, trial.scenario, trial.scenario.model
        samples = [client.train for client in trial.federation.clients]
        local = scenario.local.model_copy(update={"learning_rate": trial.learning_rate})
        draws = (torch_generator(scenario.seed, "local", n) for n in range(len(samples)))
        models: list[Parameters] = [family.init(task, draw) for draw in draws]
        for round_ in range(trial.rounds):
            rate = learning_rate(local, round_ / trial.rounds)
            address, numbers = ("local", round_), range(len(samples))
            with threads_for(family.multiplies(task) * len(models) * local.batch_size):
                trained = train_models(models, samples, family, task, local, rate, scenario.seed, address, numbers)
            models = unstacked(trained.parameters)
            trial.on_round()

        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            strangers = generator(scenario.seed, "local union").integers(len(models), size=len(inputs))
            return own_models(family, models.__getitem__, task)(inputs, np.where(clients < 0, strangers, clients))

        size, visits = family.parameters(task), trial.rounds * local.epochs * sum(map(len, samples))
        cost = Cost(size * len(models), size, 2 * family.multiplies(task))
        return Contender(answer, cost, training_flops=training_flops(family.multiplies(task) * visits))
