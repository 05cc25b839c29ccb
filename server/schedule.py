"""The rounds of a run, read off its scenario's list of phases."""

from federation.phases.census import Census
from federation.scenario import Scenario
from federation.tasks import Task
from server.phases import side
from server.phases.contract import Step

ROLL_CALL = Step(Census(), -1, 1)
"""Asked of deployed clients first when a run is resumed, to learn which node is which client."""


def schedule(scenario: Scenario, task: Task, begun: bool = False) -> tuple[Step, ...]:
    """All rounds of a run.

    Args:
        begun: whether the foundation, prior and encoders, is there already.
    """
    phases = [phase for phase in scenario.phases if not (begun and phase.foundation)]
    plan = [(phase, side(phase).rounds(phase, scenario, task)) for phase in phases]
    steps: list[Step] = []
    for place, (phase, rounds) in enumerate(plan):
        before, after = (
            sum(more for other, more in part if other.training == phase.training)
            for part in (plan[:place], plan[place + 1 :])
        )
        steps += (Step(phase, number, rounds, before, after) for number in range(rounds))
    return tuple(steps)


def gradient_rounds(scenario: Scenario, task: Task) -> int:
    """Rounds of gradient steps, all phases together: what every federated rival gets."""
    return sum(step.phase.trains for step in schedule(scenario, task))
