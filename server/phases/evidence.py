"""The experts that each client's samples reach, sent to it once."""

from collections.abc import Collection

from federation.models import Size
from federation.wire.contribution import Contribution
from server.bounds import Answer, counts
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState
from server.telling import evidence_tensors


class FromEvidence(ServerSide):
    """Phases that ask only clients of which it is known which experts they reach."""

    def able(self, now: Now, clients: Collection[int]) -> Collection[int]:
        return now.state.reached.keys() & set(clients)


class Evidence(FromEvidence):
    """Sends experts and the generalist. Their predictions stay with the clients."""

    by_reach = True

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(evidence_tensors(now.state, kind.reached))

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {"ready": counts()}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        return now.state


SIDE = Evidence()
