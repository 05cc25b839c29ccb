"""The global model, trained on each client's samples; the server keeps the models apart."""

from collections.abc import Sequence

from clients.global_training import answered, fitted, received
from clients.member import Member
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models, each under its member's own number."""
    trained = fitted(orders[0], cohort, [received(orders[0])] * len(cohort), scenario, task)
    return answered(trained, cohort, scenario.model.multiplies(task), [member.number for member in cohort])
