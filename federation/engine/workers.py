"""Ray actors that serve cohorts, on this machine or on a cluster. The one place that imports Ray."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from flwr.app import RecordDict

from federation.engine.cohort import Asked, CohortApp, Served, served
from federation.engine.identity import assume_identity

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
import ray
from ray.exceptions import RayError

RETRIES = 2
"""How often a cohort is tried again when its worker dies."""

AHEAD = 2
"""Cohorts that an actor is given at once, so that it need not wait for the next."""


class Worker:
    """One process that serves cohorts with one thread. It keeps nothing: what clients remember comes and goes."""

    def __init__(self, app: CohortApp) -> None:
        torch.set_num_threads(1)
        assume_identity()
        self._app = app

    def ready(self) -> int:
        """The process' number, once it can serve."""
        return os.getpid()

    def serve(self, asked: Asked, *bodies: RecordDict) -> Served:
        """Serve a cohort whose bodies come beside it."""
        return served(self._app, replace(asked, bodies=bodies))


class RayWorkers:
    """Actors that serve cohorts. A cohort whose worker dies is served again by its successor.

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

    def serve(self, cohorts: Sequence[Asked]) -> Iterator[tuple[Asked, Served]]:
        bodies = {id(body): ray.put(body) for body in {id(b): b for asked in cohorts for b in asked.bodies}.values()}
        lost: list[Asked] = []
        yield from self._served(cohorts, bodies, AHEAD, lambda asked, error: lost.append(asked))
        # One of a lost cohort may be deadly: each of its members is served with nobody beside it.
        single = [asked.alone(member) for asked in lost for member in range(len(asked.nodes))]
        deadly: list[tuple[Asked, Served]] = []
        yield from self._served(single, bodies, 1, lambda asked, error: deadly.append((asked, _deadly(asked, error))))
        yield from deadly

    def _served(
        self,
        cohorts: Sequence[Asked],
        bodies: Mapping[int, Any],
        ahead: int,
        on_loss: Callable[[Asked, RayError], None],
    ) -> Iterator[tuple[Asked, Served]]:
        queues = Queues(cohorts, len(self._actors))
        running: dict[Any, tuple[Asked, int]] = {}

        def ask(worker: int) -> None:
            if (asked := queues.next(worker)) is not None:
                parts = [bodies[id(body)] for body in asked.bodies]
                answer = self._actors[worker].serve.remote(replace(asked, bodies=()), *parts)
                running[answer] = (asked, worker)

        for worker in list(range(len(self._actors))) * ahead:
            ask(worker)
        while running:
            [done], _ = ray.wait(list(running), num_returns=1)
            asked, worker = running.pop(done)
            ask(worker)
            try:
                yield asked, ray.get(done)
            except RayError as error:
                on_loss(asked, error)


class Queues:
    """Which cohort a worker serves next: of its own share, which is the same in every round, so that the samples that
    it has loaded are asked where they lie; and when its own are done, one that waits for the busiest."""

    def __init__(self, cohorts: Sequence[Asked], workers: int) -> None:
        self._waiting = [deque(cohorts[worker::workers]) for worker in range(workers)]

    def next(self, worker: int) -> Asked | None:
        """A cohort that nobody has taken yet; None where all are taken."""
        if self._waiting[worker]:
            return self._waiting[worker].popleft()
        busiest = max(self._waiting, key=len)
        return busiest.pop() if busiest else None


@lru_cache(maxsize=1)
def ray_workers(app: CohortApp, count: int | None = None, address: str | None = None) -> RayWorkers:
    """Workers that all grids of a process share; they start once."""
    return RayWorkers(app, count, address)


def _deadly(asked: Asked, error: RayError) -> Served:
    [node] = asked.nodes
    cause = f"client {node - 1}: its worker died {RETRIES + 1} times ({type(error).__name__})"
    return Served(refused={node: cause})
