"""The client downloads encoder and charts once, and finds where its samples lie and which experts they reach.

So it downloads no expert to which the charts would never send its samples.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from clients.member import Member
from clients.sums import one_by_one, own_number
from federation.data.samples import Samples
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, single
from federation.wire.contribution import Listed
from federation.wire.records import LABELS, Order
from federation.world_model import WorldModel

PARTS = ("train", "held_out")
"""The samples that a member keeps the places of."""


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """The share of each region in all gates of the member's samples, under the member's own number."""

    def sums(order: Order, member: Member) -> Parameters:
        world = remember(order, member, scenario, task)
        share = torch.zeros(world.design.regions, dtype=torch.float64)
        for part in PARTS:
            latent, scores = (member.memory[f"{part}/{name}"][None] for name in ("latent", "scores"))
            share += scenario.router.rule.logits(single(world.router), latent, scores)[0].softmax(1).sum(0)
        return {"share": share / share.sum()}

    return one_by_one(orders, cohort, sums, own_number)


def remember(order: Order, member: Member, scenario: Scenario, task: Task) -> WorldModel:
    """Keep where the member's samples lie, in the world that the order's charts tell."""
    world = charted(order, scenario, task)
    for part in PARTS:
        samples: Samples = getattr(member.data, part)
        for name, tensor in _places(world, samples.inputs).items():
            member.memory[f"{part}/{name}"] = tensor
    return world


def charted(order: Order, scenario: Scenario, task: Task) -> WorldModel:
    """The world as far as an order's charts and router tell it: without experts."""
    encoder = scenario.encoders[int(order.settings["encoder"])]
    world = WorldModel.of(scenario.design(task, encoder, int(order.settings["regions"])), order.tensors)
    uncharted = world.atlas.without_chart(order.tensors[LABELS]) if task.classifies else ()
    return replace(world, design=world.design.model_copy(update={"uncharted": uncharted}))


def _places(world: WorldModel, rows: Float[Tensor, "samples *shape"]) -> dict[str, Tensor]:
    query = world.query(rows)
    places = {
        "latent": query.latent,
        "scores": query.survey.spread(world.design.regions),
        "novelty": query.survey.novelty().float(),
    }
    return places | ({"chart_logits": world.chart_logits(query)} if world.design.task.classifies else {})
