"""Every client alone: the experts' family, trained on the client's own data only. Nothing is communicated."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clients.stages.training import train_models
from clients.training import learning_rate
from federation.randomness import generator, torch_generator
from federation.world_model import Cost
from scenarios.baselines.contract import Contender, Method, Trial, training_flops


class Local(Method):
    """On the union each sample is answered by a client drawn at random; on local tests by its own client."""

    name, title = "local", "each client alone, equal expert size"

    def run(self, trial: Trial) -> Contender:
        task, scenario, family = trial.task, trial.scenario, trial.scenario.model
        samples = [client.train for client in trial.federation.clients]
        local = scenario.local.model_copy(update={"learning_rate": trial.learning_rate})
        models = [family.init(task, torch_generator(scenario.seed, "local", n)) for n in range(len(samples))]
        for round_ in range(trial.rounds):
            rate = learning_rate(local, round_ / trial.rounds)
            address, numbers = ("local", round_), range(len(samples))
            trained = train_models(models, samples, family, task, local, rate, scenario.seed, address, numbers)
            models = [{name: t[n].cpu() for name, t in trained.parameters.items()} for n in range(len(samples))]
            trial.on_round()

        def answer(inputs: Tensor, clients: NDArray[np.int64]) -> Tensor:
            strangers = generator(scenario.seed, "local union").integers(len(models), size=len(inputs))
            who = np.where(clients < 0, strangers, clients)
            answers = torch.zeros(len(inputs), task.outputs)
            for number in np.unique(who):
                mine = torch.from_numpy(who == number)
                alone = {name: tensor[None] for name, tensor in models[number].items()}
                answers[mine] = task.answers(family.apply(alone, inputs[mine][None])[0])
            return answers

        size, visits = family.parameters(task), trial.rounds * local.epochs * sum(map(len, samples))
        cost = Cost(size * len(models), size, 2 * family.multiplies(task))
        return Contender(answer, cost, training_flops=training_flops(family.multiplies(task) * visits))
