"""What a scenario says, and what it refuses."""

import pytest
from pydantic import ValidationError

from federation.opening import open_scenario
from federation.settings import CouplingSettings, LocalTraining, TrainingPhase


@pytest.mark.parametrize("fields", [{"momentum": 1.0}, {"batch_size": 0}, {"weight_decay": -1e-9}, {"nesterov": True}])
def test_local_training_refuses_what_makes_no_sense(fields):
    with pytest.raises(ValidationError):
        LocalTraining(**fields)


@pytest.mark.parametrize(("share", "strength"), [(0.0, 0.0), (0.15, 0.2), (0.3, 0.4), (0.9, 0.4)])
def test_the_strength_of_coupling_rises_along_a_line_while_it_warms_up(share, strength):
    assert CouplingSettings(strength=0.4, warm_up=0.3).strength_at(share) == pytest.approx(strength)


def test_without_a_warm_up_coupling_is_at_its_strength_from_the_first_round():
    assert CouplingSettings(strength=0.4, warm_up=0.0).strength_at(0.0) == 0.4


def test_all_phases_change_their_rounds_together():
    rounds = {"prior.rounds": 10, "coupling.rounds": 6, "router.rounds": 10}
    coupled = open_scenario("digits", rounds).scenario.with_rounds(lambda rounds: rounds // 2)
    assert (coupled.prior.rounds, coupled.coupling.rounds, coupled.router.rounds) == (5, 3, 5)


def test_a_phase_needs_its_number_of_rounds():
    with pytest.raises(ValidationError, match="rounds"):
        TrainingPhase()
