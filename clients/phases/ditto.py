"""The global model as in FedAvg, and beside it the client's own, pulled towards it."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from clients.global_training import answered, fitted, plain, received
from clients.member import Member
from clients.training import Batch, Objective, learning_rate
from federation.models.family import Gradient, written_out
from federation.phases.ditto import Ditto
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, accelerator, prefixed, unstacked
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models. A member's own model stays with it, and begins as the global one."""
    order, shared = orders[0], received(orders[0])
    trained = fitted(order, cohort, [shared] * len(cohort), scenario, task)
    rate = learning_rate(scenario.local, order.progress)
    near = pulled(plain(scenario, task), shared, scenario.phase(Ditto).mu, rate)
    starts = [member.memory.under(order.phase) or shared for member in cohort]
    own = fitted(order, cohort, starts, scenario, task, near, purpose="own")
    for member, model in zip(cohort, unstacked(own.parameters), strict=True):
        member.memory.update(prefixed(order.phase, model))
    return answered(trained, cohort, 2 * scenario.model.multiplies(task))


def pulled(plain: Objective, anchor: Parameters, mu: float, rate: float) -> Objective:
    """An objective with mu / 2 ||theta - anchor||^2 added.

    Down its gradients, divided by 1 + rate * mu, a plain step is the implicit one of the pull: stable for any mu, and
    for small rate * mu the authors' own.
    """
    there = {name: tensor.to(accelerator()) for name, tensor in anchor.items()}

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Gradient]]:
        losses, gradients = plain(model, batch, weights)
        total = {n: written_out(gradient).add(model[n] - there[n], alpha=mu) for n, gradient in gradients.items()}
        return losses, {name: gradient / (1 + rate * mu) for name, gradient in total.items()}

    return objective
