"""How sure answers are: their calibration, and the error of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.world.confidence import (
    DOUBTS,
    KEPT,
    TEMPERATURES,
    Calibration,
    calibration_at,
    calibration_floor,
    calibration_losses,
    calibration_sums,
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


# --- calibration -----------------------------------------------------------------------------------------------------


def test_a_temperature_takes_the_root():
    assert cooled(sure(0.8), 2.0)[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert cooled(sure(0.8), 0.5)[0].tolist() == pytest.approx([16 / 17, 1 / 17])


def test_a_doubt_is_spread_over_all_classes():
    assert Calibration(doubt=0.1)(sure(0.9))[0].tolist() == pytest.approx([0.86, 0.14])


def test_what_is_kept_stays_beside_what_is_cooled():
    after = Calibration(temperature=0.5, kept=0.25, doubt=0.25)(sure(0.8))[0]
    assert after.tolist() == pytest.approx([(2 * 16 / 17 + 0.8 + 0.5) / 4, (2 / 17 + 0.2 + 0.5) / 4])


def test_what_else_is_made_of_answers_is_made_before_they_are_mixed():
    after = Calibration(temperature=0.5, kept=0.5)(sure(0.8), then=lambda answers: answers.square())
    assert after[0].tolist() == pytest.approx([((16 / 17) ** 2 + 0.8**2) / 2, ((1 / 17) ** 2 + 0.2**2) / 2])


every_calibration = st.builds(
    lambda t, k, d: Calibration(temperature=t, kept=k, doubt=d),
    st.sampled_from(TEMPERATURES),
    st.sampled_from(KEPT),
    st.sampled_from(DOUBTS),
)


@given(every_calibration, st.integers(0, 50))
def test_no_calibration_changes_the_answer(calibration, seed):
    answers, _ = random_answers(20, seed)
    after = calibration(answers)
    assert torch.equal(after.argmax(1), answers.argmax(1))
    assert float(after.min()) >= 0
    torch.testing.assert_close(after.sum(1), torch.ones(20))


def fitted(answers: torch.Tensor, targets: torch.Tensor) -> Calibration:
    return fitted_calibration(calibration_sums(answers, targets), answers.shape[1])


def test_answers_that_are_sure_of_nine_tenths_and_right_in_three_quarters_need_a_temperature_of_two():
    answers, targets = sure(0.9, 0.9, 0.9, 0.9), torch.tensor([0, 0, 0, 1])
    assert fitted(answers, targets) == Calibration(temperature=2)
    assert expected_calibration_error(cooled(answers, 2), targets) == pytest.approx(0, abs=1e-6)


def test_answers_that_are_too_sure_where_they_are_sure_alone_need_a_doubt():
    answers = sure(*[0.6] * 1000, *[0.9999] * 1000)
    targets = torch.tensor([0] * 585 + [1] * 415 + [0] * 925 + [1] * 75)  # 15 % of the answers are as good as drawn
    found = fitted(answers, targets)
    assert found.doubt == 0.15
    assert expected_calibration_error(found(answers), targets) < 1e-3


def test_answers_of_which_a_share_should_be_surer_keep_the_rest():
    answers = sure(*[0.6] * 1000, *[0.8] * 1000)
    mixed = Calibration(temperature=TEMPERATURES[4], kept=0.5)(answers)[[0, 1000], 0]
    right = (1000 * mixed).round().int().tolist()
    targets = torch.tensor([0] * right[0] + [1] * (1000 - right[0]) + [0] * right[1] + [1] * (1000 - right[1]))
    assert expected_calibration_error(fitted(answers, targets)(answers), targets) < 2e-3


def test_losses_are_squared_errors_of_the_probabilities_of_each_calibration():
    simple = calibration_losses(calibration_sums(sure(0.5, 0.25), torch.tensor([0, 0])), 2)
    assert float(simple[TEMPERATURES.index(1.0), 0, 0]) == pytest.approx(2 * 0.5**2 + 2 * 0.75**2)
    answers, targets = random_answers(30)
    losses = calibration_losses(calibration_sums(answers, targets), 4)
    assert losses.shape == (len(TEMPERATURES), len(KEPT), len(DOUBTS))
    for place in range(0, losses.numel(), 7):
        expected = squared_errors(calibration_at(place)(answers.double()), targets)
        assert float(losses.flatten()[place]) == pytest.approx(float(expected))


def test_samples_whose_class_is_ruled_out_do_not_decide_how_sure_all_others_are():
    answers, targets = sure(*[0.9] * 90, *[0.0] * 2), torch.tensor([0] * 81 + [1] * 9 + [0] * 2)
    assert float(fitted(answers, targets)(answers)[0, 0]) == pytest.approx(0.9, abs=0.01)


def test_between_two_calibrations_temperatures_have_their_geometric_mean():
    one, other = Calibration(temperature=4, kept=0.4, doubt=0.1), Calibration()
    assert one.between(other, 0.5) == Calibration(temperature=2, kept=0.2, doubt=0.05)
    assert one.between(other, 1.0) == one


def test_the_temperature_of_a_committee_is_that_of_each_of_its_members():
    logits, targets = torch.tensor([[[2.0, 0.0]], [[-4.0, 0.0]]]), torch.tensor([1])
    first, second = (1 / (1 + torch.tensor(-z / 2).exp()) for z in (2.0, -4.0))
    losses = committee_losses(logits, targets)
    assert float(losses[TEMPERATURES.index(2.0)]) == pytest.approx(2 * float((first + second) / 2) ** 2)


def test_sums_of_clients_add_up():
    answers, targets = random_answers(30)
    parts = [calibration_sums(answers[rows], targets[rows]) for rows in (slice(0, 7), slice(7, 30))]
    torch.testing.assert_close(parts[0] + parts[1], calibration_sums(answers, targets))


def test_where_nothing_was_held_out_nothing_is_changed():
    assert fitted(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == Calibration()


def test_a_class_that_was_ruled_out_costs_two_and_no_more():
    losses = calibration_losses(calibration_sums(sure(0.0), torch.tensor([0])), 2)
    assert float(losses[TEMPERATURES.index(1.0), 0, 0]) == pytest.approx(2)
