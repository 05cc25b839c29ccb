"""Stage 6: tuning of the head h on p_0(y|x) proportional to (chart posterior) x exp(h(z)); no experts are involved."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from clients.calibration import shifts
from clients.member import Member
from clients.stages.tuning import tune
from clients.training import padded, rows_of
from federation.contribution import Weighed
from federation.records import LABELS, Order
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Each member's weighted head after local training."""
    latent = padded([m.memory["train/latent"] for m in cohort])
    charts = padded([m.memory["train/chart_logits"] for m in cohort])
    targets = padded([m.data.train.targets for m in cohort])
    network = scenario.head.network
    shift = shifts([m.data.train.targets for m in cohort], orders[0].tensors.get(LABELS))

    def losses(head: Parameters, rows: Int[Tensor, "clients batch"]) -> Float[Tensor, "clients batch"]:
        outputs = rows_of(charts, rows) + network.apply(head, rows_of(latent, rows)) + shift
        return task.losses(outputs, rows_of(targets, rows))

    return tune(orders, cohort, losses, scenario.head.local)
