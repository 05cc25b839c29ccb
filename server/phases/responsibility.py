"""The regions in which each client's samples lie."""

from collections.abc import Collection
from dataclasses import replace

from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.wire.contribution import Contribution
from server.bounds import Answer, counts
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState
from server.telling import chart_tensors


class Responsibility(ServerSide):
    """Sends encoder and charts, and notes in which regions each client has samples."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return int(scenario.charts.clusters > 1)

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(chart_tensors(now.state, now.scenario))

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {"count": counts(len(now.state.experts))}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        found = {client: tuple(sums["count"].nonzero().flatten().tolist()) for client, sums in total.sums.items()}
        return replace(now.state, regions_of_client=found)


SIDE = Responsibility()
