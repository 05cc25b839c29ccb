"""What is laid out once regions are there: an expert for each, and the small networks."""

from dataclasses import replace

import torch
from torch import Tensor

from federation.learning.experts import begun, committee, specialised
from federation.learning.fixed_point import Watch
from federation.manifold import Chart
from federation.manifold.coupling import neighbours
from federation.manifold.regions import region_charts
from federation.models import Size
from federation.models.family import FULL
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.tasks import Task
from server.state import Charted, Model, ServerState


def settled(state: ServerState, found: Charted, scenario: Scenario, task: Task) -> ServerState:
    """Start an expert for each region, and lay out the small networks."""
    charts, regions, atlas = found.charts, found.region_of_client, found.atlas
    classes = _own_classes(charts, regions) if scenario.experts.own_classes else (None,) * atlas.regions
    first = scenario.growth.first
    experts = [expert_begun(state, region, own, first, scenario, task) for region, own in enumerate(classes)]
    overlaps = atlas.overlaps(scenario.seed) if scenario.coupling.rounds else torch.eye(atlas.regions)
    latent = atlas.mean.shape[1]
    draw = torch_generator(scenario.seed, "small networks")
    head = scenario.head.network.init(task, latent, draw) if scenario.head.tells(task) else {}
    return replace(
        state,
        candidates=(),
        encoder=found.encoder,
        charts=charts,
        region_of_client=regions,
        atlas=atlas,
        watches=(Watch(),) * atlas.regions,
        neighbours=neighbours(overlaps, scenario.coupling.neighbours),
        experts=tuple(Model(expert, scenario.aggregation.init(expert), state.prior.variance) for expert in experts),
        sizes=(first,) * atlas.regions,
        classes=classes,
        head=head,
        router=scenario.router.rule.init(latent, atlas.regions, draw),
    )


def expert_begun(
    state: ServerState, region: int, classes: Tensor | None, size: Size, scenario: Scenario, task: Task
) -> dict[str, Tensor]:
    """The expert of one region before it is trained."""
    outputs = None if classes is None else len(classes)
    members = committee(scenario.model, task, outputs, scenario.experts.members)
    draw = torch_generator(scenario.seed, "expert", region)
    expert = begun(state.prior.parameters, scenario.model, task, classes, members, draw)
    family, own = specialised(scenario.model, task, outputs, members)
    return expert if size == FULL else family.slice(expert, own, size)


def _own_classes(charts: tuple[Chart, ...], regions: tuple[int, ...]) -> tuple[Tensor | None, ...]:
    """The classes that each region's charts name; None, which is all, where a client of it sent no chart."""
    uncharted = {region for chart, region in zip(charts, regions, strict=True) if not chart.components}
    return tuple(
        None if region in uncharted else torch.tensor(sorted(chart.components))
        for region, chart in enumerate(region_charts(charts, regions, max(regions) + 1))
    )
