"""The clients of a run as its server knows them: which node each is, what each remembers, and who can be asked what."""

from collections.abc import Collection, Iterable, Mapping
from math import ceil

from federation.contribution import EVERYWHERE
from federation.models.family import FULL
from federation.records import Stage
from federation.scenario import Scenario
from server.orders import Kind
from server.schedule import ELASTIC, EVERYBODY, EVIDENCED, REMEMBERED, UNCHARTED, Step
from server.state import ServerState


class Roster:
    """Clients are numbered from zero; a node is Flower's, which may change for a client that was away.

    Attributes:
        clients: size of the federation.
        node_of: the node of each client that has answered.
        online: nodes that were there when the last round began.
        samples: of each deployed client, by its census.
    """

    def __init__(self, scenario: Scenario, clients: int) -> None:
        self.scenario, self.clients = scenario, clients
        self.node_of: dict[int, int] = {}
        self.online: set[int] = set()
        self.samples: dict[int, float] = {}
        self._aware: dict[Stage, set[int]] = {stage: set() for stage in REMEMBERED}

    @property
    def aware(self) -> dict[Stage, tuple[int, ...]]:
        """The clients that remember what they were told in a stage."""
        return {stage: tuple(sorted(clients)) for stage, clients in self._aware.items()}

    def recall(self, node_of: Mapping[int, int], aware: Mapping[Stage, Iterable[int]]) -> None:
        """Go on where another run of the same clients has stopped."""
        self.node_of = dict(node_of)
        self._aware |= {stage: set(clients) for stage, clients in aware.items()}

    def answered(self, stage: Stage, clients: Collection[int]) -> None:
        """These have done a stage, and so remember what they were told for it."""
        for told, needed in REMEMBERED.items():
            if stage in {told, *needed}:
                self._aware[told].update(clients)

    def forgot(self, client: int, sender: int) -> None:
        """A client says that it remembers nothing, if it is its own node that says so."""
        if self.node_of.get(client) == sender:
            for clients in self._aware.values():
                clients.discard(client)

    def missing(self, clients: Collection[int]) -> list[int]:
        """Those who have answered before, but are not among these."""
        return sorted(self.node_of.keys() - set(clients))

    def who(self, node: int) -> str:
        """The client that a node is, where that is known."""
        client = next((number for number, own in self.node_of.items() if own == node), None)
        return f"node {node}" if client is None else f"client {client}"

    def here(
        self, stage: Stage, state: ServerState, online: Iterable[int], busy: Collection[int]
    ) -> tuple[list[int], list[int]]:
        """Clients that are online and idle, and, if the stage asks them, nodes of which nothing is known yet.

        Args:
            online: nodes that are there now.
            busy: nodes that are at work for a round before.
        """
        self.online = set(online)
        there = self.online - set(busy)
        known = sorted(number for number in self._able(stage, state) if self.node_of[number] in there)
        seen = set(self.node_of.values()) if stage in UNCHARTED else there
        return known, [node for node in online if node not in seen and node in there]

    def quorum(self, stage: Stage, state: ServerState) -> int:
        """How many clients must answer: a share of all that the stage asks, whether they are there or not."""
        share = self.scenario.quorum * (1.0 if stage in EVERYBODY else self.scenario.fraction)
        able = self.clients if stage in UNCHARTED else len(self._able(stage, state))
        return ceil(share * able)

    def kind(self, step: Step, number: int, state: ServerState) -> Kind:
        """What tells a client's order from those of others."""
        region = state.region_of_client[number] if state.region_of_client else EVERYWHERE
        region = len(state.experts) - 1 if step.stage is Stage.GROWTH else region
        size = state.size(region, number, self.scenario) if step.stage in ELASTIC else FULL
        again = any(step.stage in needed and number not in self._aware[s] for s, needed in REMEMBERED.items())
        told = step.stage is Stage.EVIDENCE or (again and step.stage is not Stage.GROWTH)
        reached = state.reached[number] if told else ()
        placed = step.stage is Stage.COUPLING and number in self._aware[Stage.COUPLING]
        return Kind(region, size, reached, placed, again)

    def _able(self, stage: Stage, state: ServerState) -> Collection[int]:
        """The clients that can serve a stage, for what they have done before."""
        if stage is Stage.EVIDENCE:
            return state.reached.keys() & self.node_of.keys()
        if stage is Stage.GROWTH:
            return set(state.pioneers) & self.node_of.keys()
        if stage is Stage.EXPERTS:
            resting = state.stable(self.scenario.fixed_point)
            return {number for number in self.node_of if state.region_of_client[number] not in resting}
        return self.node_of.keys() & state.reached.keys() if stage in EVIDENCED else self.node_of.keys()
