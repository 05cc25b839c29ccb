"""The global model between two rounds of FedDF: the mean of the clients' models, and what they teach it together."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from federation.data.samples import FederatedData, Samples
from federation.data.sites import read_public
from federation.learning.descent import Descent
from federation.models.cost import BACKWARD
from federation.phases import Phase
from federation.phases.feddf import HELD_OUT
from federation.phases.feddf import Feddf as Value
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tensors import Parameters, single
from federation.wire.contribution import Contribution, coverage_mean
from server.global_model import GlobalModelTraining
from server.phases.contract import Now
from server.state import ServerState
from server.training import aggregated

PUBLIC = "public"


class Feddf(GlobalModelTraining):
    """Keeps the models of a round apart, for what each of them says counts as much."""

    def holds(self, phase: Phase, scenario: Scenario, data: Callable[[], FederatedData]) -> Parameters:
        assert isinstance(phase, Value)
        if phase.public != HELD_OUT:
            path = (scenario.data.folder or Path()) / phase.public
            return {PUBLIC: read_public(path, data().task)}
        if scenario.data.sites is not None:
            raise InputError(
                "feddf: sites keep what they hold out; name a file at the server instead of the method: "
                """--set 'phases=[{kind="census"},{kind="feddf",public="FILE"}]'"""
            )
        return {PUBLIC: torch.cat([client.held_out.inputs for client in data().clients])}

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        apart = [total.sums[client] for client in total.clients]
        if not apart:
            return now.state
        sums = {name: torch.stack([own[name] for own in apart]).sum(0) for name in apart[0]}
        mean, before = aggregated(now, now.state.prior, sums), now.state.prior.parameters
        said = _said_together(now, [coverage_mean(own, before) for own in apart])
        return replace(now.state, prior=replace(mean, parameters=_taught(now, mean.parameters, said)))

    def multiplies(self, now: Now, total: Contribution) -> float:
        asked = len(total.clients) / BACKWARD + now.scenario.phase(Value).epochs * bool(total.clients)
        return asked * len(_public(now)) * now.scenario.model.multiplies(now.task)


def _public(now: Now) -> Tensor:
    """The inputs that the server holds."""
    return now.held[f"{Value.kind()}/{PUBLIC}"]


def _said_together(now: Now, models: Sequence[Parameters]) -> Tensor:
    """What the mean of all models' outputs answers to each of the server's inputs."""
    family, inputs = now.scenario.model, _public(now)
    return now.task.answers(torch.stack([family.asked(model, inputs, now.task)[0] for model in models]).mean(0))


def _taught(now: Now, model: Parameters, said: Tensor) -> dict[str, Tensor]:
    """A model that has learned what was said of the server's inputs.

    Args:
        model: of one member, where it begins.
    """
    phase, local, task = now.scenario.phase(Value), now.scenario.local, now.task
    rate, address = phase.learning_rate * local.learning_rate, (phase.name, now.step.round)
    descent = Descent(phase.epochs, rate, local.optimizer, local.clip, now.scenario.seed, address)
    rows, start = Samples(_public(now), said), {name: tensor[0] for name, tensor in model.items()}
    losses = _divergences if task.classifies else task.losses
    *_, student = descent.models(start, now.scenario.model, task, lambda epoch: rows, losses)
    return single(student)


def _divergences(outputs: Tensor, said: Tensor) -> Tensor:
    """KL(said | outputs) of each row, up to the entropy of what was said, which no step changes."""
    return F.cross_entropy(outputs, said, reduction="none")


SIDE = Feddf()
