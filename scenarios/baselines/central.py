"""The monolith with all data in one place: stochastic gradient descent with momentum and a cosine schedule."""

from collections.abc import Callable, Iterator
from math import ceil

import torch
from torch import Tensor

from clients.training import flipped
from federation.data.samples import Samples
from federation.models import ElasticFamily
from federation.models.cost import Cost
from federation.optimizers import AdamW, Sgd
from federation.randomness import generator, torch_generator
from federation.tasks import Task
from federation.tensors import Parameters, threads_for
from scenarios.baselines.contract import (
    Contender,
    Method,
    Trial,
    active,
    single_model,
    total,
    training_flops,
)

BATCH, RATE, ADAMW_RATE, MOMENTUM = 50, 0.05, 0.003, 0.9
"""Its own, since a federation's batches are averaged over clients; the search moves the rate for this data set."""


class Central(Method):
    """As many parameters as one query of the world model runs."""

    name, title = "central", "monolith on pooled data, equal active parameters"

    parameters = staticmethod(active)
    """To which of the world model's sizes the monolith is made equal."""

    def run(self, trial: Trial) -> Contender:
        task, scenario, family = trial.task, trial.scenario, trial.sized(self.parameters)
        pooled = Samples.concatenated([client.train for client in trial.federation.clients])
        models = descended(trial, family, task, shown(trial, pooled, self.name), task.objective, self.name)
        answer, curve = trial.followed(single_model(family, model, task) for model in models)
        flops = training_flops(family.multiplies(task) * trial.rounds * scenario.local.epochs * len(pooled))
        return Contender(answer, Cost.of(family, task), training_flops=flops, curve=curve)


class CentralTotal(Central):
    """As many parameters as the whole world model holds."""

    name, title = "central_total", "monolith on pooled data, equal total parameters"

    parameters = staticmethod(total)


def shown(trial: Trial, pooled: Samples, name: str) -> Callable[[int], Samples]:
    """The samples of each epoch: the same, or, where local training mirrors images, each mirrored or not by chance."""
    if not trial.scenario.local.mirrored:
        return lambda epoch: pooled

    def mirrored(epoch: int) -> Samples:
        flags = generator(trial.scenario.seed, name, "mirrored", epoch).random(len(pooled)) < 0.5
        return Samples(flipped(pooled.inputs, torch.from_numpy(flags)), pooled.targets)

    return mirrored


def descended(
    trial: Trial,
    family: ElasticFamily,
    task: Task,
    samples: Callable[[int], Samples],
    losses: Callable[[Tensor, Tensor], Tensor],
    name: str,
) -> Iterator[Parameters]:
    """Train one model in one place, for the epochs of all the trial's rounds.

    Args:
        samples: those of an epoch; their number stays.
        losses: of outputs [samples, outputs] and targets, one a row.
        name: of the method, the address of all its draws.
    Returns:
        The model after each round's worth of epochs.
    """
    scenario, fresh = trial.scenario, family.init(task, torch_generator(trial.scenario.seed, name))
    model = {name: tensor[None].requires_grad_() for name, tensor in fresh.items()}
    epochs, optimizer = trial.rounds * scenario.local.epochs, _optimizer(trial, model)
    steps = epochs * ceil(len(samples(0)) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        rows = samples(epoch)
        order = generator(scenario.seed, name, epoch).permutation(len(rows))
        with threads_for(family.multiplies(task) * BATCH):
            for start in range(0, len(rows), BATCH):
                batch = rows.take(order[start : start + BATCH])
                optimizer.zero_grad()
                torch.autograd.backward(losses(family.apply(model, batch.inputs[None])[0], batch.targets).mean())
                if scenario.local.clip is not None:
                    torch.nn.utils.clip_grad_norm_(model.values(), scenario.local.clip)
                optimizer.step()
                schedule.step()
        if (epoch + 1) % scenario.local.epochs == 0:
            yield {name: tensor[0].detach().clone() for name, tensor in model.items()}


def _optimizer(trial: Trial, model: Parameters) -> torch.optim.Optimizer:
    """Of the kind of the clients' own, with the same weight decay."""
    kind = trial.scenario.local.optimizer
    if isinstance(kind, AdamW):
        betas = kind.beta1, kind.beta2
        return torch.optim.AdamW(model.values(), ADAMW_RATE * trial.factor, betas, kind.eps, kind.weight_decay)
    decay = kind.weight_decay if isinstance(kind, Sgd) else 0.0
    return torch.optim.SGD(model.values(), RATE * trial.factor, MOMENTUM, weight_decay=decay)


CENTRAL, CENTRAL_TOTAL = Central(), CentralTotal()
