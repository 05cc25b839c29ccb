"""The head between two of its rounds."""

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


class Head(FromEvidence):
    """Sends the head, and takes the mean of what comes back."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return scenario.head.rounds if task.classifies else 0

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(prefixed("model", now.state.head))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return weighted_answer(now.state.head)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        return replace(now.state, head=coverage_mean(total.everywhere(), now.state.head), head_sums={})


SIDE = Head()
