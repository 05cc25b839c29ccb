"""The client's own head, trained on the representation that it receives, then the representation under it."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from clients.global_training import answered, fitted, plain, received
from clients.member import Member
from clients.training import Batch, Objective
from federation.models.family import Gradient
from federation.phases.fedrep import Fedrep
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, prefixed, unstacked
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models, with the members' heads: their mean answers clients that are unknown, and they are sent for that
    alone. A client that has no head yet begins with that mean, which its first order holds."""
    personal, order, objective = scenario.phase(Fedrep).personal, orders[0], plain(scenario, task)
    starts: list[Parameters] = [_start(order, member, personal) for member in cohort]
    multiplies = scenario.model.multiplies(task)
    if personal:
        heads = fitted(order, cohort, starts, scenario, task, only(objective, personal), purpose="head")
        starts, multiplies = unstacked(heads.parameters), 2 * multiplies
        for member, own in zip(cohort, starts, strict=True):
            member.memory.update(prefixed(order.phase, {name: own[name] for name in personal}))
    body = tuple(name for name in starts[0] if name not in personal)
    return answered(fitted(order, cohort, starts, scenario, task, only(objective, body)), cohort, multiplies)


def only(plain: Objective, names: Sequence[str]) -> Objective:
    """An objective of some of the tensors; the others rest."""

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Gradient]]:
        losses, gradients = plain(model, batch, weights)
        return losses, {name: gradients[name] for name in names}

    return objective


def _start(order: Order, member: Member, personal: Sequence[str]) -> dict[str, Tensor]:
    """The body that was sent, under the member's own head, or under the one that was sent to a member without."""
    sent = received(order)
    own = {name: member.memory[f"{order.phase}/{name}"] for name in personal if name not in sent}
    return {**sent, **own}
