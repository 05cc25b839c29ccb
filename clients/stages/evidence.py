"""Stage 5: the client downloads atlas and experts once, and remembers what they say of its own samples.

The rounds of the head, the router and the composition then exchange nothing but small networks and sums.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from federation.contribution import EVERYWHERE, Contribution, Listed
from federation.data import Samples
from federation.records import Order
from federation.scenario import Scenario
from federation.task import Task
from federation.world_model import WorldModel


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Nothing leaves but the number of samples that are ready."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        world = WorldModel.of(
            scenario.design(task, scenario.encoders[int(order.settings["encoder"])], int(order.settings["regions"])),
            order.tensors,
        )
        for part, samples in (("train", member.data.train), ("held_out", member.data.held_out)):
            for name, tensor in _evidence(world, samples).items():
                member.memory[f"{part}/{name}"] = tensor
        ready = torch.tensor(float(len(member.data.train)), dtype=torch.float64)
        contributions.append(Contribution((member.number,), {EVERYWHERE: {"ready": ready}}))
    return Listed(contributions)


def _evidence(world: WorldModel, samples: Samples) -> dict[str, Tensor]:
    rows, task = samples.inputs, world.design.task
    latent = world.encoder(rows)
    evidence = {
        "latent": latent,
        "scores": world.regions.relative_scores(latent),
        "novelty": world.regions.novelty(latent).float(),
        "experts": _experts(world, rows),
        "prior": world.generalist(rows),
    }
    if task.classifies:
        evidence["chart_logits"] = world.chart_logits(latent)
    return evidence


def _experts(world: WorldModel, rows: Tensor) -> Float[Tensor, "samples regions outputs"]:
    return torch.stack([world.expert(region, rows) for region in range(world.design.regions)], 1)
