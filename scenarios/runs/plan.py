"""What a run will take, before it runs: bytes, seconds and memory, from a rehearsal with a few of its clients.

The rehearsal is the real thing in small: every phase for a round or two, on the real samples of some clients, in this
process. What a client sends, receives and remembers is counted there, and what it costs in time is measured; the rest
is multiplication. Regions are found by the run itself: where a scenario shares them, their number is the sample's.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import psutil
from flwr.app import ArrayRecord

from clients.app import serve_cohort
from federation.engine import CohortGrid, Here
from federation.manifold import PrivateRegions
from federation.opening import Opened, open_run, run_config
from federation.rules import InputError
from federation.scenario import Scenario
from federation.timing.availability import Always
from federation.timing.pacing import Synchronous
from scenarios.runs.engines import fitting
from server.history import RoundRecord
from server.schedule import schedule
from server.state import ServerState
from server.strategy import ManifoldStrategy

SAMPLE = 16
"""The most clients of a rehearsal."""


@dataclass(frozen=True)
class PhasePlan:
    """One phase: its rounds, and what each of them takes."""

    phase: str
    rounds: int
    clients: int
    bytes_down: int
    bytes_up: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Attributes:
        cohort: clients that a worker trains at once.
        largest_cohort: those that memory has room for.
        memory: bytes, by what they are for.
        available: bytes of memory that are free now.
    """

    scenario: str
    clients: int
    workers: int
    rehearsed: int
    phases: Sequence[PhasePlan]
    cohort: int
    largest_cohort: int
    memory: Mapping[str, int]
    available: int

    @property
    def fits(self) -> bool:
        """Whether the machine has the memory."""
        return sum(self.memory.values()) <= self.available

    def dump(self) -> dict[str, Any]:
        """Plain data, with totals."""
        totals = {name: sum(p.rounds * getattr(p, name) for p in self.phases) for name in ("bytes_down", "bytes_up")}
        seconds = sum(phase.rounds * phase.seconds for phase in self.phases)
        return {**asdict(self), **totals, "seconds": seconds, "fits": self.fits}


class Rehearsal(CohortGrid):
    """A grid on which only some clients are there; it counts what each round moves."""

    def __init__(self, some: Sequence[int], clients: int, config: dict[str, str | int], cohort: int) -> None:
        super().__init__(Here(serve_cohort), clients, config, cohort=cohort)
        self._nodes = [client + 1 for client in some]
        self._seen = (0, 0)

    def get_node_ids(self) -> Sequence[int]:
        return self._nodes

    def moved(self) -> tuple[int, int]:
        """Bytes down and up since the last call."""
        now = self.traffic.down, self.traffic.up
        before, self._seen = self._seen, now
        return now[0] - before[0], now[1] - before[1]


def plan(reference: str, overrides: Mapping[str, Any], seed: int, workers: int | None = None) -> Plan:
    """Rehearse a scenario and say what it takes.

    Args:
        workers: processes that serve clients; one a processor without it.
    Raises:
        InputError: its experts alone are more than the machine's memory.
    """
    config = run_config(reference, overrides, seed)
    opened = open_run(config)
    scenario, federation = opened.scenario, opened.federation()
    clients, available = len(federation.clients), psutil.virtual_memory().available
    processes = max(1, workers if workers is not None else os.cpu_count() or 1)
    _check_experts(opened, clients, available)
    resting = psutil.Process().memory_info().rss
    some = [n * clients // min(clients, SAMPLE) for n in range(min(clients, SAMPLE))]
    cohort = fitting(opened)
    grid = Rehearsal(some, clients, config, cohort)
    rows = _rehearsed(grid, opened, len(some), processes)
    records = [record for state in grid.states.values() for record in state.array_records.values()]
    remembered = sum(len(array.data) for record in records for array in record.values())
    each = _client_at_work(opened, some)
    experts = clients if isinstance(scenario.regions, PrivateRegions) else len(some)
    memory = {
        "processes, each with the data": (processes + 1) * resting,
        "what clients remember": remembered * clients // len(some),
        "experts": 2 * experts * _weights(opened),
        "cohorts at work": processes * min(clients, cohort) * each,
    }
    rest = available - sum(memory.values()) + memory["cohorts at work"]
    largest = max(0, min(clients, rest // (processes * each)))
    return Plan(scenario.name, clients, processes, len(some), rows, min(clients, cohort), largest, memory, available)


def _rehearsed(grid: Rehearsal, opened: Opened, some: int, processes: int) -> list[PhasePlan]:
    """The rows of all phases, from a round each; of what is trained, the second round counts."""
    scenario, federation = opened.scenario, opened.federation()
    seen: dict[str, tuple[int, int, float]] = {}

    def note(record: RoundRecord, state: ServerState) -> None:
        down, up = grid.moved()
        seen[record.phase] = down, up, record.seconds

    strategy = ManifoldStrategy(_shortened(scenario), federation.task, len(federation.clients), note)
    strategy.start(grid, ArrayRecord(), num_rounds=len(strategy.steps))
    rows = []
    for step in schedule(scenario, federation.task):
        if step.round == 0:
            share = 1.0 if step.phase.asks_all else scenario.fraction
            clients = max(1, round(share * len(federation.clients)))
            down, up, seconds = seen[step.phase.name]
            down, up = down * clients // some, up * clients // some
            spread = seconds * clients / some / min(processes, clients)
            rows.append(PhasePlan(step.phase.name, step.rounds, clients, down, up, spread))
    return rows


def _shortened(scenario: Scenario) -> Scenario:
    """At most two rounds of each phase, in which everybody who is there is asked and waited for. A client downloads all
    experts: which of them it reaches is known only where all clients are there."""
    short = scenario.with_rounds(lambda rounds: min(rounds, 2))
    router = short.router.model_copy(update={"reach": 0.0})
    return short.model_copy(
        update={"fraction": 1.0, "availability": Always(), "pacing": Synchronous(), "router": router}
    )


def _client_at_work(opened: Opened, some: Sequence[int]) -> int:
    """Bytes of one member of a cohort: model, velocity and gradients, an epoch of samples laid out, a batch at work."""
    scenario, federation = opened.scenario, opened.federation()
    samples = ceil(sum(federation.clients[client].train.nbytes for client in some) / len(some))
    return 2 * _weights(opened) + samples + scenario.model.working_set(federation.task, scenario.local.batch_size)


def _weights(opened: Opened) -> int:
    """Bytes of one model."""
    return 4 * opened.scenario.model.parameters(opened.federation().task)


def _check_experts(opened: Opened, clients: int, available: int) -> None:
    weights = _weights(opened)
    if isinstance(opened.scenario.regions, PrivateRegions) and clients * weights > available // 2:
        raise InputError(
            f"a region for each of {clients:,} clients means {clients * weights / 2**30:.0f} GiB of experts, "
            f"with {available / 2**30:.0f} GiB free; set regions.kind=shared_regions"
        )
