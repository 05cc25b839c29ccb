"""The foundation prior between two of its rounds."""

from federation.learning.experts import Expert
from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.contribution import EVERYWHERE
from server.bounds import Answer
from server.global_model import GlobalModelTraining
from server.phases.contract import Kind, Now, Told
from server.training import elastic_answer


class Prior(GlobalModelTraining):
    """Sends the prior at each client's size, and aggregates what comes back."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return scenario.prior.rounds

    def told(self, now: Now, kind: Kind) -> Told:
        model = now.scenario.model.slice(now.state.prior.parameters, now.task, kind.size)
        settings = {"learning_rate": now.scenario.prior.learning_rate, "region": EVERYWHERE}
        return Told(prefixed("model", model), settings)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return elastic_answer(now, Expert(now.state.prior.parameters), size)


SIDE = Prior()
