"""The order of the phases, and which of them take gradient steps."""

import pytest

from federation.manifold import PrincipalComponents
from federation.manifold.features import RandomFeatures
from federation.models import Mlp
from federation.partition import Iid
from federation.records import Stage
from federation.routing import ChartPosterior
from federation.scenario import (
    CouplingSettings,
    ExpertSettings,
    HeadSettings,
    NoveltySettings,
    ReadoutSettings,
    RouterSettings,
    Scenario,
    TrainingPhase,
)
from federation.task import Task
from server.aggregation import Mean
from server.schedule import TRAINED, Step, gradient_rounds, schedule

CLASSES = Task(kind="classification", input_shape=(2,), outputs=3)
VALUES = Task(kind="regression", input_shape=(2,), outputs=1)
SCENARIO = Scenario(
    name="small",
    title="A small one",
    partition=Iid(),
    model=Mlp(),
    aggregation=Mean(),
    prior=TrainingPhase(rounds=3),
    experts=ExpertSettings(rounds=4),
    head=HeadSettings(rounds=5),
    router=RouterSettings(rounds=6),
)
COUPLED = SCENARIO.model_copy(update={"coupling": CouplingSettings(rounds=2)})
UNTUNED = SCENARIO.model_copy(update={"router": RouterSettings(rule=ChartPosterior(), rounds=6)})


def rounds(scenario: Scenario, task: Task) -> dict[Stage, int]:
    steps = schedule(scenario, task)
    return {stage: sum(step.stage is stage for step in steps) for stage in dict.fromkeys(step.stage for step in steps)}


def test_the_phases_follow_one_another():
    assert list(rounds(SCENARIO, CLASSES).items()) == [
        (Stage.CENSUS, 1),
        (Stage.PRIOR, 3),
        (Stage.ENCODER, 1),
        (Stage.CHARTING, 1),
        (Stage.EXPERTS, 4),
        (Stage.REACH, 1),
        (Stage.EVIDENCE, 1),
        (Stage.HEAD, 5),
        (Stage.ROUTER, 6),
        (Stage.COMPOSITION, 1),
        (Stage.NOVELTY, 1),
    ]


def test_a_run_that_begins_from_another_s_prior_and_encoders_makes_none():
    kept = [step for step in schedule(SCENARIO, CLASSES) if step.stage not in (Stage.PRIOR, Stage.ENCODER)]
    assert list(schedule(SCENARIO, CLASSES, begun=True)) == kept


def test_regions_may_spawn_after_novelty_is_known_if_the_scenario_says_from_when_on():
    spawning = SCENARIO.model_copy(update={"novelty": NoveltySettings(spawn_at=50, rounds=3)})
    more = [Step(Stage.SPAWN, 0, 1), *(Step(Stage.GROWTH, number, 3) for number in range(3))]
    assert list(schedule(spawning, CLASSES)) == [*schedule(SCENARIO, CLASSES), *more]
    assert gradient_rounds(spawning, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 3


def test_encoders_are_chosen_between_only_where_there_are_several():
    assert Stage.CHOICE not in rounds(SCENARIO, CLASSES)
    several = SCENARIO.model_copy(update={"other_encoders": (PrincipalComponents(dimensions=2),)})
    assert rounds(several, CLASSES)[Stage.CHOICE] == 1


def test_coupling_comes_after_the_experts_and_before_the_evidence():
    stages = list(rounds(COUPLED, CLASSES).items())
    assert stages[4:7] == [(Stage.EXPERTS, 4), (Stage.COUPLING, 2), (Stage.REACH, 1)]
    assert gradient_rounds(COUPLED, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 2


def test_the_experts_rate_goes_on_where_coupling_begins_as_in_further_rounds_of_their_own():
    longer = SCENARIO.model_copy(update={"experts": ExpertSettings(rounds=6)})
    coupled, plain = (
        [step.progress for step in schedule(scenario, CLASSES) if step.stage in (Stage.EXPERTS, Stage.COUPLING)]
        for scenario in (COUPLED, longer)
    )
    assert coupled == plain


def test_the_share_of_coupling_is_that_of_its_own_rounds():
    assert [step.share for step in schedule(COUPLED, CLASSES) if step.stage is Stage.COUPLING] == [0.0, 0.5]


def test_least_squares_come_before_the_head_s_rounds_and_rivals_get_a_round_for_them():
    fitted = SCENARIO.model_copy(update={"head": HeadSettings(rounds=5, ridge=1e-3)})
    stages = list(rounds(fitted, CLASSES).items())
    assert stages[6:9] == [(Stage.EVIDENCE, 1), (Stage.LEAST_SQUARES, 1), (Stage.HEAD, 5)]
    assert gradient_rounds(fitted, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 1


def test_readouts_come_after_the_experts_and_rivals_get_a_round_for_them():
    readout = ReadoutSettings(features=RandomFeatures())
    read = SCENARIO.model_copy(update={"experts": ExpertSettings(rounds=4, readout=readout)})
    stages = list(rounds(read, CLASSES).items())
    assert stages[4:8] == [(Stage.EXPERTS, 4), (Stage.READOUT, 1), (Stage.SELECTION, 1), (Stage.REACH, 1)]
    assert gradient_rounds(read, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 1


def test_real_values_have_no_head_to_tune():
    assert Stage.HEAD not in rounds(SCENARIO, VALUES)


def test_a_router_without_weights_has_no_rounds():
    assert Stage.ROUTER not in rounds(UNTUNED, CLASSES)


@pytest.mark.parametrize(
    ("scenario", "task", "expected"),
    [(SCENARIO, CLASSES, 18), (SCENARIO, VALUES, 13), (UNTUNED, CLASSES, 12), (UNTUNED, VALUES, 7)],
)
def test_rivals_get_as_many_rounds_as_the_phases_that_really_take_gradient_steps(scenario, task, expected):
    assert gradient_rounds(scenario, task) == expected
    assert sum(number for stage, number in rounds(scenario, task).items() if stage in TRAINED) == expected


def test_progress_is_the_share_of_the_stage_that_is_done():
    experts = [step for step in schedule(SCENARIO, CLASSES) if step.stage is Stage.EXPERTS]
    assert experts == [Step(Stage.EXPERTS, number, 4) for number in range(4)]
    assert [step.progress for step in experts] == [0.0, 0.25, 0.5, 0.75]
