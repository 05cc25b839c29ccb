"""How sure answers are: the temperature, the doubt, and the error of calibration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.confidence import (
    DOUBTS,
    TEMPERATURES,
    calibration_floor,
    calibration_losses,
    committee_losses,
    cooled,
    expected_calibration_error,
    fitted_calibration,
    squared_errors,
)


def sure(*of_first: float) -> torch.Tensor:
    """Answers between two classes, by the probability of the first."""
    first = torch.tensor(of_first)
    return torch.stack([first, 1 - first], 1)


def random_answers(samples: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    answers = (3 * torch.randn(samples, 4, generator=draw)).softmax(1)
    return answers, torch.randint(4, (samples,), generator=draw)


# --- calibration error -----------------------------------------------------------------------------------------------


def test_the_error_of_a_known_case():
    # 0.91 and 0.89 share the bin (13/15, 14/15]: 0.9 sure, half right; 0.7 is alone in its own, and right
    answers, targets = sure(0.91, 0.89, 0.7, 0.7), torch.tensor([0, 1, 0, 0])
    assert expected_calibration_error(answers, targets) == pytest.approx(0.5 * 0.4 + 0.5 * 0.3)


def test_errors_within_a_bin_cancel_and_those_of_two_bins_do_not():
    assert expected_calibration_error(sure(0.75, 0.75, 0.75, 0.75), torch.tensor([0, 0, 0, 1])) == pytest.approx(0)
    assert expected_calibration_error(sure(0.6, 0.9), torch.tensor([0, 1])) == pytest.approx(0.5 * 0.4 + 0.5 * 0.9)


@pytest.mark.parametrize(("target", "error"), [(0, 0.0), (1, 1.0)])
def test_whoever_is_certain_is_wholly_right_or_wholly_wrong(target, error):
    assert expected_calibration_error(sure(1.0), torch.tensor([target])) == error


def test_nothing_asked_is_nothing_wrong():
    assert expected_calibration_error(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 0
    assert calibration_floor(torch.zeros(0, 3)) == 0


def test_one_answer_that_is_right_three_times_in_four_is_wrong_about_itself_by_chance():
    assert calibration_floor(sure(0.75)) == pytest.approx(0.75 * 0.25 + 0.25 * 0.75, abs=0.06)
    assert calibration_floor(sure(1.0)) == 0


def test_chance_makes_less_of_more_answers_and_those_that_say_what_they_are_have_no_more_than_it():
    few, many = random_answers(200)[0], random_answers(20_000)[0]
    assert calibration_floor(many) < calibration_floor(few) / 5
    errors = []
    for seed in range(20):
        answers = random_answers(500, seed)[0]
        drawn = torch.multinomial(answers, 1, generator=torch.Generator().manual_seed(seed)).squeeze(1)
        errors.append(expected_calibration_error(answers, drawn))
    assert sum(errors) / 20 == pytest.approx(calibration_floor(random_answers(500)[0]), rel=0.1)


# --- temperature -----------------------------------------------------------------------------------------------------


def test_a_temperature_takes_the_root():
    assert cooled(sure(0.8), 2.0)[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert cooled(sure(0.8), 0.5)[0].tolist() == pytest.approx([16 / 17, 1 / 17])


def test_a_doubt_is_spread_over_all_classes():
    assert cooled(sure(0.9), 1.0, 0.1)[0].tolist() == pytest.approx([0.86, 0.14])


@given(st.sampled_from(TEMPERATURES), st.sampled_from(DOUBTS), st.integers(0, 50))
def test_neither_a_temperature_nor_a_doubt_changes_the_answer(temperature, doubt, seed):
    answers, _ = random_answers(20, seed)
    after = cooled(answers, temperature, doubt)
    assert torch.equal(after.argmax(1), answers.argmax(1))
    torch.testing.assert_close(after.sum(1), torch.ones(20))


def test_answers_that_are_sure_of_nine_tenths_and_right_in_three_quarters_need_a_temperature_of_two():
    answers, targets = sure(0.9, 0.9, 0.9, 0.9), torch.tensor([0, 0, 0, 1])
    assert fitted_calibration(calibration_losses(answers, targets)) == (2, 0)
    assert expected_calibration_error(cooled(answers, 2), targets) == pytest.approx(0, abs=1e-6)


def test_answers_that_are_too_sure_where_they_are_sure_alone_need_a_doubt():
    answers = sure(*[0.6] * 1000, *[0.9999] * 1000)
    targets = torch.tensor([0] * 585 + [1] * 415 + [0] * 925 + [1] * 75)  # 15 % of the answers are as good as drawn
    temperature, doubt = fitted_calibration(calibration_losses(answers, targets))
    assert doubt == 0.15
    assert temperature == 1
    assert expected_calibration_error(cooled(answers, 1, 0.15), targets) < 1e-3


def test_losses_are_squared_errors_of_the_probabilities_of_each_doubt_at_each_temperature():
    losses = calibration_losses(sure(0.5, 0.25), torch.tensor([0, 0]))
    assert float(losses[TEMPERATURES.index(1.0)]) == pytest.approx(2 * 0.5**2 + 2 * 0.75**2)
    answers, targets = random_answers(30)
    expected = [squared_errors(cooled(answers.double(), t, d), targets) for d in DOUBTS for t in TEMPERATURES]
    torch.testing.assert_close(calibration_losses(answers, targets), torch.stack(expected))


def test_samples_whose_class_is_ruled_out_do_not_decide_how_sure_all_others_are():
    answers, targets = sure(*[0.9] * 90, *[0.0] * 2), torch.tensor([0] * 81 + [1] * 9 + [0] * 2)
    calibrated = cooled(answers, *fitted_calibration(calibration_losses(answers, targets)))
    assert float(calibrated[0, 0]) == pytest.approx(0.9, abs=0.01)


def test_the_temperature_of_a_committee_is_that_of_each_of_its_members():
    logits, targets = torch.tensor([[[2.0, 0.0]], [[-4.0, 0.0]]]), torch.tensor([1])
    first, second = (1 / (1 + torch.tensor(-z / 2).exp()) for z in (2.0, -4.0))
    losses = committee_losses(logits, targets)
    assert float(losses[TEMPERATURES.index(2.0)]) == pytest.approx(2 * float((first + second) / 2) ** 2)


def test_losses_of_clients_add_up():
    answers, targets = random_answers(30)
    parts = [calibration_losses(answers[rows], targets[rows]) for rows in (slice(0, 7), slice(7, 30))]
    torch.testing.assert_close(parts[0] + parts[1], calibration_losses(answers, targets))


def test_where_nothing_was_held_out_nothing_is_changed():
    nothing = calibration_losses(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert fitted_calibration(nothing) == (1, 0)


def test_a_class_that_was_ruled_out_costs_two_and_no_more():
    assert float(calibration_losses(sure(0.0), torch.tensor([0]))[TEMPERATURES.index(1.0)]) == pytest.approx(2)
