"""What phases that train models share at the server: the next model, and what the sums of a round must look like."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import torch

from federation.learning.experts import Expert, specialised
from federation.learning.fixed_point import Watch
from federation.models import Size
from federation.tensors import Parameters, shapes
from federation.wire.contribution import WEIGHT, Contribution
from server.bounds import Answer, Sum, counts, no_less_than_zero
from server.history import residual_variance
from server.phases.contract import Now, ServerSide
from server.state import Model, ServerState


class RegionTraining(ServerSide):
    """Phases that train the experts of regions."""

    def models(self, state: ServerState) -> Mapping[int, Model]:
        return dict(enumerate(state.experts))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        if not 0 <= region < len(now.state.experts):
            raise ValueError(f"a model of region {region}, of {len(now.state.experts)}")
        return elastic_answer(now, now.state.expert(region), size)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        experts, watches = list(now.state.experts), list(now.state.watches)
        for region, sums in total.sums.items():
            before = now.state.experts[region]
            experts[region] = aggregated(now, before, sums, now.state.expert(region).unit)
            watches[region] = _watched(now, watches[region], before, experts[region], sums)
        return replace(now.state, experts=tuple(experts), watches=tuple(watches))


def aggregated(now: Now, model: Model, sums: Parameters, unit: float = 1.0) -> Model:
    """The next model by the scenario's aggregation rule.

    Args:
        unit: of its outputs, in units of the task.
    """
    variance, rule = residual_variance(sums, now.task), now.scenario.aggregation
    parameters, state = rule.apply(model.rule, model.parameters, sums)
    return Model(parameters, state, model.variance if variance is None else variance * unit**2)


def weighted_answer(model: Parameters) -> dict[str, Sum]:
    """A model that one client sends: its weighted terms, with the weight of each."""
    found = shapes(model)
    return {name: Sum(shape) for name, shape in found.items()} | {f"{WEIGHT}/{name}": counts() for name in found}


def elastic_answer(now: Now, expert: Expert, size: Size) -> Answer:
    """A model of a size, with what its hidden units say where that is looked for."""
    family, own = specialised(now.scenario.model, now.task, expert.outputs, expert.members)
    layers = family.layers(own) if now.scenario.plasticity.samples else {}
    units = {
        f"metric/{what}/{layer}": no_less_than_zero(expert.members, units)
        for layer, units in layers.items()
        for what in ("awake", "seen")
    }
    return weighted_answer(family.slice(expert.parameters, own, size)) | units


def residual(before: Mapping[int, Model], after: Mapping[int, Model]) -> float | None:
    """||Phi(theta) - theta|| / ||theta|| over all coordinates of what a round trains (eq. 23); None of nothing."""
    pairs = [(model.parameters, after[region].parameters) for region, model in before.items()]
    return _moved(pairs) if pairs else None


def _watched(now: Now, watch: Watch, before: Model, after: Model, sums: Parameters) -> Watch:
    """What a round says of how near a model is to its fixed point."""
    probed = float(sums.get("metric/probed", 0))
    divergence = float(sums["metric/divergence"]) / probed if probed else inf
    return watch.seen(_moved([(before.parameters, after.parameters)]), divergence, now.scenario.fixed_point)


def _moved(pairs: Sequence[tuple[Parameters, Parameters]]) -> float:
    """||new - old|| / ||old|| over all coordinates of all models."""
    moved = sum(float((new[name] - old[name]).double().square().sum()) for old, new in pairs for name in old)
    size = sum(float(tensor.double().square().sum()) for old, _ in pairs for tensor in old.values())
    return float(torch.tensor(moved / max(size, 1e-30)).sqrt())
