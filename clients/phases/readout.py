"""The sums of which a region's readout is made: products of its features, over its clients' samples."""

from collections.abc import Sequence

from clients.member import Member
from clients.phases.least_squares import counted
from clients.seen import seen_by
from clients.sums import one_by_one, own_region
from federation.learning.experts import Expert
from federation.learning.readout import Readout
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Moments of the member's training samples of the region's classes, and what they cost."""
    features = scenario.experts.features
    assert features is not None

    def sums(order: Order, member: Member) -> Parameters:
        expert = Expert.of(order.tensors)
        readout, own = Readout.like(scenario.model, task, features, expert.outputs)
        samples = seen_by(expert, member.data.train)
        units = readout.features.apply(samples.inputs)
        return counted(units, samples.targets, own, readout.features.multiplies(task.input_shape))

    return one_by_one(orders, cohort, sums, own_region)
