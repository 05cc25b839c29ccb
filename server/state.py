"""The server's state between rounds: a frozen value; each round yields the next."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

import torch
from torch import Tensor

from federation.manifold import Atlas, Chart, Encoder
from federation.manifold.coupling import neighbours
from federation.randomness import torch_generator
from federation.records import VARIANCES
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, prefixed, stacked
from federation.world_model import Design, WorldModel


@dataclass(frozen=True)
class Model:
    """A model under aggregation, with the state of its rule.

    `variance`: of a Gaussian head, the mean squared residual of a coordinate over the samples that were visited when it
    was last trained; 1 where it is not known, and for classes, which have none.
    """

    parameters: Parameters
    rule: Parameters = field(default_factory=dict)
    variance: float = 1.0


@dataclass(frozen=True)
class ServerState:
    """What the phases have made so far. What a later phase makes is None or empty before it."""

    prior: Model
    encoder: Encoder | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    charts: tuple[Chart, ...] = ()
    region_of_client: tuple[int, ...] = ()
    atlas: Atlas | None = None
    neighbours: tuple[tuple[int, ...], ...] = ()
    experts: tuple[Model, ...] = ()
    head: Parameters = field(default_factory=dict)
    router: Parameters = field(default_factory=dict)
    composition: dict[str, float] = field(default_factory=dict)
    novelty_threshold: float = inf


def initial(scenario: Scenario, task: Task) -> ServerState:
    """The state before the first round: a fresh foundation prior."""
    parameters = scenario.model.init(task, torch_generator(scenario.seed, "prior"))
    return ServerState(prior=Model(parameters, scenario.aggregation.init(parameters)))


def charted(state: ServerState, charts: tuple[Chart, ...], scenario: Scenario, task: Task) -> ServerState:
    """Form the regions, start an expert for each from the prior, and lay out the small networks."""
    regions = scenario.regions.assign(charts)
    merged = [Chart() for _ in range(max(regions) + 1)]
    for client, region in enumerate(regions):
        merged[region] = merged[region] + charts[client]
    atlas = Atlas.of(merged, scenario.charts)
    overlaps = atlas.overlaps(scenario.seed) if scenario.coupling.rounds else torch.eye(atlas.regions)
    start = replace(state.prior, rule=scenario.aggregation.init(state.prior.parameters))
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
        neighbours=neighbours(overlaps, scenario.coupling.neighbours),
        experts=(start,) * atlas.regions,
        head=head,
        router=scenario.router.rule.init(latent, atlas.regions, draw),
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
        novelty_threshold=min(state.novelty_threshold, 1e30),
    )
    experts = stacked([model.parameters for model in state.experts])
    return WorldModel(design, state.encoder, state.atlas, experts, state.router, state.head, state.prior.parameters)


def coupling_tensors(
    state: ServerState, region: int, cut: Callable[[Model], Parameters], placed: bool
) -> dict[str, Tensor]:
    """What clients of a region download beside their own expert: the neighbours' experts, and the variances of all, the
    own first. Those who are not `placed` yet also get what tells them where regions meet.
    """
    assert state.encoder is not None
    assert state.atlas is not None
    around = (region, *state.neighbours[region])
    experts = [state.experts[number] for number in around]
    tensors = {VARIANCES: torch.tensor([expert.variance for expert in experts])}
    if len(experts) > 1:
        tensors |= prefixed("neighbours", stacked([cut(expert) for expert in experts[1:]]))
    if not placed:
        tensors |= prefixed("encoder", state.encoder.weights)
        tensors |= prefixed("atlas", state.atlas.part(around).tensors())
    return tensors


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
