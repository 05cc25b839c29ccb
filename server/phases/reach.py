"""Which experts each client downloads: its own, and those that the charts send its samples to."""

from collections.abc import Collection
from dataclasses import replace

from torch import Tensor

from federation.models import Size
from federation.wire.contribution import Contribution
from server.bounds import Answer, Sum
from server.phases.contract import Kind, Now, ServerSide, Told
from server.state import ServerState
from server.telling import chart_tensors


class Reach(ServerSide):
    """Sends encoder, charts and router, and notes the share of each region in every client's gates."""

    def told(self, now: Now, kind: Kind) -> Told:
        return Told(chart_tensors(now.state, now.scenario) | now.state.known)

    def again(self, now: Now, kind: Kind) -> Told:
        return Told(chart_tensors(now.state, now.scenario))

    def homes(self, now: Now, clients: Collection[int]) -> set[int]:
        return set(clients)

    def answer(self, now: Now, region: int, size: Size) -> Answer:
        return {"share": Sum((len(now.state.experts),), 0.0, 1.0 + 1e-3)}

    def advance(self, now: Now, total: Contribution) -> ServerState:
        reached = {client: _reached(now, client, sums["share"]) for client, sums in total.sums.items()}
        return replace(now.state, reached=reached)


def _reached(now: Now, client: int, share: Tensor) -> tuple[int, ...]:
    """The regions whose experts a client downloads: its own, and those that its samples reach. Only the shares' ratios
    count, since the sums of a client beyond the cap are scaled."""
    own, least = now.state.homes(client), now.scenario.router.reach * float(share.sum())
    return tuple(r for r, part in enumerate(share.tolist()) if r in own or part >= least)


SIDE = Reach()
