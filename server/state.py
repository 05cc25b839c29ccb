"""The server's state between rounds: a frozen value; each round yields the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

import torch
from torch import Tensor

from federation.manifold import Atlas, Chart, Encoder
from federation.manifold.regions import region_charts
from federation.novelty import NOTHING_NOVEL
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, prefixed, stacked
from federation.world_model import Design, WorldModel


@dataclass(frozen=True)
class Model:
    """A model under aggregation, with the state of its rule."""

    parameters: Parameters
    rule: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class ServerState:
    """What the phases have made so far. What a later phase makes is None or empty before it.

    Attributes:
        known: the histogram of the novelty of held-out samples, as it is sent where regions may spawn.
        pioneers: clients whose samples spawned the last region.
    """

    prior: Model
    encoder: Encoder | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    charts: tuple[Chart, ...] = ()
    region_of_client: tuple[int, ...] = ()
    atlas: Atlas | None = None
    experts: tuple[Model, ...] = ()
    head: Parameters = field(default_factory=dict)
    router: Parameters = field(default_factory=dict)
    composition: dict[str, float] = field(default_factory=dict)
    novelty_threshold: float = inf
    known: dict[str, Tensor] = field(default_factory=dict)
    pioneers: tuple[int, ...] = ()


def initial(scenario: Scenario, task: Task) -> ServerState:
    """The state before the first round: a fresh foundation prior."""
    parameters = scenario.model.init(task, torch_generator(scenario.seed, "prior"))
    return ServerState(prior=Model(parameters, scenario.aggregation.init(parameters)))


def charted(state: ServerState, charts: tuple[Chart, ...], scenario: Scenario, task: Task) -> ServerState:
    """Form the regions, start an expert for each from the prior, and lay out the small networks."""
    regions = scenario.regions.assign(charts)
    atlas = Atlas.of(region_charts(charts, regions, max(regions) + 1), scenario.charts)
    start = Model(state.prior.parameters, scenario.aggregation.init(state.prior.parameters))
    latent = atlas.mean.shape[1]
    draw = torch_generator(scenario.seed, "small networks")
    head: dict[str, Tensor] = {}
    if task.classifies:
        head = scenario.head.network.init(
            Task(kind="classification", input_shape=(latent,), outputs=task.outputs), draw
        )
        head["head.weight"] = torch.zeros_like(head["head.weight"])
    return replace(
        state,
        charts=charts,
        region_of_client=regions,
        atlas=atlas,
        experts=(start,) * atlas.regions,
        head=head,
        router=scenario.router.rule.init(latent, atlas.regions, draw),
    )


def spawned(state: ServerState, found: Mapping[int, Chart], scenario: Scenario) -> ServerState:
    """A region more for what clients found novel, if that is enough; all other regions stay bit by bit.

    Its expert begins as a copy of the one whose region is nearest to its mean, and its gate with the posterior alone. A
    client that was never charted belongs to it.

    Args:
        found: charts of novel samples, by client.
    """
    assert state.atlas is not None
    chart, enough = sum((found[client] for client in sorted(found)), Chart()), scenario.novelty.spawn_at
    if enough is None or not chart.components or chart.whole.count < enough:
        return state
    before, atlas = state.atlas, state.atlas.with_region(chart, scenario.charts)
    nearest = int(before.scores(chart.whole.mean[None].float()).argmax())
    copied = state.experts[nearest].parameters
    late = [client for client in found if not state.charts[client].components]
    heavier = float(atlas.log_weight.logsumexp(0) - before.log_weight.logsumexp(0))
    return replace(
        state,
        charts=tuple(found[client] if client in late else own for client, own in enumerate(state.charts)),
        region_of_client=tuple(
            before.regions if client in late else r for client, r in enumerate(state.region_of_client)
        ),
        atlas=atlas,
        experts=(*state.experts, Model(copied, scenario.aggregation.init(copied))),
        router=scenario.router.rule.with_region(state.router, before.mean.shape[1], before.regions),
        novelty_threshold=state.novelty_threshold + heavier,  # the same samples are novel, but for those of the region
        pioneers=tuple(sorted(found)),
    )


def world_model(state: ServerState, scenario: Scenario, task: Task) -> WorldModel:
    """What the phases so far amount to as a world model.

    Raises:
        ValueError: nothing is charted yet.
    """
    if state.encoder is None or state.atlas is None:
        raise ValueError("the federation is not charted yet; a world model needs an atlas")
    design = Design(
        task=task,
        family=scenario.model,
        encoder=scenario.encoder,
        router=scenario.router.rule,
        head=scenario.head.network,
        chart_temperature=scenario.head.temperature,
        regions=state.atlas.regions,
        region_of_client=state.region_of_client,
        composition=state.composition or {"mixture": 1.0},
        novelty_threshold=min(state.novelty_threshold, NOTHING_NOVEL),
    )
    experts = stacked([model.parameters for model in state.experts])
    return WorldModel(design, state.encoder, state.atlas, experts, state.router, state.head, state.prior.parameters)


def evidence_tensors(state: ServerState) -> dict[str, Tensor]:
    """What clients download once, to judge their own samples by."""
    assert state.encoder is not None
    assert state.atlas is not None
    experts = stacked([model.parameters for model in state.experts])
    return (
        prefixed("encoder", state.encoder.weights)
        | prefixed("atlas", state.atlas.tensors())
        | prefixed("experts", experts)
        | prefixed("prior", state.prior.parameters)
    )
