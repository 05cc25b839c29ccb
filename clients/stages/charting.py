"""Stage 3: each client's chart, the sums from which its region's density is made."""

from collections.abc import Sequence

from clients.member import Member
from federation.contribution import Contribution, Listed
from federation.manifold import Encoder
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's chart under the member's own number: regions are formed from these by the server."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        encoder = Encoder(scenario.encoder, under("encoder", order.tensors))
        samples = member.data.train
        labels = samples.targets if task.classifies else None
        contributions.append(
            Contribution((member.number,), {member.number: scenario.charts.sums(encoder(samples.inputs), labels)})
        )
    return Listed(contributions)
