"""Rounds in which each client trains alone: the server learns how they went, and nothing else."""

from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Contribution
from federation.world.predictors import OwnModels, OwnTensors, Predictor
from server.phases.contract import Now, ServerSide
from server.state import ServerState


class Local(ServerSide):
    """Asks for nothing."""

    def advance(self, now: Now, total: Contribution) -> ServerState:
        return now.state

    def predictor(self, state: ServerState, scenario: Scenario, task: Task, own: OwnTensors) -> Predictor | None:
        return OwnModels(scenario.model, task, scenario.seed, own)


SIDE = Local()
