"""The router's gate between two of its rounds."""

from dataclasses import replace

from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.contribution import Contribution, coverage_mean
from server.bounds import Answer
from server.phases.contract import Kind, Now, Told
from server.phases.evidence import FromEvidence
from server.state import ServerState
from server.training import weighted_answer


class Router(FromEvidence):
    """Sends the gate, and takes the mean of what comes back.

    A client's own expert is masked in a share of the loss only where no other client trains it.
    """

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return scenario.router.rounds if scenario.router.rule.tuned else 0

    def told(self, now: Now, kind: Kind) -> Told:
        state = now.state
        alone = (
            state.region_of_client.count(kind.region) == 1 and len(state.experts) > 1 and not state.regions_of_client
        )
        return Told(prefixed("model", now.state.router), {"mixloo": now.scenario.router.mixloo * alone})

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return weighted_answer(now.state.router)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        return replace(now.state, router=coverage_mean(total.everywhere(), now.state.router))


SIDE = Router()
