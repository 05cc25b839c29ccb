"""The federation itself: encoder, prior, charts, experts, head, router, composition."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from federation.learning.experts import Expert
from federation.scenario import Scenario, TrainingPhase
from federation.task import Task
from federation.world_model import WorldModel
from scenarios.baselines.contract import Answer, Contender, Method, Trial, WorldRun, training_flops
from server.app import federate
from server.history import RoundRecord
from server.state import ServerState, world_model
from server.strategy import Observer

Interim = Callable[[ServerState, Tensor], Tensor]
"""Answers to inputs in a state of the server."""


class World(Method):
    """The world model of `server.app`."""

    name, title = "world", "world model: experts, charts and head, routed"

    def run(self, trial: Trial) -> Contender:
        return contender(run_world(trial))


def run_world(
    trial: Trial,
    start: ServerState | None = None,
    told: Observer = lambda record, state: None,
    interim: Interim | None = None,
) -> WorldRun:
    """Run all phases, and keep what the other methods need.

    Args:
        start: see `server.app.federate`.
        told: of each round.
        interim: what the federation would answer if it stopped in a state; of the learning curve.
    """
    scenario, task, grid, probe = scaled(trial), trial.task, trial.grid(), trial.probe()
    answered = interim or partial(interim_answers, scenario=scenario, task=task)

    for record in trial.resumed.history if trial.resumed else ():
        trial.on_round() if record.visited else None

    def score(state: ServerState) -> float:
        with torch.no_grad():
            return task.score(answered(state, probe.inputs), probe.targets)

    def observe(record: RoundRecord, state: ServerState) -> None:
        if record.visited:
            trial.on_round()
        told(record, state)

    outcome = federate(
        grid,
        scenario,
        task,
        len(trial.federation.clients),
        observe,
        start,
        score=score,
        checkpoints=trial.checkpoints,
        resumed=trial.resumed,
    )
    flops = sum(training_flops(record.multiplies) for record in outcome.history)
    scores = [record.score for record in outcome.history if record.score is not None]
    return WorldRun(outcome, grid.traffic, flops, tuple(enumerate(scores, 1)))


def contender(run: WorldRun, context: bool = False, world: WorldModel | None = None) -> Contender:
    """A finished run as a contender, which looks at the groups that it is told of only as `context`.

    Args:
        world: what is made of the run's world model, and has no learning curve of its own; itself without it.
    """
    curve, traffic = () if world or context else run.curve, run.traffic
    world = world or run.outcome.world
    raw = world.uncalibrated()

    def asked(model: WorldModel) -> Answer:
        return lambda inputs, groups: model.predict(inputs, groups if context else None)

    return Contender(
        asked(world), world.cost(), traffic.up, traffic.down, run.training_flops, curve, uncalibrated=asked(raw)
    )


def scaled(trial: Trial) -> Scenario:
    """The scenario with the trial's share of rounds, and its factor on the rates that travel with each order.

    Clients open the scenario for themselves: a change of any field that does not travel would not reach them.
    """
    scenario, share, factor = trial.scenario, trial.share, trial.factor

    def fewer(rounds: int) -> int:
        return max(1, round(share * rounds)) if rounds else 0

    def faster(phase: TrainingPhase) -> TrainingPhase:
        return phase.model_copy(update={"learning_rate": factor * phase.learning_rate})

    shorter = scenario.with_rounds(fewer)
    return shorter.model_copy(update={"prior": faster(shorter.prior), "experts": faster(shorter.experts)})


def interim_answers(state: ServerState, inputs: Tensor, scenario: Scenario, task: Task) -> Tensor:
    """What the federation would answer if it stopped now: the prior, and from charting on the routed experts."""
    if state.atlas is None:
        return Expert(state.prior.parameters).answers(scenario.model, task, inputs)
    return world_model(state, scenario, task).predict(inputs)
