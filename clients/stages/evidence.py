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
from federation.world_model import Design, WorldModel


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """Nothing leaves but the number of samples that are ready."""
    contributions = []
    for order, member in zip(orders, cohort, strict=True):
        world = WorldModel.of(_design(order, scenario, task), order.tensors)
        for part, samples in (("train", member.data.train), ("held_out", member.data.held_out)):
            for name, tensor in _evidence(world, samples).items():
                member.memory[f"{part}/{name}"] = tensor
        ready = torch.tensor(float(len(member.data.train)), dtype=torch.float64)
        contributions.append(Contribution((member.number,), {EVERYWHERE: {"ready": ready}}))
    return Listed(contributions)


def _design(order: Order, scenario: Scenario, task: Task) -> Design:
    return Design(
        task=task,
        family=scenario.model,
        encoder=scenario.encoder,
        router=scenario.router.rule,
        head=scenario.head.network,
        chart_temperature=scenario.head.temperature,
        regions=int(order.settings["regions"]),
        region_of_client=(),
        composition={},
        novelty_threshold=0.0,
    )


def _evidence(world: WorldModel, samples: Samples) -> dict[str, Tensor]:
    query = world.query(samples.inputs)
    evidence = {
        "latent": query.latent,
        "scores": query.survey.spread(world.design.regions),
        "novelty": query.survey.novelty().float(),
        "experts": _experts(world, query.rows),
        "prior": world.generalist(query.rows),
    }
    if world.design.task.classifies:
        evidence["chart_logits"] = world.chart_logits(query.survey)
    return evidence


def _experts(world: WorldModel, rows: Tensor) -> Float[Tensor, "samples regions outputs"]:
    return torch.stack([world.expert(region, rows) for region in range(world.design.regions)], 1)
