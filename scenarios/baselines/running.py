"""A run of a scenario's phases, whatever method they are, as one trial of a comparison."""

from collections.abc import Callable
from functools import partial

import torch

from federation.world.predictors import Predictor
from federation.world_model import WorldModel
from scenarios.baselines.contract import Answer, Contender, Run, Trial, training_flops
from server.answering import predictor
from server.app import federate
from server.history import RoundRecord
from server.state import ServerState
from server.strategy import Observer

Interim = Callable[[ServerState], Predictor]
"""What the federation would answer with if it stopped in a state."""


def run_phases(
    trial: Trial,
    start: ServerState | None = None,
    told: Observer = lambda record, state: None,
    interim: Interim | None = None,
) -> Run:
    """Run all phases, and keep what scores and other methods need.

    Args:
        start: see `server.app.federate`.
        told: of each round.
        interim: of the learning curve; by default what the phases have made by then.
    """
    scenario, task, grid, probe = trial.scenario, trial.task, trial.grids(trial.config), trial.probe()
    now = interim or partial(predictor, scenario=scenario, task=task, own=grid.remembered)
    resumed, kept = trial.resumed(scenario), trial.checkpoints(scenario)
    for record in resumed.history if resumed else ():
        trial.on_round() if record.visited else None

    def score(state: ServerState) -> float:
        with torch.no_grad():
            return task.score(now(state).predict(probe.inputs), probe.targets)

    def observe(record: RoundRecord, state: ServerState) -> None:
        if record.visited:
            trial.on_round()
        told(record, state)

    clients = len(trial.federation.clients)
    outcome = federate(
        *(grid, scenario, task, clients, observe, start),
        score=score,
        checkpoints=kept,
        resumed=resumed,
        data=trial.opened.federation,
    )
    flops = sum(training_flops(record.multiplies) for record in outcome.history)
    scores = [record.score for record in outcome.history if record.score is not None]
    return Run(outcome, grid.traffic, flops, tuple(enumerate(scores, 1)))


def contender(run: Run, context: bool = False, model: Predictor | None = None) -> Contender:
    """A finished run as a contender.

    Args:
        context: whether a world model looks at which samples share a client.
        model: what is made of the run's model, and has no learning curve of its own; itself without it.
    """
    curve, traffic = () if model or context else run.curve, run.traffic
    model = model or run.outcome.model
    world = model if isinstance(model, WorldModel) else None

    def asked(model: Predictor) -> Answer:
        return lambda inputs, told: model.predict(inputs, told if context or world is None else None)

    raw = asked(world.uncalibrated()) if world else None
    return Contender(asked(model), model.cost(), traffic.up, traffic.down, run.training_flops, curve, uncalibrated=raw)
