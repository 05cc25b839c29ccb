"""The head's last layer, from the products of its hidden units over all clients."""

from dataclasses import replace

from federation.learning.least_squares import refitted, sums_of
from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.contribution import Contribution
from server.bounds import Answer
from server.phases.contract import Kind, Now, Told
from server.phases.evidence import FromEvidence
from server.state import ServerState


class LeastSquares(FromEvidence):
    """Sends the head as it is, and fits its last layer to the sums that come back."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return int(scenario.head.ridge is not None)

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(prefixed("model", now.state.head))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return sums_of(now.state.head)

    def advance(self, now: Now, total: Contribution) -> ServerState:
        head, everywhere = now.state.head, total.everywhere()
        sums = {name: everywhere[name] for name in sums_of(head) if name in everywhere}
        return replace(now.state, head=refitted(head, sums, now.scenario.head.ridge, now.task), head_sums=sums)


SIDE = LeastSquares()
