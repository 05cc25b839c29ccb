"""The foundation prior between two of its rounds."""

from collections.abc import Mapping
from dataclasses import replace

from federation.learning.experts import Expert
from federation.models import Size
from federation.scenario import Scenario
from federation.task import Task
from federation.tensors import Shapes, prefixed
from federation.wire.contribution import EVERYWHERE, Contribution
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import Model, ServerState
from server.telling import calibration_tensors
from server.training import aggregated, elastic_answer


class Prior(ServerSide):
    """Sends the prior at each client's size, and aggregates what comes back."""

    def rounds(self, scenario: Scenario, task: Task) -> int:
        return scenario.prior.rounds

    def models(self, state: ServerState) -> Mapping[int, Model]:
        return {EVERYWHERE: state.prior}

    def told(self, now: Now, kind: Kind) -> Told:
        model = now.scenario.model.slice(now.state.prior.parameters, now.task, kind.size)
        settings = {"learning_rate": now.scenario.prior.learning_rate, "region": EVERYWHERE}
        return Told(prefixed("model", model) | calibration_tensors(now), settings)

    def answer(self, now: Now, region: int, size: Size) -> Shapes:
        return elastic_answer(now, Expert(now.state.prior.parameters), size)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        return replace(now.state, prior=aggregated(now, now.state.prior, total.everywhere()))


SIDE = Prior()
