"""Stage 4: each client's chart, the sums from which its region's density is made, under each encoder in question."""

from collections.abc import Sequence

from torch import Tensor

from clients.member import Member
from federation.contribution import Contribution, Listed
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import prefixed


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's charts under the member's own number: regions are formed from these by the server."""
    return Listed(
        [
            Contribution((member.number,), {member.number: _charts(order, member, scenario, task)})
            for order, member in zip(orders, cohort, strict=True)
        ]
    )


def _charts(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    samples = member.data.train
    labels = samples.targets if task.classifies else None
    sums: dict[str, Tensor] = {}
    for number, encoder in enumerate(scenario.fitted(order.tensors)):
        sums |= prefixed(str(number), scenario.charts.sums(encoder(samples.inputs), labels))
    return sums
