"""What a federation answers with: what the last of its phases makes that makes any such thing."""

from collections.abc import Callable

from federation.rules import InputError
from federation.scenario import Scenario
from federation.tasks import Task
from federation.world.predictors import OwnTensors, Predictor
from server.phases import side
from server.phases.contract import ServerSide
from server.state import ServerState


def check_answers(scenario: Scenario) -> None:
    """Refuse a list of phases that makes nothing that answers.

    Raises:
        InputError: it does not.
    """
    if all(type(side(phase)).predictor is ServerSide.predictor for phase in scenario.phases):
        names = ", ".join(phase.name for phase in scenario.phases)
        raise InputError(
            f"phases: none of {names} makes a model that answers; add averaging, or those of a world model"
        )


def predictor(
    state: ServerState, scenario: Scenario, task: Task, own: Callable[[str], OwnTensors] = lambda phase: {}
) -> Predictor:
    """What the phases have made so far.

    Args:
        own: what clients remember of a phase, by its name, where it can be seen: in a simulation.
    Raises:
        InputError: nothing that answers.
    """
    for phase in reversed(scenario.phases):
        found = side(phase).predictor(state, scenario, task, own(phase.name))
        if found is not None:
            return found
    raise InputError("the phases that are done make nothing that answers")
