"""The clients of a run as its server knows them: which node each is, what each remembers, and who can be asked what."""

from collections.abc import Collection, Iterable, Mapping
from math import ceil

from federation.models.family import FULL
from federation.phases import named
from federation.rules import InputError
from federation.scenario import Scenario
from server.phases import side
from server.phases.contract import Kind, Now, Step

STRIKES = 3
"""Refused replies in a row after which a client is asked no more."""


class OtherDataError(InputError):
    """A client whose run goes on has not the data with which it began."""


class Roster:
    """Clients are numbered from zero; a node is Flower's, which may change for a client that was away.

    Attributes:
        clients: size of the federation.
        node_of: the node of each client that has answered.
        online: nodes that were there when the last round began.
        samples: of each deployed client, by its census.
        data: digest of the data of each deployed client, by its census.
        turns: of each client that proposes something, the last round of the phase in which it was asked, and the last
            whose answer was counted, or -1.
        strikes: refused replies in a row of each node.
    """

    def __init__(self, scenario: Scenario, clients: int) -> None:
        self.scenario, self.clients = scenario, clients
        self.node_of: dict[int, int] = {}
        self.online: set[int] = set()
        self.samples: dict[int, float] = {}
        self.data: dict[int, str] = {}
        self.turns: dict[int, tuple[int, int]] = {}
        self.strikes: dict[int, int] = {}
        self._aware: dict[str, set[int]] = {}

    @property
    def aware(self) -> dict[str, tuple[int, ...]]:
        """The clients that remember what a phase has told them, by its name."""
        return {name: tuple(sorted(clients)) for name, clients in self._aware.items()}

    def recall(
        self, node_of: Mapping[int, int], aware: Mapping[str, Iterable[int]], strikes: Mapping[int, int] | None = None
    ) -> None:
        """Go on where another run of the same clients has stopped, on the same nodes."""
        self.node_of = dict(node_of)
        self._aware |= {name: set(clients) for name, clients in aware.items()}
        self.strikes = dict(strikes or {})

    def asked(self, step: Step, clients: Iterable[int]) -> None:
        """These are asked in a round."""
        if step.round == 0:
            self.turns = {}
        if step.phase.proposes:
            self.turns |= {client: (step.round, self.turns.get(client, (-1, -1))[1]) for client in clients}

    def answered(self, now: Now, clients: Collection[int]) -> None:
        """These have done a round, and so remember what they were told for it, now or before."""
        phase = now.step.phase
        if phase.proposes:
            self.turns |= dict.fromkeys(clients, (now.step.round, now.step.round))
        for name in (*self._recalled(now), *[phase.name] * phase.remembers):
            self._aware.setdefault(name, set()).update(clients)

    def counted(self, client: int, samples: float, data: str) -> None:
        """A deployed client has answered a census.

        Raises:
            OtherDataError: its data are not those that it had when the run began.
        """
        self.samples[client] = samples
        if self.data.setdefault(client, data) != data:
            raise OtherDataError(
                f"client {client} has other data than when the run began; give them back, or begin another run"
            )

    def forgot(self, client: int, sender: int) -> None:
        """A client says that it remembers nothing, if it is its own node that says so."""
        if self.node_of.get(client) == sender:
            for clients in self._aware.values():
                clients.discard(client)

    def strike(self, node: int) -> bool:
        """A reply of a node was refused; whether it is asked no more from now on."""
        self.strikes[node] = self.strikes.get(node, 0) + 1
        return self.strikes[node] == STRIKES

    def pardon(self, nodes: Iterable[int]) -> None:
        """Replies of these nodes can be used."""
        for node in nodes:
            self.strikes.pop(node, None)

    def missing(self, clients: Collection[int]) -> list[int]:
        """Those who have answered before, but are not among these."""
        return sorted(self.node_of.keys() - set(clients))

    def who(self, node: int) -> str:
        """The client that a node is, where that is known."""
        client = next((number for number, own in self.node_of.items() if own == node), None)
        return f"node {node}" if client is None else f"client {client}"

    def here(self, now: Now, online: Iterable[int], busy: Collection[int]) -> tuple[list[int], list[int]]:
        """Clients that are online and idle, and, if the phase asks them, nodes of which nothing is known yet.

        Args:
            online: nodes that are there now.
            busy: nodes that are at work for a round before.
        """
        self.online = set(online)
        there = {node for node in self.online - set(busy) if self.strikes.get(node, 0) < STRIKES}
        able = side(now.step.phase).able(now, self.node_of.keys())
        known = sorted(number for number in able if self.node_of[number] in there)
        seen = there if now.step.phase.needs_region else set(self.node_of.values())
        return known, [node for node in online if node not in seen and node in there]

    def quorum(self, now: Now) -> int:
        """How many clients must answer: a share of all that the phase asks, whether they are there or not."""
        phase = now.step.phase
        share = self.scenario.quorum * (1.0 if phase.asks_all else self.scenario.fraction)
        able = len(side(phase).able(now, self.node_of.keys())) if phase.needs_region else self.clients
        return ceil(share * able)

    def kind(self, now: Now, number: int) -> Kind:
        """What tells a client's order from those of others."""
        phase, state = now.step.phase, now.state
        region = side(phase).region(now, number)
        size = state.size(region, number, self.scenario) if phase.elastic else FULL
        again = tuple(name for name in self._recalled(now) if not self._remembers(name, number))
        asked, counted = self.turns.get(number, (0, -1)) if now.step.round else (0, -1)
        by_reach = side(phase).by_reach or any(side(named(name)).by_reach for name in again)
        return Kind(
            region,
            size,
            state.reached[number] if by_reach else (),
            self._remembers(phase.name, number),
            again,
            counted if phase.proposes and asked > counted else None,
            state.regions_of_client.get(number, ()) if phase.by_region else (),
        )

    @staticmethod
    def _recalled(now: Now) -> tuple[str, ...]:
        """The phases whose memory a client needs in a round, if they took place."""
        phase = now.step.phase
        return phase.may_recall() if now.state.regions_of_client else phase.recalls()

    def _remembers(self, phase: str, number: int) -> bool:
        return number in self._aware.get(phase, ())
