"""All components, each trained on the share of a client's samples that is probably its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from clients.global_training import answered, fitted, losses_of, plain
from clients.member import Member
from clients.proposals import agreed
from clients.shares import reported
from clients.training import Batch, Objective
from federation.models.cost import BACKWARD
from federation.models.family import Gradient
from federation.phases.fedem import Fedem
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, prefixed, under
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """E: q(z = m | x, y) proportional to pi_m exp(-loss_m). M: pi_m is the mean of q, and each component goes down its
    losses times q."""
    models, components = under("components", orders[0].tensors), scenario.phase(Fedem).components
    before = orders[0].tensors["shares"]
    old = [agreed(member, order).get("shares", before) for member, order in zip(cohort, orders, strict=True)]
    found = [
        responsibilities(losses_of(models, member, scenario, task), own.float())
        for member, own in zip(cohort, old, strict=True)
    ]
    objective, parameters, loss = reweighted(plain(scenario, task)), dict[str, Tensor](), list[Tensor]()
    for component in range(components):
        start = {name: tensor[component] for name, tensor in models.items()}
        column = [own[:, component] for own in found]
        trained = fitted(orders[0], cohort, [start] * len(cohort), scenario, task, objective, [column])
        parameters |= prefixed(str(component), trained.parameters)
        loss.append(trained.loss)
    every = replace(trained, parameters=parameters, loss=torch.stack(loss).mean(0))
    cost = scenario.model.multiplies(task) * components * (1 + 1 / (BACKWARD * scenario.local.epochs))
    shares = torch.stack([own.double().mean(0) for own in found])
    return answered(every, cohort, cost, further=reported(orders, cohort, shares))


def responsibilities(
    losses: Float[Tensor, "samples components"], shares: Float[Tensor, " components"]
) -> Float[Tensor, "samples components"]:
    """q(z = m | x, y): which component each sample is from."""
    return (shares.log() - losses).softmax(1)


def reweighted(plain: Objective) -> Objective:
    """An objective whose rows weigh as much as the last column says."""

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Gradient]]:
        *columns, factors = batch
        return plain(model, columns, weights * factors)

    return objective
