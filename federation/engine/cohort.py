"""Whole cohorts at once: the same client code with a leading clients axis, many times faster for small models."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flwr.app import Context, Message, RecordDict

from federation.engine.local import LocalGrid, Visit, described, in_order, refusal

CohortApp = Callable[[Sequence[Message], Sequence[Context]], list[Message]]
"""Serves messages of one type, stage and round together; one reply may stand for many of them."""

COHORT = 64


@dataclass(frozen=True)
class Served:
    """What came of one cohort: replies, and the state of each node that changed its own.

    Attributes:
        members: how many clients were asked.
    """

    members: int
    replies: Sequence[Message]
    states: Mapping[int, RecordDict] = field(default_factory=dict)


class Workers(Protocol):
    """Where cohorts are served."""

    def serve(self, cohorts: Sequence[tuple[Sequence[Message], Sequence[Context]]]) -> Iterator[Served]:
        """Each cohort's outcome, in any order."""


class Here:
    """This process, one cohort after another."""

    def __init__(self, app: CohortApp) -> None:
        self._app = app

    def serve(self, cohorts: Sequence[tuple[Sequence[Message], Sequence[Context]]]) -> Iterator[Served]:
        for messages, contexts in cohorts:
            yield Served(len(messages), answered(self._app, messages, contexts))


class CohortGrid(LocalGrid):
    """Groups the messages of a round into cohorts of at most `cohort` clients, and has them served by workers."""

    def __init__(
        self,
        workers: Workers,
        clients: int,
        run_config: dict[str, str | int],
        *,
        cohort: int = COHORT,
        visit: Visit = in_order,
        on_reply: Callable[[int], None] = lambda answered: None,
    ) -> None:
        super().__init__(clients, run_config, visit=visit, on_reply=on_reply)
        self._workers, self._cohort = workers, cohort

    def serve(self, messages: Sequence[Message]) -> Iterable[Message]:
        starts = range(0, len(messages), self._cohort)
        parts = [messages[start : start + self._cohort] for start in starts]
        cohorts = [(part, [self.contexts[m.metadata.dst_node_id] for m in part]) for part in parts]
        for served in self._workers.serve(cohorts):
            for node, state in served.states.items():
                self.contexts[node].state = state
            self.on_reply(served.members)
            yield from served.replies


def answered(app: CohortApp, messages: Sequence[Message], contexts: Sequence[Context]) -> list[Message]:
    """The replies of a cohort. One that raises is served again client by client: only the culprit is refused."""
    try:
        return app(messages, contexts)
    except Exception as error:
        if len(messages) == 1:
            return [refusal(messages[0], described(contexts[0].node_id, error))]
    alone = (answered(app, [message], [context]) for message, context in zip(messages, contexts, strict=True))
    return [reply for replies in alone for reply in replies]
