"""The global model, trained on all of each client's samples."""

from collections.abc import Sequence

from clients.member import Member
from clients.model_training import train_members
from federation.phases.averaging import Averaging
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models, each of the size of its client's device."""
    phase, address = scenario.phase(Averaging), ("fit", orders[0].round + 1)
    return train_members(orders, cohort, scenario, task, address, proximal=phase.proximal, distilled=phase.distilled)
