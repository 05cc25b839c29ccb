"""Tuning of the head h on p_0(y|x) proportional to (chart posterior) x exp(h(x)); no experts are involved."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.training import Batch
from clients.tuning import tune
from federation.phases.reach import TRAIN
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters
from federation.wire.contribution import Weighed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Each member's weighted head after local training."""
    network, targets = scenario.head.network, [m.data.train.targets for m in cohort]
    read = [network.reads(m.data.train.inputs, m.memory[TRAIN.latent]) for m in cohort]
    columns = read, [m.memory[TRAIN.chart_logits] for m in cohort], targets

    def losses(head: Parameters, batch: Batch) -> Float[Tensor, "clients batch"]:
        read, charts, targets = batch
        return task.objective(charts + network.apply(head, read), targets)

    return tune(orders, cohort, losses, columns, scenario.head.local)
