"""The encoder whose charts tell the held-out samples best."""

import torch

from federation.manifold.atlas import FACTORS
from federation.models import Size
from federation.phases import Phase
from federation.scenario import Scenario
from federation.tasks import Task
from federation.tensors import prefixed
from federation.wire.contribution import Contribution
from server.bounds import Answer, counts
from server.phases.contract import Kind, Now, ServerSide, Told
from server.settling import settled
from server.state import ServerState
from server.telling import encoder_tensors


class Choice(ServerSide):
    """Sends the federation under each encoder in question; the best one's regions and experts are settled."""

    def rounds(self, phase: Phase, scenario: Scenario, task: Task) -> int:
        return int(len(scenario.encoders) > 1)

    def told(self, now: Now, kind: Kind) -> Told:
        tensors = encoder_tensors(now.state, now.scenario)
        for number, found in enumerate(now.state.candidates):
            home = found.atlas.tensors() | {"region_of_client": torch.tensor(found.region_of_client)}
            tensors |= prefixed(f"charted/{number}", home)
        return Told(tensors)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {"gain": (len(now.state.candidates), len(FACTORS)), "count": counts()}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        best = int(total.everywhere()["gain"].amax(1).argmax())
        return settled(now.state, now.state.candidates[best], now.scenario, now.task)


SIDE = Choice()
