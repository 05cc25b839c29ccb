"""Local training of models that belong to no region, with whatever objective a method has."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.model_training import TrainingJob, supervised, train_on, weighed
from clients.training import Column, Objective, Pull, Trained
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, under
from federation.wire.contribution import EVERYWHERE, Weighed
from federation.wire.records import Order


def received(order: Order, prefix: str = "model") -> dict[str, Tensor]:
    """The model that an order holds, without the members axis, which has one member here."""
    return {name: tensor[0] for name, tensor in under(prefix, order.tensors).items()}


def plain(scenario: Scenario, task: Task) -> Objective:
    """The task's losses on inputs and targets."""
    return supervised(scenario.model, task)


def fitted(
    order: Order,
    cohort: Sequence[Member],
    starts: Sequence[Parameters],
    scenario: Scenario,
    task: Task,
    objective: Objective | None = None,
    columns: Sequence[Column] = (),
    purpose: str = "fit",
    pull: Pull | None = None,
) -> Trained:
    """Each member's model after one round of local training.

    All methods visit the same batches in the same round, so that they differ by what they do with them.

    Args:
        starts: of each member.
        objective: by default the task's losses.
        columns: further ones that the objective is given after inputs and targets.
        purpose: address of the batches; a second training in the same round has one of its own.
        pull: towards another model.
    """
    samples, numbers = [member.data.train for member in cohort], [member.number for member in cohort]
    rate, address = scenario.local.rate(order.progress), (purpose, order.round + 1)
    job = TrainingJob(starts, samples, numbers, scenario.local, rate, order.seed, address, pull)
    return train_on(job, objective or plain(scenario, task), columns)


def answered(
    trained: Trained,
    cohort: Sequence[Member],
    multiplies: float,
    regions: Sequence[int] | None = None,
    further: Mapping[str, Float[Tensor, "clients ..."]] | None = None,
) -> Weighed:
    """What members send: their models, weighed by samples.

    Args:
        multiplies: multiply-adds of a forward pass of one sample, and of what else its visit costs.
        regions: under which each model is kept; everywhere by default.
        further: sums that come with them.
    """
    counts = [len(member.data.train) for member in cohort]
    numbers = [member.number for member in cohort]
    together = trained.together(1) if trained.parameters else trained
    return weighed(together, numbers, counts, regions or [EVERYWHERE] * len(cohort), multiplies, further)


def losses_of(models: Parameters, member: Member, scenario: Scenario, task: Task) -> Float[Tensor, "samples models"]:
    """What each of several models loses on each of a member's training samples.

    Args:
        models: along a leading axis.
    """
    rows = member.data.train
    outputs = scenario.model.asked(models, rows.inputs, task)
    return task.losses(outputs, rows.targets.expand(len(outputs), *rows.targets.shape)).T


def samples_of(cohort: Sequence[Member]) -> Float[Tensor, " clients"]:
    """Each member's number of training samples."""
    return torch.tensor([float(len(member.data.train)) for member in cohort], dtype=torch.float64)
