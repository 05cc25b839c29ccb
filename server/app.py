"""The Flower ServerApp. It knows only Flower's abstract Grid, so it runs in simulation and in deployment alike."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from federation.engine import LocalGrid
from federation.manifold import Chart
from federation.scenario import Scenario, open_run
from federation.task import Task
from federation.world_model import WorldModel
from server.checkpoint import Checkpoint, Checkpoints
from server.history import RoundRecord
from server.schedule import schedule
from server.state import ServerState, world_model
from server.strategy import ManifoldStrategy, Observer, Score

NODES_TIMEOUT, ROUND_TIMEOUT = 120.0, 3600.0

app = ServerApp()


@dataclass(frozen=True)
class Outcome:
    """A finished run. `charts` are those of the clients, in order; empty where a client sent none."""

    world: WorldModel
    history: tuple[RoundRecord, ...]
    charts: tuple[Chart, ...]


def federate(
    grid: Grid,
    scenario: Scenario,
    task: Task,
    clients: int,
    observe: Observer = lambda record, state: None,
    start: ServerState | None = None,
    *,
    score: Score | None = None,
    checkpoints: Checkpoints | None = None,
    resumed: Checkpoint | None = None,
) -> Outcome:
    """Run all phases of a scenario over a grid.

    Args:
        start: prior and encoders to keep as they are, so that what comes out can be joined with what else began there.
        score: see `ManifoldStrategy`, as for all that follows.
    Raises:
        RoundLostError: a round brought no usable reply.
    """
    _wait_for_nodes(grid, clients)
    strategy = ManifoldStrategy(
        scenario, task, clients, observe, start, score=score, checkpoints=checkpoints, resumed=resumed
    )
    strategy.start(grid, ArrayRecord(), timeout=ROUND_TIMEOUT)
    state = strategy.state
    return Outcome(world_model(state, scenario, task), tuple(strategy.history), state.charts)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the scenario that the run configuration names, and save the world model under `out`."""
    opened = open_run(context.run_config)
    federation = opened.federation()
    rounds = len(schedule(opened.scenario, federation.task))

    def tell(record: RoundRecord, state: ServerState) -> None:
        print(record.line(rounds), flush=True)

    outcome = federate(grid, opened.scenario, federation.task, len(federation.clients), tell)
    out = Path(str(context.run_config["out"])).expanduser()
    out.mkdir(parents=True, exist_ok=True)
    outcome.world.save(out)
    lines = [json.dumps(record.dump()) for record in outcome.history]
    (out / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    score = federation.task.score(outcome.world.predict(federation.union_test.inputs), federation.union_test.targets)
    print(f"union {federation.task.metric} {score:.4f}; world model in {out}", flush=True)


def _wait_for_nodes(grid: Grid, clients: int) -> None:
    """Deployed nodes come one after another; begin when all are there. Simulated ones come as their rule says."""
    if isinstance(grid, LocalGrid):
        return
    deadline = time.monotonic() + NODES_TIMEOUT
    while (here := len(list(grid.get_node_ids()))) < clients:
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{here} of {clients} nodes after {NODES_TIMEOUT:.0f} s; start the others, or ask for fewer clients"
            )
        time.sleep(0.5)
