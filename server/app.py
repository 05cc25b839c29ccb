"""The Flower ServerApp. It knows only Flower's abstract Grid, so it runs in simulation and in deployment alike."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from federation.data.samples import FederatedData
from federation.engine import LocalGrid
from federation.learning.fixed_point import Watch
from federation.manifold import Chart
from federation.opening import open_run
from federation.rules import InputError
from federation.scenario import Scenario
from federation.tasks import Task
from federation.world.predictors import OwnTensors, Predictor
from federation.world_model import WorldModel
from server.answering import check_answers, predictor
from server.checkpoint import Checkpoint, Checkpoints
from server.history import RoundRecord
from server.phases import held
from server.state import ServerState
from server.strategy import ManifoldStrategy, Observer, Score

NODES_TIMEOUT, ROUND_TIMEOUT = 120.0, 3600.0

app = ServerApp()


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        model: what the federation answers with.
        charts: those of the clients, in order; empty where a client sent none. There are none where nothing is charted.
        watches: how near each region came to its fixed point.
    """

    model: Predictor
    history: tuple[RoundRecord, ...]
    charts: tuple[Chart, ...]
    watches: tuple[Watch, ...] = ()

    @property
    def world(self) -> WorldModel:
        """The model, where it is a world model.

        Raises:
            InputError: it is not.
        """
        if not isinstance(self.model, WorldModel):
            raise InputError("this run made no world model; its phases are those of another method")
        return self.model

    @property
    def metrics(self) -> str:
        """A line of JSON for each round."""
        return "".join(json.dumps(record.dump()) + "\n" for record in self.history)


def no_data() -> FederatedData:
    """Of a server that nobody has told where data are.

    Raises:
        InputError: always.
    """
    raise InputError("a phase asks for data at the server; give `federate` its `data`")


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
    data: Callable[[], FederatedData] = no_data,
) -> Outcome:
    """Run all phases of a scenario over a grid.

    Args:
        start: prior and encoders to keep as they are, so that what comes out can be joined with what else began there.
        score: see `ManifoldStrategy`, as for checkpoints and resumed.
        data: for phases in which the server itself brings something, the data where it runs.
    Raises:
        InputError: the phases make nothing that answers, or one cannot run on these data.
        RoundLostError: a round brought no usable reply.
    """
    check_answers(scenario)
    brought = held(scenario.phases, scenario, data)
    _wait_for_nodes(grid, clients, ceil(scenario.quorum * clients) or clients)
    strategy = ManifoldStrategy(
        scenario, task, clients, observe, start, score=score, checkpoints=checkpoints, resumed=resumed, held=brought
    )
    strategy.start(grid, ArrayRecord(), timeout=ROUND_TIMEOUT)
    state = strategy.state
    own: Callable[[str], OwnTensors] = grid.remembered if isinstance(grid, LocalGrid) else lambda phase: {}
    return Outcome(predictor(state, scenario, task, own), tuple(strategy.history), state.charts, state.watches)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the scenario that the run configuration names, and save what it makes under `out`."""
    opened = open_run(context.run_config)
    federation, out = opened.federation(), Path(str(context.run_config["out"])).expanduser()
    checkpoints = Checkpoints(out / "checkpoints", opened.scenario)
    resuming = bool(context.run_config.get("resume", False))
    if checkpoints.rounds and not resuming:
        raise InputError(f"{out} holds a run that was stopped; go on with it by resume=true, or name another by out")
    outcome = federate(
        grid,
        opened.scenario,
        federation.task,
        len(federation.clients),
        _told,
        checkpoints=checkpoints,
        resumed=checkpoints.read() if checkpoints.rounds else None,
        data=opened.federation,
    )
    out.mkdir(parents=True, exist_ok=True)
    outcome.model.save(out, federation.preparation)
    (out / "metrics.jsonl").write_text(outcome.metrics, encoding="utf-8")
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    print(f"{verdict(outcome, federation)}; model in {out}", flush=True)


def verdict(outcome: Outcome, federation: FederatedData) -> str:
    """How good a model is: on the server's test set, or without one as clients report of what they hold out."""
    task, test = federation.task, federation.union_test
    if len(test):
        answers = outcome.model.predict(test.inputs)
        pair = answers, test.targets
        if not task.classifies:
            pair = federation.preparation.answers(answers), federation.preparation.answers(test.targets)
        told = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in task.measures(*pair).items())
        return f"union {task.metric} {task.score(answers, test.targets):.4f} ({told})"
    reported = [record.held_out for record in outcome.history if record.held_out is not None]
    name = "accuracy" if task.classifies else "loss"
    said = f"{name} {reported[-1]:.4f} on what they hold out" if reported else "nothing of what they hold out"
    return f"no test set here; clients report {said}"


def _told(record: RoundRecord, state: ServerState) -> None:
    """One line a round in the server's log; what it says is written down already."""
    loss = "" if record.loss is None else f", loss {record.loss:.4f}"
    print(f"round {record.number}: {record.phase}, {record.answered} clients{loss}, {record.seconds:.1f} s", flush=True)


def _wait_for_nodes(grid: Grid, clients: int, needed: int) -> None:
    """Deployed nodes come one after another; begin when all are there, or after some time with as many as are needed.
    Simulated ones come as their rule says."""
    if isinstance(grid, LocalGrid):
        return
    deadline = time.monotonic() + NODES_TIMEOUT
    while (here := len(list(grid.get_node_ids()))) < clients:
        if time.monotonic() > deadline:
            if here >= needed:
                return
            raise RuntimeError(
                f"{here} of {clients} nodes after {NODES_TIMEOUT:.0f} s, {needed} are needed; start the others, "
                "ask for fewer clients, or set quorum"
            )
        time.sleep(0.5)
