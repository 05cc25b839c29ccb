"""The monolith with all data in one place: stochastic gradient descent with momentum and a cosine schedule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from clients.training import flipped
from federation.data.samples import Samples
from federation.learning.descent import Descent, RowLosses, Schedule
from federation.models import ElasticFamily
from federation.models.cost import Cost
from federation.optimizers import AdamW
from federation.randomness import generator, torch_generator
from federation.tasks import Task
from federation.tensors import Parameters
from scenarios.baselines.contract import Answer, Contender, Method, Trial, active, single_model, total, training_flops

RATE, ADAMW_RATE = 0.05, 0.003
"""The search moves them for this data set."""


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
    losses: RowLosses,
    name: str,
    schedule: Schedule = CosineAnnealingLR,
) -> Iterator[Parameters]:
    """Train one model in one place, for the epochs of all the trial's rounds.

    Args:
        samples: those of an epoch; their number stays.
        name: of the method, the address of all its draws.
    Returns:
        The model after each round's worth of epochs.
    """
    local, seed = trial.scenario.local, trial.scenario.seed
    rate = trial.factor * (ADAMW_RATE if isinstance(local.optimizer, AdamW) else RATE)
    descent = Descent(trial.rounds * local.epochs, rate, local.optimizer, local.clip, seed, (name,), schedule)
    models = descent.models(family.init(task, torch_generator(seed, name)), family, task, samples, losses)
    return islice(models, local.epochs - 1, None, local.epochs)


@dataclass(frozen=True)
class Sight:
    """What a monolith sees in place of inputs.

    Attributes:
        trained: of the pooled training inputs, in their order; of a shape that the family takes.
        asked: of any inputs.
        cost: of seeing it, which counts among the active parameters.
    """

    family: ElasticFamily
    trained: Callable[[Tensor], Tensor]
    asked: Callable[[Tensor], Tensor]
    cost: Cost


def sighted(trial: Trial, sight: Sight, name: str) -> Contender:
    """A monolith of as many active parameters as one query of the world model runs, what it sees counted.

    Where that leaves it nothing, it is as narrow as its family can be.
    """
    local, pooled = trial.scenario.local, Samples.concatenated([client.train for client in trial.federation.clients])
    given, once = shown(trial, pooled, name), sight.trained(pooled.inputs)

    def samples(epoch: int) -> Samples:
        return Samples(sight.trained(given(epoch).inputs) if local.mirrored else once, pooled.targets)

    task = trial.task.model_copy(update={"input_shape": tuple(once.shape[1:])})
    run = trial.finished()
    left = active(run.outcome.world.cost()) - sight.cost.active_parameters
    family = sight.family.sized_to(task, max(1, left))
    models = descended(trial, family, task, samples, task.objective, name)

    def answers(model: Parameters) -> Answer:
        inner = single_model(family, model, task)
        return lambda inputs, clients: inner(sight.asked(inputs), clients)

    answer, curve = trial.followed(answers(model) for model in models)
    flops = run.training_flops + training_flops(family.multiplies(task) * trial.rounds * local.epochs * len(pooled))
    return Contender(answer, Cost.of(family, task) + sight.cost, run.traffic.up, run.traffic.down, flops, curve)


CENTRAL, CENTRAL_TOTAL = Central(), CentralTotal()
