"""The counts of all clients together: of the samples, by which models are weighed, and of the classes."""

from dataclasses import replace

from federation.models import Size
from federation.tensors import Parameters
from federation.wire.contribution import Contribution
from federation.wire.records import LABELS
from server.bounds import Answer, counts
from server.phases.contract import Now, ServerSide
from server.state import ServerState


class Census(ServerSide):
    """Asks for counts, and keeps them."""

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {"samples": counts()} | ({LABELS: counts(now.task.outputs)} if now.task.classifies else {})

    def check(self, now: Now, who: str, sums: Parameters, answer: Answer) -> None:
        super().check(now, who, sums, answer)
        told, classes = float(sums["samples"]), float(sums.get(LABELS, sums["samples"]).sum())
        if told != classes:
            raise ValueError(f"{who}: it tells of {told:g} samples, and of {classes:g} by class")

    def advance(self, now: Now, total: Contribution) -> ServerState:
        sums = total.everywhere()
        labels = {LABELS: sums[LABELS]} if now.task.classifies else {}
        return replace(now.state, labels=labels, samples=float(sums["samples"]))


SIDE = Census()
