"""What a round asks of its clients: the tensors and settings of each stage's order."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from federation.contribution import EVERYWHERE
from federation.experts import CLASSES, Expert, scattered, specialised
from federation.models import Size
from federation.records import AGAIN, VARIANCES, Order, Stage
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import prefixed
from server.schedule import Step
from server.state import ServerState


class Kind(NamedTuple):
    """What tells a client's order from those of others.

    Attributes:
        region: the client's, once there are any.
        size: of the model that it trains.
        reached: the regions whose experts it downloads.
        placed: whether it knows where its region meets others.
        again: whether it is told once more what it has downloaded before, and where its samples lie.
    """

    region: int
    size: Size
    reached: tuple[int, ...] = ()
    placed: bool = False
    again: bool = False


def order(step: Step, kind: Kind, state: ServerState, scenario: Scenario, task: Task) -> Order:
    """What this round asks of the clients of one kind."""
    tensors: dict[str, Tensor] = {}
    settings: dict[str, float] = {"region": kind.region, "width": kind.size.width, "depth": kind.size.depth}
    cut = partial(_cut, state=state, scenario=scenario, task=task, size=kind.size)
    calibration = state.labels if scenario.calibrated else {}
    if state.atlas is not None:
        settings["regions"] = len(state.experts)
    if state.encoder is not None:
        settings["encoder"] = scenario.encoders.index(state.encoder.rule)
    match step.stage:
        case Stage.PRIOR:
            tensors = prefixed("model", scenario.model.slice(state.prior.parameters, task, kind.size)) | calibration
            settings |= {"learning_rate": scenario.prior.learning_rate, "region": EVERYWHERE}
        case Stage.ENCODER:
            tensors = prior_tensors(state, scenario)
        case Stage.CHARTING:
            tensors = encoder_tensors(state, scenario)
        case Stage.CHOICE:
            tensors = candidate_tensors(state, scenario)
        case Stage.EXPERTS | Stage.GROWTH:
            tensors = prefixed("model", cut(kind.region).tensors())
            settings |= {"learning_rate": scenario.experts.learning_rate, "probe": scenario.fixed_point.watched}
        case Stage.COUPLING:
            tensors = prefixed("model", cut(kind.region).tensors())
            tensors |= coupling_tensors(state, scenario, kind.region, cut, kind.placed)
            settings |= {"learning_rate": scenario.experts.learning_rate, "before": step.before}
            settings["strength"] = scenario.coupling.strength_at(step.share)
        case Stage.READOUT:
            own = state.classes[kind.region]
            tensors = {} if own is None else {CLASSES: own}
        case Stage.SELECTION:
            tensors = prefixed("model", state.expert(kind.region).tensors())
            tensors |= prefixed("readout", state.readouts[kind.region])
        case Stage.REACH | Stage.SPAWN:
            tensors = chart_tensors(state, scenario) | state.known
        case Stage.EVIDENCE:
            tensors = evidence_tensors(state, kind.reached)
        case Stage.LEAST_SQUARES:
            tensors = prefixed("model", state.head)
        case Stage.HEAD:
            tensors = prefixed("model", state.head) | calibration
        case Stage.ROUTER:
            alone = state.region_of_client.count(kind.region) == 1 and len(state.experts) > 1
            tensors, settings["mixloo"] = prefixed("model", state.router), scenario.router.mixloo * alone
        case Stage.COMPOSITION | Stage.NOVELTY:
            settings |= state.composition
            tensors = prefixed("router", state.router) | prefixed("head", state.head) | state.labels
    if kind.again:
        tensors = tensors | prefixed(AGAIN, told_before(step.stage, kind, state, scenario))
    return Order(step.stage, step.round, step.progress, scenario.seed, settings, tensors)


def told_before(stage: Stage, kind: Kind, state: ServerState, scenario: Scenario) -> dict[str, Tensor]:
    """What a client must have been told for a stage; for growth, what the charts said before the region spawned."""
    if stage is not Stage.GROWTH:
        return chart_tensors(state, scenario) | evidence_tensors(state, kind.reached)
    assert state.atlas is not None
    known = range(state.atlas.regions - 1)
    before = replace(state, atlas=state.atlas.part(known), router=scenario.router.rule.part(state.router, known))
    return chart_tensors(before, scenario) | state.known


def _cut(region: int, state: ServerState, scenario: Scenario, task: Task, size: Size) -> Expert:
    """A region's expert at a size."""
    expert = state.expert(region)
    family, own = specialised(scenario.model, task, expert.outputs, expert.members)
    return Expert(family.slice(expert.parameters, own, size), expert.classes)


def prior_tensors(state: ServerState, scenario: Scenario) -> dict[str, Tensor]:
    """The prior, where an encoder in question asks for it."""
    asked = any(rule.uses_prior for rule in scenario.encoders)
    return prefixed("prior", state.prior.parameters) if asked else {}


def encoder_tensors(state: ServerState, scenario: Scenario) -> dict[str, Tensor]:
    """The encoders in question, as `Scenario.fitted` reads them."""
    tensors = prior_tensors(state, scenario)
    for number, encoder in enumerate(state.encoders):
        tensors |= prefixed(f"encoders/{number}", encoder.weights)
    return tensors


def candidate_tensors(state: ServerState, scenario: Scenario) -> dict[str, Tensor]:
    """The federation under each encoder in question."""
    tensors = encoder_tensors(state, scenario)
    for number, found in enumerate(state.candidates):
        home = found.atlas.tensors() | {"region_of_client": torch.tensor(found.region_of_client)}
        tensors |= prefixed(f"charted/{number}", home)
    return tensors


def coupling_tensors(
    state: ServerState, scenario: Scenario, region: int, cut: Callable[[int], Expert], placed: bool
) -> dict[str, Tensor]:
    """What clients of a region download beside their own expert: the neighbours' experts, and the variances of all, the
    own first. Those who are not `placed` yet also get what tells them where regions meet.
    """
    assert state.encoder is not None
    assert state.atlas is not None
    around = (region, *state.neighbours[region])
    tensors = {VARIANCES: torch.tensor([state.experts[number].variance for number in around])}
    tensors |= prefixed("neighbours", scattered({place: cut(number) for place, number in enumerate(around[1:])}))
    if not placed:
        tensors |= prefixed("encoder", state.encoder.weights) | prior_tensors(state, scenario)
        tensors |= prefixed("atlas", state.atlas.part(around).tensors())
    return tensors


def chart_tensors(state: ServerState, scenario: Scenario) -> dict[str, Tensor]:
    """What tells clients where their samples lie."""
    assert state.encoder is not None
    assert state.atlas is not None
    tensors = prefixed("encoder", state.encoder.weights) | prefixed("atlas", state.atlas.tensors())
    return tensors | prefixed("router", state.router) | prior_tensors(state, scenario) | state.labels


def evidence_tensors(state: ServerState, reached: tuple[int, ...]) -> dict[str, Tensor]:
    """The experts that a client's samples reach, with the variances of their Gaussian heads, and the generalist."""
    experts = {region: state.expert(region) for region in reached}
    variances = {VARIANCES: torch.tensor([state.experts[region].variance for region in reached])}
    return prefixed("experts", scattered(experts)) | prefixed("prior", state.prior.parameters) | variances
