"""The monolith with all data in one place: stochastic gradient descent with momentum and a cosine schedule."""

from math import ceil

import numpy as np
import torch

from federation.data import Samples
from federation.randomness import generator, torch_generator
from federation.world_model import Cost
from scenarios.baselines.contract import Contender, Method, Trial, monolith_cost, single_model, training_flops

BATCH, RATE, MOMENTUM = 50, 0.05, 0.9
"""Its own, since a federation's batches are averaged over clients; the search moves the rate for this data set."""


class Central(Method):
    """As many parameters as one query of the world model runs."""

    name, title = "central", "monolith on pooled data, equal active parameters"

    def parameters(self, size: Cost) -> int:
        """To which of the world model's sizes the monolith is made equal."""
        return size.active_parameters

    def run(self, trial: Trial) -> Contender:
        assert trial.size is not None
        task, scenario, probe = trial.task, trial.scenario, trial.probe()
        family = scenario.model.sized_to(task, self.parameters(trial.size))
        pooled = Samples.concatenated([client.train for client in trial.federation.clients])
        model = {
            name: tensor[None].requires_grad_()
            for name, tensor in family.init(task, torch_generator(scenario.seed, self.name)).items()
        }
        optimizer = torch.optim.SGD(
            model.values(), RATE * trial.factor, MOMENTUM, weight_decay=scenario.local.weight_decay
        )
        epochs = trial.rounds * scenario.local.epochs
        steps = epochs * ceil(len(pooled) / BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        answer, curve = single_model(family, {n: t[0].detach() for n, t in model.items()}, task), []
        for epoch in range(epochs):
            order = generator(scenario.seed, self.name, epoch).permutation(len(pooled))
            for start in range(0, len(pooled), BATCH):
                rows = pooled.take(order[start : start + BATCH])
                optimizer.zero_grad()
                torch.autograd.backward(task.losses(family.apply(model, rows.inputs[None])[0], rows.targets).mean())
                optimizer.step()
                schedule.step()
            if (epoch + 1) % scenario.local.epochs == 0:
                answer = single_model(family, {n: t[0].detach().clone() for n, t in model.items()}, task)
                nobody = np.full(len(probe), -1)
                curve.append(
                    ((epoch + 1) // scenario.local.epochs, task.score(answer(probe.inputs, nobody), probe.targets))
                )
                trial.on_round()
        flops = training_flops(family.multiplies(task) * epochs * len(pooled))
        return Contender(answer, monolith_cost(family, task), training_flops=flops, curve=tuple(curve))


class CentralTotal(Central):
    """As many parameters as the whole world model holds."""

    name, title = "central_total", "monolith on pooled data, equal total parameters"

    def parameters(self, size: Cost) -> int:
        return size.total_parameters
