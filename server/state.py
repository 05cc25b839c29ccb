"""The server's state between rounds: a frozen value; each round yields the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

import torch
from torch import Tensor

from federation.confidence import Calibration
from federation.context import Context, shares
from federation.contribution import EVERYWHERE
from federation.experts import Expert, begun, committee, specialised, trunk_of
from federation.fixed_point import FixedPoint, Watch
from federation.manifold import Atlas, Chart, Encoder
from federation.manifold.coupling import neighbours
from federation.manifold.regions import region_charts
from federation.models import Size
from federation.models.family import FULL
from federation.randomness import torch_generator
from federation.readout import Readout
from federation.records import LABELS
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Parameters, count, single
from federation.world_model import NOTHING_NOVEL, WorldModel


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
    """The federation under one encoder: each client's chart, its region, and the atlas of all."""

    encoder: Encoder
    charts: tuple[Chart, ...]
    region_of_client: tuple[int, ...]
    atlas: Atlas

    @staticmethod
    def of(encoder: Encoder, charts: tuple[Chart, ...], scenario: Scenario) -> "Charted":
        """Regions are formed from the charts alone."""
        regions = scenario.regions.assign(charts)
        merged = region_charts(charts, regions, max(regions) + 1)
        return Charted(encoder, charts, regions, Atlas.of(merged, scenario.charts))


@dataclass(frozen=True)
class ServerState:
    """What the phases have made so far. What a later phase makes is None or empty before it.

    Attributes:
        known: the histogram of the novelty of held-out samples, as it is sent where regions may spawn.
        pioneers: clients whose samples spawned the last region.
        watches: how near the expert of each region is to its fixed point.
        sizes: of the expert of each region.
        readouts: of each region, one for each ridge, until it is known which of them are better than its expert.
        head_sums: of all clients, while the head's last layer is made of nothing else.
    """

    prior: Model
    encoders: tuple[Encoder, ...] = ()
    candidates: tuple[Charted, ...] = ()
    encoder: Encoder | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    charts: tuple[Chart, ...] = ()
    region_of_client: tuple[int, ...] = ()
    atlas: Atlas | None = None
    reached: dict[int, tuple[int, ...]] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()
    neighbours: tuple[tuple[int, ...], ...] = ()
    experts: tuple[Model, ...] = ()
    sizes: tuple[Size, ...] = ()
    classes: tuple[Tensor | None, ...] = ()
    readouts: tuple[Parameters, ...] = ()
    head: Parameters = field(default_factory=dict)
    head_sums: Parameters = field(default_factory=dict)
    router: Parameters = field(default_factory=dict)
    composition: dict[str, float] = field(default_factory=dict)
    novelty_threshold: float = inf
    known: dict[str, Tensor] = field(default_factory=dict)
    pioneers: tuple[int, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    context: Context = field(default_factory=Context)

    @property
    def parameters(self) -> int:
        """Of all experts together."""
        return sum(count(model.parameters) for model in self.experts)

    def stable(self, bounds: FixedPoint) -> frozenset[int]:
        """The regions that have come to rest."""
        return frozenset(region for region, watch in enumerate(self.watches) if watch.stable(bounds))

    def size(self, region: int, client: int, scenario: Scenario) -> Size:
        """What a client trains: what its device can of its region's expert, or, everywhere, of the prior."""
        able = scenario.sizes.of(client, scenario.seed)
        return able.least(scenario.growth.first if region == EVERYWHERE else self.sizes[region])

    def expert(self, region: int) -> Expert:
        """The expert of a region as it is now."""
        return Expert(self.experts[region].parameters, self.classes[region])


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


def settled(state: ServerState, found: Charted, scenario: Scenario, task: Task) -> ServerState:
    """Start an expert for each region, and lay out the small networks."""
    charts, regions, atlas = found.charts, found.region_of_client, found.atlas
    classes = _own_classes(charts, regions) if scenario.experts.own_classes else (None,) * atlas.regions
    spacings = [chart.spacing.dimension for chart in region_charts(charts, regions, atlas.regions)]
    sizes = tuple(size.least(scenario.growth.first) for size in scenario.sizes.of_regions(spacings))
    experts = [
        _begun(state, region, own, size, scenario, task)
        for region, (own, size) in enumerate(zip(classes, sizes, strict=True))
    ]
    overlaps = atlas.overlaps(scenario.seed) if scenario.coupling.rounds else torch.eye(atlas.regions)
    latent = atlas.mean.shape[1]
    draw = torch_generator(scenario.seed, "small networks")
    head: dict[str, Tensor] = {}
    if task.classifies:
        head = scenario.head.network.init(task, latent, draw)
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
        sizes=sizes,
        classes=classes,
        head=head,
        router=scenario.router.rule.init(latent, atlas.regions, draw),
    )


def _begun(
    state: ServerState, region: int, classes: Tensor | None, size: Size, scenario: Scenario, task: Task
) -> dict[str, Tensor]:
    """The expert of one region before it is trained."""
    outputs = None if classes is None else len(classes)
    members = committee(scenario.model, task, outputs, scenario.experts.members)
    draw = torch_generator(scenario.seed, "expert", region)
    expert = begun(state.prior.parameters, scenario.model, task, classes, members, draw)
    family, own = specialised(scenario.model, task, outputs, members)
    return expert if size == FULL else family.slice(expert, own, size)


def unread(region: int, state: ServerState, scenario: Scenario, task: Task) -> dict[str, Tensor]:
    """A region's readout that says nothing yet."""
    features = scenario.experts.features
    assert features is not None
    readout, own = Readout.like(scenario.model, task, features, state.expert(region).outputs)
    return {name: torch.zeros(shape) for name, shape in readout.shapes(own).items()}


def spawned(state: ServerState, found: Mapping[int, Chart], scenario: Scenario, task: Task) -> ServerState:
    """A region more for what clients found novel, if that is enough and growth has a budget for it; all other regions
    stay bit by bit.

    Its expert begins as a copy of the one whose region is nearest to its mean (or, of its own classes alone, from the
    prior), and its gate with the posterior alone. A client that was never charted belongs to it.

    Args:
        found: charts of novel samples, by client.
    """
    assert state.atlas is not None
    chart, enough = sum((found[client] for client in sorted(found)), Chart()), scenario.novelty.spawn_at
    if enough is None or not chart.components or chart.whole.count < enough:
        return state
    before, atlas = state.atlas, state.atlas.with_region(chart, scenario.charts)
    new, own = before.regions, torch.tensor(sorted(chart.components)) if scenario.experts.own_classes else None
    nearest = int(before.scores(chart.whole.mean[None].float()).argmax())
    size, copy = state.sizes[nearest], state.experts[nearest].parameters
    expert = copy if own is None else _begun(state, new, own, size, scenario, task)
    if not scenario.growth.affords(state.parameters + count(expert)):
        return state
    late = [client for client in found if not state.charts[client].components]
    heavier = float(atlas.log_weight.logsumexp(0) - before.log_weight.logsumexp(0))
    return replace(
        state,
        charts=tuple(found[client] if client in late else kept for client, kept in enumerate(state.charts)),
        region_of_client=tuple(new if client in late else r for client, r in enumerate(state.region_of_client)),
        atlas=atlas,
        experts=(*state.experts, Model(expert, scenario.aggregation.init(expert))),
        sizes=(*state.sizes, size),
        classes=(*state.classes, own),
        watches=(*state.watches, Watch()),
        router=scenario.router.rule.with_region(state.router, before.mean.shape[1], new),
        novelty_threshold=state.novelty_threshold + heavier,  # the same samples are novel, but for those of the region
        pioneers=tuple(sorted(found)),
    )


def _own_classes(charts: tuple[Chart, ...], regions: tuple[int, ...]) -> tuple[Tensor | None, ...]:
    """The classes that each region's charts name; None, which is all, where a client of it sent no chart."""
    uncharted = {region for chart, region in zip(charts, regions, strict=True) if not chart.components}
    return tuple(
        None if region in uncharted else torch.tensor(sorted(chart.components))
        for region, chart in enumerate(region_charts(charts, regions, max(regions) + 1))
    )


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
        novelty_threshold=min(state.novelty_threshold, NOTHING_NOVEL),
        labels=tuple(shares(state.labels[LABELS]).tolist()) if state.labels else (),
        uncharted=state.atlas.without_chart(state.labels[LABELS]) if state.labels else (),
        calibration=state.calibration,
        context=state.context,
    )
    experts = {region: state.expert(region) for region in range(len(state.experts))}
    small = (state.router, state.head, state.prior.parameters, state.head_sums)
    return WorldModel(design, state.encoder, state.atlas, experts, *small)
