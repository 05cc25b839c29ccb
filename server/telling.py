"""Tensors that the orders of several phases hold."""

import torch
from torch import Tensor

from federation.learning.experts import Expert, scattered, specialised
from federation.models import Size
from federation.scenario import Scenario
from federation.tensors import prefixed
from federation.wire.records import VARIANCES
from server.phases.contract import Now
from server.state import ServerState


def expert_of_size(now: Now, region: int, size: Size) -> Expert:
    """A region's expert at a size."""
    expert = now.state.expert(region)
    family, own = specialised(now.scenario.model, now.task, expert.outputs, expert.members)
    return expert.with_models(family.slice(expert.parameters, own, size))


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
