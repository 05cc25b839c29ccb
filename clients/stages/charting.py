"""Stage 3: each client's chart, the sums from which its region's density and dimension are made."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from federation.contribution import Contribution, Listed
from federation.data import Samples
from federation.manifold import Encoder
from federation.manifold.dimension import spacing
from federation.randomness import generator
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Each member's chart under the member's own number: regions are formed from these by the server."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        latent = Encoder(scenario.encoder, under("encoder", order.tensors))(member.data.train.inputs)
        contributions.append(charted(latent, member.data.train, order, member, scenario, task))
    return Listed(contributions)


def charted(
    latent: Float[Tensor, "samples latent"],
    samples: Samples,
    order: Order,
    member: Member,
    scenario: Scenario,
    task: Task,
) -> Contribution:
    """The chart of some of a member's samples, and their spacing."""
    sums = scenario.charts.sums(latent, samples.targets if task.classifies else None)
    sums |= spacing(latent, generator(order.seed, str(order.stage), member.number)).sums()
    return Contribution((member.number,), {member.number: sums})
