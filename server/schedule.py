"""The order of the phases, and how many rounds each gets."""

from dataclasses import dataclass

from federation.records import Stage
from federation.scenario import Scenario
from federation.task import Task


@dataclass(frozen=True)
class Step:
    """One round: the stage, its number within the stage, and the stage's rounds."""

    stage: Stage
    round: int
    rounds: int

    @property
    def progress(self) -> float:
        """Share of the stage's rounds that are done: 0 in the first round."""
        return self.round / self.rounds


EVERYBODY = {
    Stage.CENSUS,
    Stage.ENCODER,
    Stage.CHARTING,
    Stage.CHOICE,
    Stage.REACH,
    Stage.EVIDENCE,
    Stage.COMPOSITION,
    Stage.NOVELTY,
    Stage.SPAWN,
}
"""Stages that ask all clients; the others ask a seeded sample."""

UNCHARTED = {Stage.CENSUS, Stage.PRIOR, Stage.ENCODER, Stage.CHARTING, Stage.SPAWN}
"""Stages for which a client needs no region: nodes that have not answered yet are asked, too."""

EVIDENCED = {Stage.HEAD, Stage.ROUTER, Stage.COMPOSITION, Stage.NOVELTY}
"""Stages that only those can serve who took part in the evidence stage."""

ELASTIC = {Stage.PRIOR, Stage.EXPERTS, Stage.GROWTH}
"""Stages in which each client trains the size that is its own."""


def schedule(scenario: Scenario, task: Task, begun: bool = False) -> tuple[Step, ...]:
    """All rounds of a run.

    Args:
        begun: whether prior and encoders are there already.
    """
    spawns = scenario.novelty.spawn_at is not None
    plan = [
        (Stage.CENSUS, 1),
        (Stage.PRIOR, 0 if begun else scenario.prior.rounds),
        (Stage.ENCODER, 0 if begun else 1),
        (Stage.CHARTING, 1),
        (Stage.CHOICE, int(len(scenario.encoders) > 1)),
        (Stage.EXPERTS, scenario.experts.rounds),
        (Stage.REACH, 1),
        (Stage.EVIDENCE, 1),
        (Stage.HEAD, scenario.head.rounds if task.classifies else 0),
        (Stage.ROUTER, scenario.router.rounds if scenario.router.rule.tuned else 0),
        (Stage.COMPOSITION, 1),
        (Stage.NOVELTY, 1),
        (Stage.SPAWN, 1 if spawns else 0),
        (Stage.GROWTH, scenario.novelty.rounds if spawns else 0),
    ]
    return tuple(Step(stage, number, rounds) for stage, rounds in plan for number in range(rounds))


TRAINED = {Stage.PRIOR, Stage.EXPERTS, Stage.HEAD, Stage.ROUTER, Stage.GROWTH}
"""Stages in which clients take gradient steps."""


def gradient_rounds(scenario: Scenario, task: Task) -> int:
    """Rounds of gradient steps, all phases together: what every federated rival gets."""
    return sum(step.stage in TRAINED for step in schedule(scenario, task))
