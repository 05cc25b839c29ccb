"""What phases share at the server that train one model for all clients."""

from collections.abc import Mapping
from dataclasses import replace

from federation.models import Size
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import Parameters, prefixed
from federation.wire.contribution import EVERYWHERE, Contribution
from federation.world.predictors import GlobalModel, OwnTensors, Predictor
from server.bounds import Answer
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import Model, ServerState
from server.training import aggregated, weighted_answer


class GlobalModelTraining(ServerSide):
    """Sends the global model, which is the foundation prior where regions follow, and aggregates what comes back."""

    def models(self, state: ServerState) -> Mapping[int, Model]:
        return {EVERYWHERE: state.prior}

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(prefixed("model", now.state.prior.parameters))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return weighted_answer(now.state.prior.parameters)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        return replace(now.state, prior=aggregated(now, now.state.prior, total.everywhere()))

    def predictor(self, state: ServerState, scenario: Scenario, task: Task, own: OwnTensors) -> Predictor | None:
        return GlobalModel(scenario.model, task, state.prior.parameters, own)


def kept(now: Now, **tensors: Parameters) -> ServerState:
    """The state with what a phase of no world model has made, by name."""
    flat = {f"{part}/{name}": t for part, several in tensors.items() for name, t in several.items()}
    return replace(now.state, own={**now.state.own, now.step.phase.name: flat})
