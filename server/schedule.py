"""The order of the phases, and how many rounds each gets."""

from dataclasses import dataclass

from federation.records import Stage
from federation.scenario import Scenario
from federation.task import Task


@dataclass(frozen=True)
class Step:
    """One round: the stage, its number within the stage, and the stage's rounds.

    A stage may go on where another ends: then `before` and `after` are the other's rounds.
    """

    stage: Stage
    round: int
    rounds: int
    before: int = 0
    after: int = 0

    def __str__(self) -> str:
        return f"{self.stage} round {self.round + 1}"

    @property
    def share(self) -> float:
        """Share of the stage's own rounds that are done: 0 in the first round."""
        return self.round / self.rounds

    @property
    def progress(self) -> float:
        """Share of the rounds that are done, those before and after counted."""
        return (self.before + self.round) / (self.before + self.rounds + self.after)


EVERYBODY = {
    Stage.CENSUS,
    Stage.ENCODER,
    Stage.CHARTING,
    Stage.CHOICE,
    Stage.READOUT,
    Stage.SELECTION,
    Stage.REACH,
    Stage.EVIDENCE,
    Stage.LEAST_SQUARES,
    Stage.COMPOSITION,
    Stage.NOVELTY,
    Stage.SPAWN,
}
"""Stages that ask all clients; the others ask a seeded sample."""

UNCHARTED = {Stage.CENSUS, Stage.PRIOR, Stage.ENCODER, Stage.CHARTING, Stage.SPAWN}
"""Stages for which a client needs no region: nodes that have not answered yet are asked, too."""

EVIDENCED = {Stage.LEAST_SQUARES, Stage.HEAD, Stage.ROUTER, Stage.COMPOSITION, Stage.NOVELTY}
"""Stages that need what clients remember of the experts."""

REMEMBERED: dict[Stage, set[Stage]] = {
    Stage.COUPLING: set(),
    Stage.REACH: EVIDENCED | {Stage.EVIDENCE},
    Stage.EVIDENCE: EVIDENCED,
    Stage.SPAWN: {Stage.GROWTH},
}
"""Stages in which a client is told what it must remember in others; there it is told again where it does not."""

ELASTIC = {Stage.PRIOR, Stage.EXPERTS, Stage.COUPLING, Stage.GROWTH}
"""Stages in which each client trains the size that is its own."""


def schedule(scenario: Scenario, task: Task, begun: bool = False) -> tuple[Step, ...]:
    """All rounds of a run.

    Args:
        begun: whether prior and encoders are there already.
    """
    spawns, experts, coupling = scenario.novelty.spawn_at is not None, scenario.experts.rounds, scenario.coupling.rounds
    readouts = int(scenario.experts.readout is not None)
    plan = [
        (Stage.CENSUS, 1),
        (Stage.PRIOR, 0 if begun else scenario.prior.rounds),
        (Stage.ENCODER, 0 if begun else 1),
        (Stage.CHARTING, 1),
        (Stage.CHOICE, int(len(scenario.encoders) > 1)),
        (Stage.EXPERTS, experts),
        (Stage.COUPLING, coupling),
        (Stage.READOUT, readouts),
        (Stage.SELECTION, readouts),
        (Stage.REACH, 1),
        (Stage.EVIDENCE, 1),
        (Stage.LEAST_SQUARES, int(scenario.head.ridge is not None)),
        (Stage.HEAD, scenario.head.rounds if task.classifies else 0),
        (Stage.ROUTER, scenario.router.rounds if scenario.router.rule.tuned else 0),
        (Stage.COMPOSITION, 1),
        (Stage.NOVELTY, 1),
        (Stage.SPAWN, 1 if spawns else 0),
        (Stage.GROWTH, scenario.novelty.rounds if spawns else 0),
    ]
    beside = {Stage.EXPERTS: (0, coupling), Stage.COUPLING: (experts, 0)}
    return tuple(
        Step(stage, number, rounds, *beside.get(stage, (0, 0))) for stage, rounds in plan for number in range(rounds)
    )


TRAINED = {*ELASTIC, Stage.READOUT, Stage.LEAST_SQUARES, Stage.HEAD, Stage.ROUTER}
"""Stages in which clients take gradient steps, or what stands for them."""


def gradient_rounds(scenario: Scenario, task: Task) -> int:
    """Rounds of gradient steps, all phases together: what every federated rival gets."""
    return sum(step.stage in TRAINED for step in schedule(scenario, task))


ROLL_CALL = Step(Stage.CENSUS, -1, 1)
"""Asked of deployed clients first when a run is resumed, to learn which node is which client."""
