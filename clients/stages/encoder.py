"""Stage 1: the sums from which the shared encoder is fitted."""

from collections.abc import Sequence

from clients.member import Member
from federation.contribution import EVERYWHERE, Contribution
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> list[Contribution]:
    """Moments of each member's training inputs."""
    return [Contribution((m.number,), {EVERYWHERE: scenario.encoder.moments(m.data.train.inputs)}) for m in cohort]
