"""What all grids in one process share: nodes with their contexts, message numbers, replies, traffic."""

import traceback
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path

import numpy as np
from flwr.app import Array, Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from federation.engine.identity import RUN, assume_identity
from federation.tensors import Parameters
from federation.timing.availability import DAY, Always, AvailabilityRule
from federation.wire.records import TRAFFIC, array_nbytes, from_arrays, to_memory, to_tensor

NAP, WEEK = 60.0, 7 * DAY
"""Seconds that pass between two looks for clients, and in which somebody must come."""

Visit = Callable[[Sequence[Message]], Sequence[Message]]
"""In which order the messages of one round are served; no result may depend on it."""


@dataclass
class Traffic:
    """Bytes of tensors in messages so far: `down` to the clients, `up` from them."""

    down: int = 0
    up: int = 0


@dataclass(frozen=True)
class Memories:
    """What a simulated federation knows between two rounds, while nobody is at work.

    Attributes:
        clock: virtual seconds.
        sendings: batches of messages so far, by which delays are drawn.
        down, up: bytes so far.
        nodes: the tensors that each node keeps, by record.
    """

    clock: float
    sendings: int
    down: int
    up: int
    nodes: Mapping[int, Mapping[str, Parameters]]


class Remembered(Mapping[int, Parameters]):
    """What clients of a simulation keep under a prefix; those that keep nothing there are not in it."""

    def __init__(self, states: Mapping[int, RecordDict], prefix: str) -> None:
        self._states, self._prefix = states, f"{prefix}/"

    def __getitem__(self, client: int) -> Parameters:
        arrays = dict(self._arrays(client + 1))
        if not arrays:
            raise KeyError(client)
        return {name: to_tensor(array) for name, array in arrays.items()}

    def __iter__(self) -> Iterator[int]:
        return (node - 1 for node in sorted(self._states) if any(True for _ in self._arrays(node)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _arrays(self, node: int) -> Iterator[tuple[str, Array]]:
        for record in self._states[node].array_records.values() if node in self._states else ():
            for name, array in record.items():
                if name.startswith(self._prefix):
                    yield name.removeprefix(self._prefix), array


def in_order(messages: Sequence[Message]) -> Sequence[Message]:
    """As they were sent."""
    return messages


class LocalGrid(Grid):
    """Flower's Grid without a network; node n + 1 holds partition n. Subclasses say how messages are served.

    What nodes remember between rounds is kept in `states`, of those that remember anything: memory follows the clients
    that were asked, never the pool.

    Args:
        run_config: what every context carries.
        availability: who is there, and how long an answer takes, in virtual seconds of `clock`.
        visit: the order of service.
        on_reply: called with the number of clients that have just answered.
    """

    def __init__(
        self,
        clients: int,
        run_config: dict[str, str | int],
        *,
        availability: AvailabilityRule | None = None,
        visit: Visit = in_order,
        on_reply: Callable[[int], None] = lambda answered: None,
    ) -> None:
        assume_identity()
        self.availability, self.clock = availability or Always(), 0.0
        self._seed, self._sendings = int(run_config.get("seed", 0)), 0
        self._on_the_way: dict[str, tuple[float, int, Message]] = {}
        self._visit, self.on_reply = visit, on_reply
        self.clients, self.run_config = clients, dict(run_config)
        self.states: dict[int, RecordDict] = {}
        self._run = Run.create_empty(RUN)
        self._numbers = count(1)
        self._replies: dict[str, Message] = {}
        self.traffic = Traffic()
        self._everyone = list(range(1, clients + 1))  # a copy of it, which Flower takes twice a round, is cheap

    @abstractmethod
    def serve(self, messages: Sequence[Message]) -> Iterable[Message]:
        """Replies to messages of known nodes, in any order; whatever a client raises becomes an error reply."""

    def context(self, node: int) -> Context:
        """A node's context, with what it remembers."""
        config: dict[str, bool | float | int | str] = {"partition-id": node - 1, "num-partitions": self.clients}
        return Context(RUN, node, config, self.states.get(node, RecordDict()), dict(self.run_config))

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> Sequence[int]:
        """The nodes that are online; while there are none, time passes.

        Raises:
            RuntimeError: nobody comes for a week.
        """
        if isinstance(self.availability, Always):
            return self._everyone
        for _ in range(round(WEEK / NAP)):
            online = self.availability.online(np.arange(self.clients), self.clock, self._seed)
            if online.any():
                return [int(client) + 1 for client in np.flatnonzero(online)]
            self.clock += NAP
        raise RuntimeError("no client has been online for a week; see availability")

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = list(messages)
        bodies = {id(message.content): message for message in sent}
        weight = {key: payload(message) for key, message in bodies.items()}
        known: list[Message] = []
        for message in sent:
            message.metadata.__dict__["_message_id"] = f"local-{next(self._numbers)}"
            self.traffic.down += weight[id(message.content)]
            if 1 <= (node := message.metadata.dst_node_id) <= self.clients:
                known.append(message)
            else:
                self._answered(refusal(message, f"no node {node}", ErrorCode.NODE_UNAVAILABLE))
        clients = np.array([message.metadata.dst_node_id - 1 for message in known], dtype=np.int64)
        seconds = self.availability.seconds(clients, self._sendings, self._seed)
        self._sendings += bool(sent)
        for message, client, taken in zip(known, clients.tolist(), seconds.tolist(), strict=True):
            self._on_the_way[message.metadata.message_id] = self.clock + taken, client, message
        return [message.metadata.message_id for message in sent]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return self.receive(message_ids, timeout=0.0, keep=True)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.receive(self.push_messages(messages), timeout=timeout)

    def receive(
        self, message_ids: Iterable[str], enough: int | None = None, timeout: float | None = None, keep: bool = False
    ) -> list[Message]:
        """Replies to some messages in the order in which they come, and the time that passes until then.

        Clients are served only when their reply is due, so that one that comes too late costs no training.

        Args:
            enough: replies that end the wait; without it, all that will ever come.
            timeout: virtual seconds that end it.
            keep: whether replies that have not come by then may be received later.
        """
        names = list(message_ids)
        here = [self._replies.pop(name) for name in names if name in self._replies]
        due = sorted((self._on_the_way[name][:2], name) for name in names if name in self._on_the_way)
        wanted, until = len(names) if enough is None else enough, self.clock + (inf if timeout is None else timeout)
        taken = [name for (arrival, _), name in due if arrival <= until and arrival < inf][: max(0, wanted - len(here))]
        if len(taken) + len(here) < min(wanted, len(names)) and until < inf:
            self.clock = until
        else:
            self.clock = max([self.clock, *(self._on_the_way[name][0] for name in taken)])
        asked = [self._on_the_way.pop(name)[2] for name in taken]
        if not keep:
            for _, name in due:
                self._on_the_way.pop(name, None)
        asked.sort(key=lambda message: message.metadata.dst_node_id)
        for reply in self.serve(self._visit(asked)):
            self._answered(reply)
        return here + [self._replies.pop(name) for name in taken if name in self._replies]

    def expects(self, message_id: str) -> bool:
        """Whether a reply to this message may still come."""
        return message_id in self._on_the_way

    def memories(self) -> Memories:
        """All that is known now; whoever is at work is forgotten."""
        nodes = {
            node: {name: from_arrays(record) for name, record in state.array_records.items()}
            for node, state in self.states.items()
        }
        return Memories(self.clock, self._sendings, self.traffic.down, self.traffic.up, nodes)

    def remembered(self, prefix: str) -> "Remembered":
        """What each client keeps under `prefix/name`, by name, read when it is asked for."""
        return Remembered(self.states, prefix)

    def remember(self, memories: Memories) -> None:
        """Go on from there."""
        self.clock, self._sendings = memories.clock, memories.sendings
        self.traffic = Traffic(memories.down, memories.up)
        self.states = {
            node: RecordDict({name: to_memory(tensors) for name, tensors in records.items()})
            for node, records in memories.nodes.items()
        }

    def _answered(self, reply: Message) -> None:
        self.traffic.up += payload(reply)
        self._replies[reply.metadata.reply_to_message_id] = reply


def refusal(message: Message, cause: str, code: int = ErrorCode.CLIENT_APP_RAISED_EXCEPTION) -> Message:
    """The error reply to a message."""
    return Message(Error(code, cause), reply_to=message)


def described(node: int, error: Exception) -> str:
    """Which client failed, with what, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    file = "/".join(Path(where.filename).parts[-2:])
    return f"client {node - 1}: {type(error).__name__}: {error} ({file}, line {where.lineno}, in {where.name})"


def payload(message: Message) -> int:
    """Bytes of the tensors in a message's body; of a merged reply, those of all its clients' own replies."""
    if not message.has_content():
        return 0
    merged = message.content.config_records.get(TRAFFIC)
    if merged is not None:
        return int(str(merged["upload"]))
    return sum(array_nbytes(array) for record in message.content.array_records.values() for array in record.values())
