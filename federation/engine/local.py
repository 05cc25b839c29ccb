"""What all grids in one process share: nodes with their contexts, message numbers, replies, traffic."""

import traceback
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from math import prod

import numpy as np
from flwr.app import Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from federation.engine.identity import RUN, assume_identity
from federation.records import TRAFFIC

Visit = Callable[[Sequence[Message]], Sequence[Message]]
"""In which order the messages of one round are served; no result may depend on it."""


@dataclass
class Traffic:
    """Bytes of tensors in messages so far: `down` to the clients, `up` from them."""

    down: int = 0
    up: int = 0


def in_order(messages: Sequence[Message]) -> Sequence[Message]:
    """As they were sent."""
    return messages


class LocalGrid(Grid):
    """Flower's Grid without a network; node n + 1 holds partition n. Subclasses say how messages are served.

    What nodes remember between rounds is kept in `states`, of those that remember anything: memory follows the clients
    that were asked, never the pool.

    Args:
        run_config: what every context carries.
        visit: the order of service.
        on_reply: called with the number of clients that have just answered.
    """

    def __init__(
        self,
        clients: int,
        run_config: dict[str, str | int],
        *,
        visit: Visit = in_order,
        on_reply: Callable[[int], None] = lambda answered: None,
    ) -> None:
        assume_identity()
        self._visit, self.on_reply = visit, on_reply
        self.clients, self.run_config = clients, dict(run_config)
        self.states: dict[int, RecordDict] = {}
        self._run = Run.create_empty(RUN)
        self._numbers = count(1)
        self._replies: dict[str, Message] = {}
        self.traffic = Traffic()

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

    def get_node_ids(self) -> Iterable[int]:
        return range(1, self.clients + 1)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = list(messages)
        bodies = {id(message.content): message for message in sent}
        weight = {key: payload(message) for key, message in bodies.items()}
        known: list[Message] = []
        absent: list[Message] = []
        for message in sent:
            message.metadata.__dict__["_message_id"] = f"local-{next(self._numbers)}"
            self.traffic.down += weight[id(message.content)]
            (known if 1 <= message.metadata.dst_node_id <= self.clients else absent).append(message)
        known.sort(key=lambda message: message.metadata.dst_node_id)
        replies = [refusal(m, f"no node {m.metadata.dst_node_id}", ErrorCode.NODE_UNAVAILABLE) for m in absent]
        for reply in chain(replies, self.serve(self._visit(known))):
            self.traffic.up += payload(reply)
            self._replies[reply.metadata.reply_to_message_id] = reply
        return [message.metadata.message_id for message in sent]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))


def refusal(message: Message, cause: str, code: int = ErrorCode.CLIENT_APP_RAISED_EXCEPTION) -> Message:
    """The error reply to a message."""
    return Message(Error(code, cause), reply_to=message)


def described(node: int, error: Exception) -> str:
    """Which client failed, with what, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"client {node - 1}: {type(error).__name__}: {error} ({where.name}, line {where.lineno})"


def payload(message: Message) -> int:
    """Bytes of the tensors in a message's body; of a merged reply, those of all its clients' own replies."""
    if not message.has_content():
        return 0
    merged = message.content.config_records.get(TRAFFIC)
    if merged is not None:
        return int(str(merged["upload"]))
    arrays = (array for record in message.content.array_records.values() for array in record.values())
    return sum(prod(array.shape) * np.dtype(array.dtype).itemsize for array in arrays)
