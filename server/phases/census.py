"""The counts of all clients together: of the samples, by which models are weighed, and of the classes."""

from dataclasses import replace

from federation.models import Size
from federation.tensors import Shapes
from federation.wire.contribution import Contribution
from federation.wire.records import LABELS
from server.phases.contract import Now, ServerSide
from server.state import ServerState


class Census(ServerSide):
    """Asks for counts, and keeps them."""

    def answer(self, now: Now, region: int, size: Size) -> Shapes:
        return {"samples": ()} | ({LABELS: (now.task.outputs,)} if now.task.classifies else {})

    def advance(self, now: Now, total: Contribution) -> ServerState:
        sums = total.everywhere()
        labels = {LABELS: sums[LABELS]} if now.task.classifies else {}
        return replace(now.state, labels=labels, samples=float(sums["samples"]))


SIDE = Census()
