"""The global model, trained with control variates that take the drift of unequal clients out of their steps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor

from clients.global_training import answered, fitted, plain, received
from clients.member import Member
from clients.proposals import agreed, propose
from clients.training import Batch, Objective
from federation.models.family import Gradient, written_out
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, accelerator, prefixed, stacked, unstacked
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models, and by how much each client's control variate c_i changes.

    The next c_i is the mean of the gradients that the client's steps have met: without momentum and weight decay that
    is option II of the paper, c_i - c + (x - y_i) / (steps * rate).
    """
    model, control = received(orders[0]), received(orders[0], "control")
    zeros = {name: torch.zeros_like(tensor) for name, tensor in control.items()}
    own = [agreed(member, order) or zeros for member, order in zip(cohort, orders, strict=True)]
    before = stacked(own)
    corrected = Corrected(plain(scenario, task), {name: c - before[name] for name, c in control.items()})
    trained = fitted(orders[0], cohort, [model] * len(cohort), scenario, task, corrected)
    after = corrected.mean(_steps(cohort, scenario))
    for member, order, old, new in zip(cohort, orders, own, unstacked(after), strict=True):
        propose(member, order, old, new)
    changes = {name: c - before[name] for name, c in after.items()}
    sent = replace(trained, parameters={**trained.parameters, **prefixed("control", changes)})
    return answered(sent, cohort, scenario.model.multiplies(task))


class Corrected:
    """An objective with a constant added to each client's gradients; it remembers the sums of those without."""

    def __init__(self, plain: Objective, added: Parameters) -> None:
        self._plain = plain
        self._added = {name: tensor.to(accelerator()) for name, tensor in added.items()}
        self._sums = {name: torch.zeros_like(tensor) for name, tensor in self._added.items()}

    def __call__(self, model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Gradient]]:
        losses, gradients = self._plain(model, batch, weights)
        written = {name: written_out(gradient) for name, gradient in gradients.items()}
        for name, gradient in written.items():
            self._sums[name] += gradient
        return losses, {name: gradient + self._added[name] for name, gradient in written.items()}

    def mean(self, steps: Float[Tensor, " clients"]) -> dict[str, Tensor]:
        """Each client's mean gradients over its steps; one that rests has none."""
        return {n: t.cpu() / steps.view(-1, *[1] * (t.dim() - 1)) for n, t in self._sums.items()}


def _steps(cohort: Sequence[Member], scenario: Scenario) -> Float[Tensor, " clients"]:
    """How many steps each member takes."""
    local = scenario.local
    return torch.tensor([float(local.epochs * ceil(len(m.data.train) / local.batch_size)) for m in cohort])
