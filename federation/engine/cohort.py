"""Whole cohorts at once: the same client code with a leading clients axis, many times faster for small models."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Protocol

from flwr.app import ConfigRecord, Message, RecordDict

from federation.engine.local import LocalGrid, Visit, described, in_order, payload, refusal
from federation.tensors import CACHE, accelerator, threads_for
from federation.timing.availability import AvailabilityRule
from federation.wire.records import CONFIG

COHORT = 64

GPU_MEMORY = 2 * 2**30
"""Bytes of a cohort's working set on a GPU, which only many more clients fill than a processor's CACHE holds."""

COHORTS = 8
"""Into how many cohorts a round is cut where cohorts stay large enough, so that several workers share it evenly."""


@dataclass(frozen=True)
class Asked:
    """What one cohort is asked: messages of one type, taken apart so that what they share is shipped once.

    Attributes:
        nodes: the members; node n + 1 holds partition n.
        bodies: the different contents, and `body_of` which of them each member gets.
        states: what members remember, of those that remember anything.
        merged: whether one answer may stand for many members.
    """

    message_type: str
    run_config: Mapping[str, str | int]
    nodes: Sequence[int]
    body_of: Sequence[int]
    bodies: Sequence[RecordDict]
    states: Mapping[int, RecordDict] = field(default_factory=dict)
    merged: bool = True

    def alone(self, member: int) -> "Asked":
        """The same of one member only."""
        node = self.nodes[member]
        states = {node: self.states[node]} if node in self.states else {}
        return replace(self, nodes=[node], body_of=[0], bodies=[self.bodies[self.body_of[member]]], states=states)


@dataclass(frozen=True)
class Served:
    """What came of a cohort.

    Attributes:
        answers: contents of replies, each under one of the nodes that it stands for.
        refused: the cause of each member that is in no answer.
        states: of each member that changed its own.
    """

    answers: Mapping[int, RecordDict] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    states: Mapping[int, RecordDict] = field(default_factory=dict)


CohortApp = Callable[[Asked], Served]
"""Serves a cohort; one answer may stand for many of its members."""


class Workers(Protocol):
    """Where cohorts are served.

    `working_set`: bytes that a step of a cohort may go through, so that the caches of what serves it hold them.
    """

    working_set: int

    def serve(self, cohorts: Sequence[Asked]) -> Iterator[tuple[Asked, Served]]:
        """Each cohort with its outcome, in any order; a cohort may come back in several parts."""


class Here:
    """This process, one cohort after another, with one thread as other workers: the same bits come of it."""

    def __init__(self, app: CohortApp) -> None:
        self._app = app
        self.working_set = CACHE if accelerator().type == "cpu" else GPU_MEMORY

    def serve(self, cohorts: Sequence[Asked]) -> Iterator[tuple[Asked, Served]]:
        for asked in cohorts:
            with threads_for(0):
                outcome = served(self._app, asked)
            yield asked, outcome


class CohortGrid(LocalGrid):
    """Groups the messages of a round into cohorts of at most `cohort` clients, and has them served by workers.

    The members of a cohort are asked for the same with models of the same size. Answers are `merged` unless the
    server's rule needs each client's own, as a median does.
    """

    def __init__(
        self,
        workers: Workers,
        clients: int,
        run_config: dict[str, str | int],
        *,
        cohort: int = COHORT,
        merged: bool = True,
        availability: AvailabilityRule | None = None,
        visit: Visit = in_order,
        on_reply: Callable[[int], None] = lambda answered: None,
    ) -> None:
        super().__init__(clients, run_config, availability=availability, visit=visit, on_reply=on_reply)
        self._workers, self._cohort, self._merged = workers, cohort, merged

    def serve(self, messages: Sequence[Message]) -> Iterable[Message]:
        message_of = {message.metadata.dst_node_id: message for message in messages}
        most = evenly(len(messages), self._cohort)
        cohorts = []
        for alike in grouped(messages):
            size = ceil(len(alike) / ceil(len(alike) / most))
            cohorts += [self._asked(alike[start : start + size]) for start in range(0, len(alike), size)]
        for asked, outcome in self._workers.serve(cohorts):
            self.states.update(outcome.states)
            self.on_reply(len(asked.nodes))
            for node, content in outcome.answers.items():
                yield Message(content, reply_to=message_of[node])
            for node, cause in outcome.refused.items():
                yield refusal(message_of[node], cause)

    def _asked(self, messages: Sequence[Message]) -> Asked:
        nodes = [message.metadata.dst_node_id for message in messages]
        bodies = {id(message.content): message.content for message in messages}
        place = {key: index for index, key in enumerate(bodies)}
        return Asked(
            message_type=messages[0].metadata.message_type,
            run_config=self.run_config,
            nodes=nodes,
            body_of=[place[id(message.content)] for message in messages],
            bodies=list(bodies.values()),
            states={node: self.states[node] for node in nodes if node in self.states},
            merged=self._merged,
        )


def grouped(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages of one type and round whose bodies hold arrays of the same names and shapes; the most numbers first,
    since what takes longest is best begun first."""
    kind_of: dict[int, tuple[object, ...]] = {}
    groups: dict[tuple[object, ...], list[Message]] = {}
    for message in messages:
        key = id(message.content)
        if key not in kind_of:
            records = message.content.array_records.items()
            shapes = ((r, name, tuple(array.shape)) for r, arrays in records for name, array in arrays.items())
            config = message.content.config_records.get(CONFIG, ConfigRecord())
            kind_of[key] = (message.metadata.message_type, config.get("phase"), config.get("round"), *shapes)
        groups.setdefault(kind_of[key], []).append(message)
    return sorted(groups.values(), key=lambda alike: -payload(alike[0]))


def evenly(clients: int, most: int) -> int:
    """Size of a round's cohorts: at most `most`; smaller ones, down to a quarter, where that gives more workers work.

    It depends on no number of workers, so that results do not either.
    """
    cohorts = max(1, ceil(clients / most))
    while cohorts < COHORTS and clients >= 2 * cohorts * max(2, most // 4):
        cohorts *= 2
    return ceil(clients / cohorts)


def served(app: CohortApp, asked: Asked) -> Served:
    """What an app makes of a cohort. One that raises is served again client by client: only the culprit is refused."""
    try:
        return app(asked)
    except Exception as error:
        if len(asked.nodes) == 1:
            return Served(refused={asked.nodes[0]: described(asked.nodes[0], error)})
    parts = [served(app, asked.alone(member)) for member in range(len(asked.nodes))]
    return Served(
        *(
            {node: one for part in parts for node, one in getattr(part, name).items()}
            for name in ("answers", "refused", "states")
        )
    )
