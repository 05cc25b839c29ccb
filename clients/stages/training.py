"""Stages 2 and 4: local training of the foundation prior, or of the experts of the members' regions."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clients.calibration import shifts
from clients.member import Member
from clients.training import Batch, Objective, Trained, batches, learning_rate, train
from federation.contribution import Weighed
from federation.data import Samples
from federation.experts import Expert, specialised
from federation.models import ElasticFamily, Size
from federation.models.family import Slope
from federation.records import LABELS, Order
from federation.scenario import LocalTraining, Scenario
from federation.task import Task
from federation.tensors import Parameters, accelerator, stacked, under


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Weighed:
    """Weighted models, summed by the region that each order names. A client trains all members of its expert."""
    first, experts = orders[0], {id(order): Expert.of(under("model", order.tensors)) for order in orders}
    expert, size = experts[id(first)], Size(width=first.settings["width"], depth=first.settings["depth"])
    family, own = specialised(scenario.model, task, expert.outputs, expert.members)
    rate = learning_rate(scenario.local, first.progress) * first.settings["learning_rate"]
    apart = {key: expert.apart() for key, expert in experts.items()}
    samples = [_own(m.data.train, experts[id(order)].classes) for m, order in zip(cohort, orders, strict=True)]
    trained = train_models(
        [member for order in orders for member in apart[id(order)]],
        [rows for rows in samples for _ in range(expert.members)],
        family,
        own,
        scenario.local,
        rate,
        first.seed,
        (str(first.stage), first.round),
        [m.number * expert.members + member for m in cohort for member in range(expert.members)],
        union=first.tensors.get(LABELS),
    )
    regions, counts = [int(order.settings["region"]) for order in orders], [len(rows) for rows in samples]
    clients = [member.number for member in cohort]
    return weighed(trained.together(expert.members), clients, counts, regions, family.multiplies(own, size))


def _own(samples: Samples, classes: Tensor | None) -> Samples:
    """The samples of the classes that an expert answers, their targets counted among these."""
    if classes is None:
        return samples
    place = torch.searchsorted(classes, samples.targets).clamp_max(len(classes) - 1)
    mine = classes[place] == samples.targets
    return Samples(samples.inputs[mine], place[mine])


def supervised(family: ElasticFamily, task: Task, shift: Tensor | float = 0.0) -> Objective:
    """The task's losses of models of a family; the batch's columns are inputs and targets.

    Args:
        shift: added to the outputs, [clients, 1, outputs].
    """

    def objective(model: Parameters, batch: Batch, weights: Tensor) -> tuple[Tensor, Mapping[str, Slope]]:
        inputs, targets = batch
        outputs, pull = family.pullback(model, inputs)
        row_losses, slopes = task.slopes(outputs + shift, targets)
        return row_losses, pull(slopes * weights.unsqueeze(-1))

    return objective


def train_models(
    starts: Sequence[Parameters],
    samples: Sequence[Samples],
    family: ElasticFamily,
    task: Task,
    local: LocalTraining,
    rate: float,
    seed: int,
    address: tuple[int | str, ...],
    clients: Sequence[int],
    proximal: float = 0.0,
    union: Tensor | None = None,
) -> Trained:
    """Train one model a client on that client's samples; all models are of one size.

    Args:
        union: counts of the classes in the federation, for which losses are calibrated.
    """
    device, shift = accelerator(), shifts([s.targets for s in samples], union)
    added = shift.to(device) if isinstance(shift, Tensor) else shift
    columns = [s.inputs for s in samples], [s.targets for s in samples]
    plan = batches([len(s) for s in samples], local, seed, address, clients)
    start = {name: tensor.to(device) for name, tensor in stacked(list(starts)).items()}
    return train(start, supervised(family, task, added), columns, plan, local, rate, proximal)


def weighed(
    trained: Trained, clients: Sequence[int], samples: Sequence[int], regions: Sequence[int], multiplies: int
) -> Weighed:
    """Each client's model, weighed by its samples, with the sums that say what one round of training did.

    Args:
        multiplies: multiply-adds of one sample's forward pass.
    """
    visited = trained.visited.double()
    metrics = {"loss": trained.loss.double() * visited, "visited": visited, "multiplies": multiplies * visited}
    return Weighed(
        clients,
        regions,
        trained.parameters,
        torch.tensor([float(count) for count in samples]),
        {f"metric/{name}": values for name, values in metrics.items()},
    )
