"""The global model as in FedAvg, and beside it the client's own, pulled towards it."""

from collections.abc import Sequence

from clients.global_training import answered, fitted, received
from clients.member import Member
from clients.training import Pull
from federation.phases.ditto import Ditto
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed, unstacked
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models. A member's own model stays with it, and begins as the global one."""
    order, shared = orders[0], received(orders[0])
    trained = fitted(order, cohort, [shared] * len(cohort), scenario, task)
    starts = [member.memory.under(order.phase) or shared for member in cohort]
    pull = Pull(scenario.phase(Ditto).mu, shared)
    own = fitted(order, cohort, starts, scenario, task, purpose="own", pull=pull)
    for member, model in zip(cohort, unstacked(own.parameters), strict=True):
        member.memory.update(prefixed(order.phase, model))
    return answered(trained, cohort, 2 * scenario.model.multiplies(task))
