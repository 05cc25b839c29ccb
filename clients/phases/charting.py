"""Each client's chart, the sums from which its region's density is made, under each encoder."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one, own_number
from federation.data.samples import Samples
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's charts under the member's own number: regions are formed from these by the server."""
    return one_by_one(orders, cohort, lambda order, member: _charts(order, member, scenario, task), own_number)


def _charts(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    """One under each encoder in question."""
    samples = member.data.train
    sums: dict[str, Tensor] = {}
    for number, encoder in enumerate(scenario.fitted(order.tensors)):
        sums |= prefixed(str(number), chart_sums(encoder(samples.inputs), samples, order, scenario, task))
    return sums


def chart_sums(
    latent: Float[Tensor, "samples latent"],
    samples: Samples,
    order: Order,
    scenario: Scenario,
    task: Task,
) -> dict[str, Tensor]:
    """The chart of some of a member's samples."""
    return scenario.charts.sums(latent, samples.targets if task.classifies else None, order.seed)
