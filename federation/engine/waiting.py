"""A grid whose rounds may end before everybody has answered: over-selection, deadlines, asynchronous rounds."""

import logging
import time
from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from federation.engine.local import NAP, WEEK, LocalGrid

LOG = logging.getLogger("manifold")

PAUSE = 0.2
"""Seconds between two looks at a network for answers."""

PATIENCE, TIMES = 120.0, 3
"""A network that breaks at the wrong moment loses an order for good. Whoever is silent for so many seconds, and so many
times longer than anybody has ever taken, is asked once more."""


class Waiting(Grid):
    """Any grid, with a say in when a round ends.

    Attributes:
        enough: answers that end a round; all without it.
        deadline: seconds that end a round, if they are fewer than Flower's own timeout.
        keeps: whether messages without an answer stay at work when a round ends.
        simulated: the grid, where it is one in this process.
        patience: seconds after which those who are silent in a network are asked again, at the earliest.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.simulated = grid if isinstance(grid, LocalGrid) else None
        self._began, self._rested = time.monotonic(), 0.0
        self.enough: int | None = None
        self.deadline: float | None = None
        self.keeps = False
        self.patience, self._slowest = PATIENCE, 0.0
        self.at_work: dict[str, Message] = {}
        self._node_of: dict[str, int] = {}

    @property
    def clock(self) -> float:
        """Seconds since the run began, virtual ones where the grid simulates them."""
        return time.monotonic() - self._began if self.simulated is None else self.simulated.clock

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        self._rested = 0.0
        limits = [limit for limit in (timeout, self.deadline) if limit is not None]
        limit = min(limits) if limits else None
        sent = list(messages)
        if self.simulated is not None and self.enough is None and not self.at_work:
            return self.simulated.send_and_receive(sent, timeout=limit)
        names = self._grid.push_messages(sent)
        self.at_work |= {name: message for name, message in zip(names, sent, strict=True) if name}
        self._node_of = {name: message.metadata.dst_node_id for name, message in self.at_work.items()}
        replies = self._received(len(self.at_work) if self.enough is None else self.enough, limit)
        if not self.keeps:
            self.abandon()
        return replies

    def sender(self, reply: Message) -> int:
        """The node that was asked: a network answers in its own name for one that is gone."""
        return self._node_of.get(reply.metadata.reply_to_message_id, reply.metadata.src_node_id)

    def rest(self) -> None:
        """Let time pass, where nobody is there who could be asked.

        Raises:
            RuntimeError: a week of it in a row.
        """
        self._rested += NAP
        if self._rested > WEEK:
            raise RuntimeError("nobody who could be asked has been online for a week; see availability")
        if self.simulated is None:
            time.sleep(NAP)
        else:
            self.simulated.clock += NAP

    def abandon(self) -> None:
        """Give up on whoever is still at work."""
        if self.simulated is not None:
            self.simulated.receive(self.at_work, enough=0)
        self.at_work.clear()

    def _received(self, enough: int, limit: float | None) -> list[Message]:
        """Replies; whoever is in them, also in one that stands for many, is no longer at work."""
        if self.simulated is not None:
            replies = self.simulated.receive(self.at_work, enough, limit, keep=True)
            for name in list(self.at_work):
                if not self.simulated.expects(name):
                    del self.at_work[name]
            return replies
        replies, began, asked = [], time.monotonic(), 1
        while len(replies) < enough and self.at_work and (limit is None or time.monotonic() < began + limit):
            waited = time.monotonic() - began
            for reply in self._grid.pull_messages(list(self.at_work)):
                if reply.metadata.reply_to_message_id in self.at_work:
                    replies.append(reply)
                    self._slowest = max(self._slowest, waited)
                    self._answered(reply, again=asked > 1)
            if not self.keeps and self._slowest and waited > asked * max(self.patience, TIMES * self._slowest):
                self._ask_again()
                asked *= 2
            if len(replies) < enough:
                time.sleep(PAUSE)
        return replies

    def _answered(self, reply: Message, again: bool) -> None:
        """Whoever has answered is no longer at work, however often it was asked."""
        del self.at_work[reply.metadata.reply_to_message_id]
        if not again:
            return
        node = self.sender(reply)
        for name in [name for name, message in self.at_work.items() if message.metadata.dst_node_id == node]:
            del self.at_work[name]

    def _ask_again(self) -> None:
        """Send the same orders to all who are silent and there."""
        there = set(self._grid.get_node_ids())
        silent = {message.metadata.dst_node_id: message for message in self.at_work.values()}
        again = [Message(m.content, node, m.metadata.message_type) for node, m in silent.items() if node in there]
        LOG.warning("no answer from %d nodes; they are asked again", len(again))
        for name, message in zip(self._grid.push_messages(again), again, strict=True):
            if name:
                self.at_work[name] = message
                self._node_of[name] = message.metadata.dst_node_id

    def set_run(self, run: Run) -> None:
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return self._grid.pull_messages(message_ids)
