"""The server's state between rounds: a frozen value; each round yields the next."""

from dataclasses import dataclass, field, replace
from math import inf

from torch import Tensor

from federation.learning.experts import Expert, trunk_of
from federation.learning.fixed_point import FixedPoint, Watch
from federation.manifold import Atlas, Chart, Encoder
from federation.manifold.coordinates import Coordinates
from federation.manifold.regions import region_charts
from federation.models import Size
from federation.models.family import FULL
from federation.randomness import torch_generator
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, count, single
from federation.wire.contribution import EVERYWHERE
from federation.wire.records import LABELS
from federation.world.confidence import Calibration
from federation.world.context import Context, shares
from federation.world.design import NOTHING_NOVEL
from federation.world_model import WorldModel


@dataclass(frozen=True)
class Model:
    """Models under aggregation along a leading members axis, with the state of their rule.

    `variance`: of a Gaussian head, the mean squared residual of a coordinate over the samples that were visited when it
    was last trained; 1 where it is not known, and for classes, which have none.
    """

    parameters: Parameters
    rule: Parameters = field(default_factory=dict)
    variance: float = 1.0


@dataclass(frozen=True)
class Charted:
    """The federation under one encoder: each client's chart, its region, and the atlas of all.

    `region_of_client`: of one whose clusters lie in several regions, that of the largest.
    """

    encoder: Encoder
    charts: tuple[Chart, ...]
    region_of_client: tuple[int, ...]
    atlas: Atlas

    @staticmethod
    def of(encoder: Encoder, charts: tuple[Chart, ...], scenario: Scenario) -> "Charted":
        """Regions are formed from the charts alone."""
        of_client = [chart.parts if scenario.charts.clusters > 1 else (chart,) for chart in charts]
        parts = [part for own in of_client for part in own]
        regions = scenario.regions.assign(parts)
        merged, region = region_charts(parts, regions, max(regions) + 1), iter(regions)
        homes = tuple(max((part.count, next(region)) for part in own)[1] for own in of_client)
        return Charted(encoder, charts, homes, Atlas.of(merged, scenario.charts))


@dataclass(frozen=True)
class ServerState:
    """What the phases have made so far. What a later phase makes is None or empty before it.

    Attributes:
        samples: of all clients that the census has counted.
        known: the histogram of the novelty of held-out samples, as it is sent where regions may spawn.
        pioneers: clients whose samples spawned the last region.
        regions_of_client: the regions in which each client has samples, where these may lie in several.
        watches: how near the expert of each region is to its fixed point.
        sizes: of the expert of each region.
        coordinates: of each region's chart, in which its expert sees its samples; empty where they are everybody's.
        readouts: of each region, one for each ridge, until it is known which of them are better than its expert.
        head_sums: of all clients, while the head's last layer is made of nothing else.
        own: what phases that are not the world model's have made, by phase.
    """

    prior: Model
    encoders: tuple[Encoder, ...] = ()
    candidates: tuple[Charted, ...] = ()
    encoder: Encoder | None = None
    samples: float = 0.0
    labels: dict[str, Tensor] = field(default_factory=dict)
    charts: tuple[Chart, ...] = ()
    region_of_client: tuple[int, ...] = ()
    atlas: Atlas | None = None
    regions_of_client: dict[int, tuple[int, ...]] = field(default_factory=dict)
    reached: dict[int, tuple[int, ...]] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()
    neighbours: tuple[tuple[int, ...], ...] = ()
    experts: tuple[Model, ...] = ()
    sizes: tuple[Size, ...] = ()
    classes: tuple[Tensor | None, ...] = ()
    coordinates: tuple[Coordinates, ...] = ()
    readouts: tuple[Parameters, ...] = ()
    head: Parameters = field(default_factory=dict)
    head_sums: Parameters = field(default_factory=dict)
    router: Parameters = field(default_factory=dict)
    composition: dict[str, float] = field(default_factory=dict)
    without_experts: dict[str, float] = field(default_factory=dict)
    novelty_threshold: float = inf
    known: dict[str, Tensor] = field(default_factory=dict)
    pioneers: tuple[int, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    context: Context = field(default_factory=Context)
    own: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Of all experts together."""
        return sum(count(model.parameters) for model in self.experts)

    def stable(self, bounds: FixedPoint) -> frozenset[int]:
        """The regions that have come to rest."""
        return frozenset(region for region, watch in enumerate(self.watches) if watch.stable(bounds))

    def homes(self, client: int) -> tuple[int, ...]:
        """The regions in which a client's samples lie."""
        return self.regions_of_client.get(client, (self.region_of_client[client],))

    def size(self, region: int, client: int, scenario: Scenario) -> Size:
        """What a client trains: what its device can of its region's expert, or, everywhere, of the prior."""
        able = scenario.sizes.of(client, scenario.seed)
        return able.least(scenario.growth.first if region == EVERYWHERE else self.sizes[region])

    def expert(self, region: int) -> Expert:
        """The expert of a region as it is now."""
        seen = self.coordinates[region] if self.coordinates else None
        return Expert(self.experts[region].parameters, self.classes[region], seen)


def initial(scenario: Scenario, task: Task) -> ServerState:
    """The state before the first round: a fresh foundation prior."""
    whole = single(scenario.model.init(task, torch_generator(scenario.seed, "prior")))
    parameters = scenario.model.slice(whole, task, scenario.growth.first)
    return ServerState(prior=Model(parameters, scenario.aggregation.init(parameters)))


def rejoined(state: ServerState, scenario: Scenario) -> ServerState:
    """A state as it was before it was written down: encoders ask the prior's trunk again, which is not kept twice."""
    trunk = trunk_of(scenario.model, state.prior.parameters)

    def whole(encoder: Encoder) -> Encoder:
        return replace(encoder, trunk=trunk)

    return replace(
        state,
        encoders=tuple(whole(encoder) for encoder in state.encoders),
        candidates=tuple(replace(found, encoder=whole(found.encoder)) for found in state.candidates),
        encoder=None if state.encoder is None else whole(state.encoder),
    )


def start_of(state: ServerState) -> ServerState:
    """What parts that are trained apart must share to be joined: the prior and the encoders of a state."""
    return ServerState(prior=state.prior, encoders=state.encoders)


def world_model(state: ServerState, scenario: Scenario, task: Task) -> WorldModel:
    """What the phases so far amount to as a world model.

    Raises:
        ValueError: nothing is charted yet.
    """
    if state.encoder is None or state.atlas is None:
        raise ValueError("the federation is not charted yet; a world model needs an atlas")
    design = scenario.design(
        task,
        state.encoder.rule,
        state.atlas.regions,
        region_of_client=state.region_of_client,
        sizes=() if set(state.sizes) == {FULL} else state.sizes,
        prior_size=scenario.growth.first,
        composition=state.composition or {"mixture": 1.0},
        without_experts=state.without_experts,
        novelty_threshold=min(state.novelty_threshold, NOTHING_NOVEL),
        labels=tuple(shares(state.labels[LABELS]).tolist()) if state.labels else (),
        uncharted=state.atlas.without_chart(state.labels[LABELS]) if state.labels else (),
        calibration=state.calibration,
        context=state.context,
    )
    experts = {region: state.expert(region) for region in range(len(state.experts))}
    small = (state.router, state.head, state.prior.parameters, state.head_sums)
    return WorldModel(design, state.encoder, state.atlas, experts, *small)
