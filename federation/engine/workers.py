"""Ray actors that serve cohorts, on this machine or on a cluster. The one place that imports Ray."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from flwr.app import Context, Message, Metadata, RecordDict

from federation.engine.cohort import CohortApp, Served, answered
from federation.engine.identity import assume_identity
from federation.engine.local import refusal

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
import ray
from ray.exceptions import RayError

RETRIES = 2
"""How often a cohort is tried again when its worker dies."""

Cohort = tuple[Sequence[Message], Sequence[Context]]


class Worker:
    """One process that serves cohorts with one thread. It keeps nothing: what clients remember comes and goes."""

    def __init__(self, app: CohortApp) -> None:
        torch.set_num_threads(1)
        assume_identity()
        self._app = app

    def ready(self) -> int:
        """The process' number, once it can serve."""
        return os.getpid()

    def serve(
        self, metadata: Sequence[Metadata], body_of: Sequence[int], contexts: Sequence[Context], *bodies: RecordDict
    ) -> Served:
        """Serve a cohort whose messages were taken apart: the n-th has body `body_of[n]`."""
        remade: Any = Message  # its overloads leave out the form that Flower itself uses
        messages = [remade(metadata=m, content=bodies[b]) for m, b in zip(metadata, body_of, strict=True)]
        before = [dict(context.state.items()) for context in contexts]
        replies = answered(self._app, messages, contexts)
        changed = {c.node_id: c.state for c, old in zip(contexts, before, strict=True) if _differs(c.state, old)}
        return Served(len(messages), replies, changed)


class RayWorkers:
    """Actors that are asked for one cohort at a time. A cohort whose worker dies is served again by its successor.

    Args:
        count: how many; one a processor without it.
        address: of a running Ray cluster; without it one is started here, for this process alone.
    """

    def __init__(self, app: CohortApp, count: int | None = None, address: str | None = None) -> None:
        if not ray.is_initialized():
            ray.init(
                address=address,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        cluster: Any = ray
        processors = int(cluster.cluster_resources().get("CPU", 1))
        remote = cluster.remote(Worker)
        # Without a claim on processors, so that two runs side by side share them, and none waits for the other's end.
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        self._actors = [remote.options(**options).remote(app) for _ in range(count or processors)]

    def processes(self) -> list[int]:
        """Process numbers of the workers, once all can serve."""
        found: list[int] = ray.get([actor.ready.remote() for actor in self._actors])
        return found

    def serve(self, cohorts: Sequence[Cohort]) -> Iterator[Served]:
        bodies: dict[int, Any] = {}
        for messages, _ in cohorts:
            for message in messages:
                if id(message.content) not in bodies:
                    bodies[id(message.content)] = ray.put(message.content)
        waiting, idle = list(reversed(cohorts)), list(self._actors)
        asked: dict[Any, tuple[Cohort, Any]] = {}
        while waiting or asked:
            while waiting and idle:
                cohort, actor = waiting.pop(), idle.pop()
                asked[_ask(actor, cohort, bodies)] = (cohort, actor)
            [done], _ = ray.wait(list(asked), num_returns=1)
            (messages, contexts), actor = asked.pop(done)
            idle.append(actor)
            try:
                yield ray.get(done)
            except RayError as error:
                if len(messages) > 1:
                    waiting += [([m], [c]) for m, c in zip(messages, contexts, strict=True)]
                    continue
                cause = (
                    f"client {contexts[0].node_id - 1}: its worker died {RETRIES + 1} times ({type(error).__name__})"
                )
                yield Served(1, [refusal(messages[0], cause)])


@lru_cache(maxsize=1)
def ray_workers(app: CohortApp, count: int | None = None, address: str | None = None) -> RayWorkers:
    """Workers that all grids of a process share; they start once."""
    return RayWorkers(app, count, address)


def _ask(actor: Any, cohort: Cohort, bodies: dict[int, Any]) -> Any:
    messages, contexts = cohort
    used = list(dict.fromkeys(id(message.content) for message in messages))
    body_of = [used.index(id(message.content)) for message in messages]
    return actor.serve.remote([m.metadata for m in messages], body_of, contexts, *(bodies[key] for key in used))


def _differs(state: RecordDict, before: dict[str, Any]) -> bool:
    now = dict(state.items())
    return now.keys() != before.keys() or any(now[name] is not before[name] for name in now)
