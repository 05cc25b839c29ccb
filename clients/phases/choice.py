"""How well the charts of each encoder in question tell the samples that were held out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one
from federation.manifold import Atlas
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import under
from federation.wire.contribution import Listed
from federation.wire.records import Order


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Sums over each member's held-out samples: what the charts know of where they belong, in nats."""
    return one_by_one(orders, cohort, lambda order, member: _sums(order, member, scenario, task))


def _sums(order: Order, member: Member, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    samples, gains = member.data.held_out, []
    for number, encoder in enumerate(scenario.fitted(order.tensors)):
        home = under(f"charted/{number}", order.tensors)
        region_of_client = home.pop("region_of_client")
        atlas = Atlas.from_tensors(int(region_of_client.max()) + 1, home)
        latent = encoder(samples.inputs)
        if task.classifies and scenario.charts.by_label:
            gains.append(atlas.label_information(latent, samples.targets, task.outputs))
        else:
            gains.append(atlas.region_information(latent, int(region_of_client[member.number])))
    return {"gain": torch.stack(gains), "count": torch.tensor(float(len(samples)), dtype=torch.float64)}
