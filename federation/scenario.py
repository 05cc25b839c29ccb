"""A scenario: the whole configuration of a federation as one frozen value."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from pydantic import Field, model_validator
from torch import Tensor

from federation.data.partition import PartitionRule
from federation.learning.experts import trunk_of
from federation.learning.fixed_point import FixedPoint
from federation.learning.growth import Growth
from federation.learning.plasticity import Plasticity
from federation.manifold import ChartRule, Encoder, EncoderRule, PrincipalComponents, PrivateRegions, RegionRule
from federation.manifold.features import Trunk
from federation.models import ElasticFamily, FullSize, SizeRule
from federation.phases import Phase, check_order
from federation.phases.world_model import WORLD_MODEL
from federation.rules import Frozen, Several
from federation.settings import (
    CompositionSettings,
    CouplingSettings,
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    NoveltySettings,
    RouterSettings,
    Search,
    TrainingPhase,
)
from federation.tasks import Task
from federation.tensors import Parameters, under
from federation.timing.availability import Always, AvailabilityRule
from federation.timing.pacing import PacingRule, Synchronous
from federation.wire.contribution import AggregationRule
from federation.world.composition import Part, candidates, usable
from federation.world.design import Design

TIMED = ("prior", "experts", "coupling", "head", "router", "novelty")
"""Groups of settings that name rounds."""

FEWEST = 3
"""Samples of which a client sends moments, at least."""

PhaseKind = TypeVar("PhaseKind", bound=Phase)


class Scenario(Frozen):
    """Everything that determines a run, but for the data themselves."""

    name: str
    title: str
    data: DataSettings = Field(default_factory=DataSettings)
    partition: PartitionRule
    held_out: float = Field(default=0.15, gt=0, lt=1, description="share of each client's samples kept for decisions")
    model: ElasticFamily
    sizes: SizeRule = FullSize()
    local: LocalTraining = LocalTraining()
    aggregation: AggregationRule
    availability: AvailabilityRule = Always()
    pacing: PacingRule = Synchronous()
    fraction: float = Field(default=1.0, gt=0, le=1, description="share of the clients asked in each round")
    quorum: float = Field(default=0, ge=0, le=1, description="share of them without whose answers a run stops")
    weight_cap: float = Field(
        default=3, ge=1, description="times what the median client counts in a sum: no deployed one counts more"
    )
    max_failures: int | None = Field(default=None, ge=0, description="refused replies in a round that end the run")
    encoder: EncoderRule = PrincipalComponents()
    other_encoders: Several[EncoderRule] = Field(default=(), description="the best on held-out samples is taken")
    prior: TrainingPhase = TrainingPhase(rounds=10)
    charts: ChartRule = ChartRule()
    regions: RegionRule = PrivateRegions()
    experts: ExpertSettings = ExpertSettings(rounds=10)
    fixed_point: FixedPoint = FixedPoint()
    growth: Growth = Growth()
    plasticity: Plasticity = Plasticity()
    coupling: CouplingSettings = CouplingSettings()
    head: HeadSettings = HeadSettings()
    router: RouterSettings = RouterSettings()
    composition: CompositionSettings = CompositionSettings()
    novelty: NoveltySettings = NoveltySettings()
    search: Search = Search()
    seed: int = Field(default=0, ge=0)
    phases: Several[Phase] = Field(default=WORLD_MODEL, min_length=1, description="what the rounds are for, in order")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_order(self.phases)
        return self

    @model_validator(mode="after")
    def _in_private(self) -> Self:
        if self.charts.min_count < FEWEST:
            raise ValueError(
                f"charts.min_count: moments of fewer than {FEWEST} samples show them; set {FEWEST} or more"
            )
        return self

    @model_validator(mode="after")
    def _coupled(self) -> Self:
        if self.coupling.rounds and self.experts.own_classes:
            raise ValueError("coupled experts must answer the same classes; set experts.own_classes=false")
        return self

    @model_validator(mode="after")
    def _at_a_constant_rate(self) -> Self:
        if self.fixed_point.watched and self.local.schedule != "constant":
            raise ValueError("fixed points are sought at a constant learning rate; set local.schedule=constant")
        return self

    @model_validator(mode="after")
    def _growing(self) -> Self:
        if self.growth.used and not self.model.deepens:
            raise ValueError("experts grow deeper by units that are rectified; set model.activation=relu")
        if self.growth.used and self.pacing.buffers:
            raise ValueError("experts grow between rounds that wait for one another; set pacing.kind=synchronous")
        if self.growth.regions and self.experts.own_classes:
            raise ValueError(
                "experts of regions that split and merge answer all classes; set experts.own_classes=false"
            )
        return self

    @model_validator(mode="after")
    def _in_several_regions(self) -> Self:
        if self.charts.clusters > 1 and (self.coupling.rounds or self.growth.used or self.novelty.spawn_at):
            raise ValueError("a client of several regions is neither coupled nor grown; set charts.clusters=1")
        if self.charts.clusters > 1 and (self.fixed_point.residual is not None or not isinstance(self.sizes, FullSize)):
            raise ValueError("experts of clients of several regions have one size and no rest; set charts.clusters=1")
        return self

    @model_validator(mode="after")
    def _read_out(self) -> Self:
        if self.experts.readout and any(self.experts.readout.borrowed) and self.experts.own_classes:
            raise ValueError("regions that borrow samples answer the same classes; set experts.own_classes=false")
        if self.experts.readout and not isinstance(self.sizes, FullSize):
            raise ValueError("readouts have one size; leave experts.readout out, or set sizes.kind=full_size")
        if self.experts.readout and (self.novelty.spawn_at or self.growth.used):
            raise ValueError("readouts do not grow, nor do regions spawn from them; leave experts.readout out")
        if self.experts.readout and any(self.experts.readout.borrowed) and self.experts.coordinates:
            raise ValueError("regions with coordinates of their own borrow no sums; set experts.readout.borrowed=[0]")
        if self.experts.coordinates and self.experts.own_classes:
            raise ValueError("experts in coordinates of their own answer all classes; set experts.own_classes=false")
        return self

    def phase(self, kind: type[PhaseKind]) -> PhaseKind:
        """The phase of a kind, with its settings.

        Raises:
            LookupError: the scenario has none.
        """
        for phase in self.phases:
            if isinstance(phase, kind):
                return phase
        raise LookupError(f"{self.name} has no phase {kind.kind()}")

    def parts(self, task: Task) -> tuple[Part, ...]:
        """The parts of a world model that may answer.

        Raises:
            InputError: there is none.
        """
        return usable(self.composition.parts, task, self.head.tells(task))

    def compositions(self, task: Task) -> list[dict[str, float]]:
        """The compositions of these parts that are tried."""
        return candidates(self.parts(task), self.composition.weights, task)

    @property
    def encoders(self) -> tuple[EncoderRule, ...]:
        """All encoders in question."""
        return (self.encoder, *self.other_encoders)

    def moments(self, inputs: Tensor, trunk: Trunk) -> dict[str, Tensor]:
        """What a client adds up over its inputs for each encoder in question."""
        found = ((number, rule.moments(inputs, trunk)) for number, rule in enumerate(self.encoders))
        return {f"{number}/{name}": t for number, sums in found for name, t in sums.items()}

    def fitted(self, tensors: Parameters) -> list[Encoder]:
        """The encoders in question from named tensors: `encoders/number/...`, and `prior/...` where one asks for it."""
        trunk = trunk_of(self.model, under("prior", tensors))
        return [Encoder(rule, under(f"encoders/{n}", tensors), trunk) for n, rule in enumerate(self.encoders)]

    def design(self, task: Task, encoder: EncoderRule, regions: int, **found: Any) -> Design:
        """The design of a world model of so many regions; `found` is what the phases have decided by then."""
        return Design(
            task=task,
            family=self.model,
            encoder=encoder,
            router=self.router.rule,
            head=self.head.network,
            readout=self.experts.features,
            ridge=self.head.ridge,
            chart_temperature=self.head.temperature,
            whole_regions=self.charts.whole_regions,
            regions=regions,
            **found,
        )

    def with_rounds(self, change: Callable[[int], int]) -> Self:
        """The same with other rounds in each of its phases."""
        phases = {name: getattr(self, name) for name in TIMED}
        return self.model_copy(
            update={name: phase.model_copy(update={"rounds": change(phase.rounds)}) for name, phase in phases.items()}
        )
