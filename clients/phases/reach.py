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
from federation.phases.reach import HELD_OUT, TRAIN, Places
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, single
from federation.wire.contribution import Listed
from federation.wire.records import LABELS, Order
from federation.world_model import WorldModel


def contribute(orders: Sequence[Order], cohort: Sequence[Member], scenario: Scenario, task: Task) -> Listed:
    """The share of each region in all gates of the member's samples, under the member's own number."""

    def sums(order: Order, member: Member) -> Parameters:
        world = remember(order, member, scenario, task)
        share = torch.zeros(world.design.regions, dtype=torch.float64)
        for part in (TRAIN, HELD_OUT):
            latent, scores = (member.memory[kept][None] for kept in (part.latent, part.scores))
            share += scenario.router.rule.logits(single(world.router), latent, scores)[0].softmax(1).sum(0)
        return {"share": share / share.sum()}

    return one_by_one(orders, cohort, sums, own_number)


def remember(order: Order, member: Member, scenario: Scenario, task: Task) -> WorldModel:
    """Keep where the member's samples lie, in the world that the order's charts tell."""
    world = charted(order, scenario, task)
    for part, samples in ((TRAIN, member.data.train), (HELD_OUT, member.data.held_out)):
        member.memory.update(_places(part, world, samples.inputs))
    return world


def charted(order: Order, scenario: Scenario, task: Task) -> WorldModel:
    """The world as far as an order's charts and router tell it: without experts."""
    encoder = scenario.encoders[int(order.settings["encoder"])]
    world = WorldModel.of(scenario.design(task, encoder, int(order.settings["regions"])), order.tensors)
    uncharted = world.atlas.without_chart(order.tensors[LABELS]) if task.classifies else ()
    return replace(world, design=world.design.model_copy(update={"uncharted": uncharted}))


def _places(part: Places, world: WorldModel, rows: Float[Tensor, "samples *shape"]) -> dict[str, Tensor]:
    query = world.query(rows)
    places: dict[str, Tensor] = {
        part.latent: query.latent,
        part.scores: query.survey.spread(world.design.regions),
        part.novelty: query.survey.novelty().float(),
    }
    return places | ({part.chart_logits: world.chart_logits(query)} if world.design.task.classifies else {})
