"""Ray actors that serve cohorts, on this machine or on a cluster, and how this process comes to Ray."""

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from flwr.app import RecordDict

from federation.engine.cohort import GPU_MEMORY, Asked, CohortApp, Served, served
from federation.engine.identity import assume_identity
from federation.tensors import CACHE

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Node

RETRIES = 1
"""How often a cohort is tried again when its worker dies."""

BACK = 60.0
"""Seconds in which one of the workers must come back, where all are out of reach."""

AHEAD = 2
"""Cohorts that an actor is given at once, so that it need not wait for the next."""


def connected(address: str | None = None) -> Any:
    """Ray itself, joined at an address; without one it is started here, for this process alone."""
    if not ray.is_initialized():
        ray.init(
            address=address or "local",  # never one that somebody else has started on this machine
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    return ray


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
        count: how many; without it one a processor, or one a GPU where the cluster has some.
        address: of a running Ray cluster; without it one is started here, for this process alone.
    """

    def __init__(self, app: CohortApp, count: int | None = None, address: str | None = None) -> None:
        cluster = connected(address)
        remote = cluster.remote(Worker)
        # Without a claim on processors, so that two runs side by side share them, and none waits for the other's end.
        options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": RETRIES}
        unit = "GPU" if cluster.cluster_resources().get("GPU") else "CPU"
        places = _places(cluster.nodes(), unit)
        self.working_set = CACHE if unit == "CPU" else GPU_MEMORY
        if unit == "GPU":
            options["num_gpus"] = min(1.0, len(places) / count) if count else 1.0
        self._actors = [
            remote.options(**options, scheduling_strategy=Node(places[n % len(places)], soft=True)).remote(app)
            for n in range(count or len(places))
        ]

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
        absent: set[int] = set()
        failed: Counter[int] = Counter()

        def ask(worker: int) -> None:
            if worker not in absent and (asked := queues.next(worker)) is not None:
                parts = [bodies[id(body)] for body in asked.bodies]
                answer = self._actors[worker].serve.remote(replace(asked, bodies=()), *parts)
                running[answer] = (asked, worker)

        for worker in list(range(len(self._actors))) * ahead:
            ask(worker)
        while running:
            [done], _ = ray.wait(list(running), num_returns=1)
            asked, worker = running.pop(done)
            try:
                outcome = ray.get(done)
            except ActorUnavailableError as error:
                # Most likely the node's fault or the network's: others serve it, or whoever comes back.
                absent.add(worker)
                failed[asked.nodes[0]] += 1
                on_loss(asked, error) if failed[asked.nodes[0]] > RETRIES else queues.give_back(asked)
                if not running and len(absent) == len(self._actors):
                    absent -= {self._back()}
                for other in range(len(self._actors)):
                    ask(other)
            except RayError as error:
                on_loss(asked, error)
                ask(worker)
            else:
                ask(worker)
                yield asked, outcome

    def _back(self) -> int:
        """The first worker that can serve again.

        Raises:
            RuntimeError: none can for a minute.
        """
        until = time.monotonic() + BACK
        while time.monotonic() < until:
            for worker, actor in enumerate(self._actors):
                try:
                    ray.get(actor.ready.remote(), timeout=1)
                    return worker
                except (RayError, TimeoutError):
                    time.sleep(0.2)
        raise RuntimeError(f"none of {len(self._actors)} Ray workers has answered for {BACK:.0f} s; is the cluster up?")


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

    def give_back(self, asked: Asked) -> None:
        """A cohort that its worker could not take after all."""
        min(self._waiting, key=len).append(asked)


def _places(nodes: Sequence[Mapping[str, Any]], unit: str) -> list[str]:
    """A node for each processor of the cluster, or for each GPU if it has some, the nodes taking turns."""
    left = {node["NodeID"]: int(node["Resources"].get(unit, 0)) for node in nodes if node["Alive"]}
    turns = range(max([1, *left.values()]))
    return [name for turn in turns for name, units in left.items() if turn < units] or list(left)


@lru_cache(maxsize=1)
def ray_workers(app: CohortApp, count: int | None = None, address: str | None = None) -> RayWorkers:
    """Workers that all grids of a process share; they start once."""
    return RayWorkers(app, count, address)


def _deadly(asked: Asked, error: RayError) -> Served:
    [node] = asked.nodes
    cause = f"client {node - 1}: its worker died {RETRIES + 1} times ({type(error).__name__})"
    return Served(refused={node: cause})
