"""The coordinates of all regions, from the sums of their clients' samples; in them the experts begin."""

from dataclasses import replace

from torch import Tensor

from federation.learning.experts import specialised
from federation.manifold.coordinates import Coordinates as Charted
from federation.models import Size
from federation.phases import Phase
from federation.randomness import torch_generator
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, stacked
from federation.wire.contribution import Contribution
from server.bounds import Answer
from server.phases.contract import Now, ServerSide
from server.state import Model, ServerState


class Coordinates(ServerSide):
    """Asks for the sums of each region, and begins the experts in the coordinates that follow from them."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        rule = scenario.experts.coordinates
        if rule is not None and len(task.input_shape) != 1:
            raise InputError(
                f"experts.coordinates: inputs of shape {list(task.input_shape)} are not flat; leave it out"
            )
        return int(rule is not None)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        rule = now.scenario.experts.coordinates
        assert rule is not None
        return dict(rule.shapes(now.task))

    def advance(self, now: Now, total: Contribution) -> ServerState:
        rule, regions = now.scenario.experts.coordinates, range(len(now.state.experts))
        assert rule is not None
        whole = total.together()
        found = tuple(rule.coordinates(total.sums.get(region, {}), whole, now.task) for region in regions)
        experts = tuple(_begun(now, region, found[region]) for region in regions)
        if now.task.classifies:
            shifts = (_label_shift(total.sums.get(region, {}), whole) for region in regions)
            experts = tuple(_shifted(model, shift) for model, shift in zip(experts, shifts, strict=True))
        return replace(now.state, coordinates=found, experts=experts)


def _begun(now: Now, region: int, seen: Charted) -> Model:
    """A region's expert in its coordinates: as the prior was; beside a tangent, which says most already, afresh."""
    scenario, before = now.scenario, now.state.experts[region]
    expert = now.state.expert(region)
    family, own = specialised(scenario.model, now.task, expert.outputs, expert.members)
    if seen.degree:
        draw = torch_generator(scenario.seed, "expert in its coordinates", region)
        fresh = stacked([family.init(own, draw) for _ in range(expert.members)])
        parameters = family.slice(fresh, own, now.state.sizes[region])
    else:
        parameters = family.composed(expert.parameters, *seen.inverse)
        parameters["head.weight"] = parameters["head.weight"] / seen.unit
        parameters["head.bias"] = (parameters["head.bias"] - seen.level) / seen.unit
    return Model(parameters, scenario.aggregation.init(parameters), before.variance)


def _label_shift(sums: Parameters, whole: Parameters) -> Tensor:
    """log of how frequent each class is in a region over how frequent it is in the federation, whose shares count as
    one sample more."""
    shares = whole["targets"][-1] / whole["targets"][-1].sum()
    counts = sums["targets"][-1] + shares if sums else shares
    return (counts / counts.sum() / shares.clamp_min(1e-9)).clamp_min(1e-9).log().float()


def _shifted(model: Model, logits: Tensor) -> Model:
    """The models with something added to their logits."""
    return replace(model, parameters={**model.parameters, "head.bias": model.parameters["head.bias"] + logits})


SIDE = Coordinates()
