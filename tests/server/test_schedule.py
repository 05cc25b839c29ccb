"""The order of the phases, and which of them take gradient steps."""

from collections import Counter

import pytest

from federation.data.partition import Iid
from federation.manifold import PrincipalComponents
from federation.manifold.features import RandomFeatures
from federation.models import Mlp
from federation.phases import named
from federation.phases.experts import Experts
from federation.phases.spawn import Spawn
from federation.phases.spawn_training import SpawnTraining
from federation.routing import ChartPosterior
from federation.scenario import Scenario
from federation.settings import (
    CouplingSettings,
    ExpertSettings,
    HeadSettings,
    NoveltySettings,
    ReadoutSettings,
    RouterSettings,
    TrainingPhase,
)
from federation.tasks import Classification, Regression, Task
from server.aggregation import Mean
from server.phases.contract import Step
from server.schedule import gradient_rounds, schedule

CLASSES = Classification(input_shape=(2,), outputs=3)
VALUES = Regression(input_shape=(2,), outputs=1)
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


def rounds(scenario: Scenario, task: Task) -> dict[str, int]:
    return dict(Counter(step.phase.name for step in schedule(scenario, task)))


def test_the_phases_follow_one_another():
    assert list(rounds(SCENARIO, CLASSES).items()) == [
        ("census", 1),
        ("prior", 3),
        ("encoder", 1),
        ("charting", 1),
        ("experts", 4),
        ("reach", 1),
        ("evidence", 1),
        ("head", 5),
        ("router", 6),
        ("composition", 1),
        ("novelty", 1),
    ]


def test_a_run_that_begins_from_another_s_prior_and_encoders_makes_none():
    kept = [step for step in schedule(SCENARIO, CLASSES) if step.phase.name not in ("prior", "encoder")]
    assert list(schedule(SCENARIO, CLASSES, begun=True)) == kept


def test_regions_may_spawn_after_novelty_is_known_if_the_scenario_says_from_when_on():
    spawning = SCENARIO.model_copy(update={"novelty": NoveltySettings(spawn_at=50, rounds=3)})
    more = [Step(Spawn(), 0, 1), *(Step(SpawnTraining(), number, 3) for number in range(3))]
    assert list(schedule(spawning, CLASSES)) == [*schedule(SCENARIO, CLASSES), *more]
    assert gradient_rounds(spawning, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 3


def test_encoders_are_chosen_between_only_where_there_are_several():
    assert "choice" not in rounds(SCENARIO, CLASSES)
    several = SCENARIO.model_copy(update={"other_encoders": (PrincipalComponents(dimensions=2),)})
    assert rounds(several, CLASSES)["choice"] == 1


def test_coupling_comes_after_the_experts_and_before_the_evidence():
    phases = list(rounds(COUPLED, CLASSES).items())
    assert phases[4:7] == [("experts", 4), ("coupling", 2), ("reach", 1)]
    assert gradient_rounds(COUPLED, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 2


def test_the_experts_rate_goes_on_where_coupling_begins_as_in_further_rounds_of_their_own():
    longer = SCENARIO.model_copy(update={"experts": ExpertSettings(rounds=6)})
    coupled, plain = (
        [step.progress for step in schedule(scenario, CLASSES) if step.phase.name in ("experts", "coupling")]
        for scenario in (COUPLED, longer)
    )
    assert coupled == plain


def test_the_share_of_coupling_is_that_of_its_own_rounds():
    assert [step.share for step in schedule(COUPLED, CLASSES) if step.phase.name == "coupling"] == [0.0, 0.5]


def test_least_squares_come_before_the_head_s_rounds_and_rivals_get_a_round_for_them():
    fitted = SCENARIO.model_copy(update={"head": HeadSettings(rounds=5, ridge=1e-3)})
    phases = list(rounds(fitted, CLASSES).items())
    assert phases[6:9] == [("evidence", 1), ("least_squares", 1), ("head", 5)]
    assert gradient_rounds(fitted, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 1


def test_readouts_come_after_the_experts_and_rivals_get_a_round_for_them():
    readout = ReadoutSettings(features=RandomFeatures())
    read = SCENARIO.model_copy(update={"experts": ExpertSettings(rounds=4, readout=readout)})
    phases = list(rounds(read, CLASSES).items())
    assert phases[4:8] == [("experts", 4), ("readout", 1), ("selection", 1), ("reach", 1)]
    assert gradient_rounds(read, CLASSES) == gradient_rounds(SCENARIO, CLASSES) + 1


def test_real_values_have_no_head_to_tune():
    assert "head" not in rounds(SCENARIO, VALUES)


def test_a_router_without_weights_has_no_rounds():
    assert "router" not in rounds(UNTUNED, CLASSES)


@pytest.mark.parametrize(
    ("scenario", "task", "expected"),
    [(SCENARIO, CLASSES, 18), (SCENARIO, VALUES, 13), (UNTUNED, CLASSES, 12), (UNTUNED, VALUES, 7)],
)
def test_rivals_get_as_many_rounds_as_the_phases_that_really_take_gradient_steps(scenario, task, expected):
    assert gradient_rounds(scenario, task) == expected
    assert sum(number for phase, number in rounds(scenario, task).items() if named(phase).trains) == expected


def test_progress_is_the_share_of_the_phase_that_is_done():
    experts = [step for step in schedule(SCENARIO, CLASSES) if step.phase.name == "experts"]
    assert experts == [Step(Experts(), number, 4) for number in range(4)]
    assert [step.progress for step in experts] == [0.0, 0.25, 0.5, 0.75]
