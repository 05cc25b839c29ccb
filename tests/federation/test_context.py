"""Client context: what neighbours of one client change, and when they may."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.routing import shared
from federation.tasks import Classification, Regression
from federation.world.confidence import Calibration, calibration_at, calibration_losses, squared_errors
from federation.world.context import (
    COARSE,
    PRIORS,
    VIEWS,
    Context,
    chosen_context,
    context_shape,
    context_sums,
    label_shifted,
    options,
    shares,
)

EVEN = torch.tensor([0.5, 0.5])
COIN = Classification(input_shape=(1,), outputs=2)
VALUE = Regression(input_shape=(1,), outputs=1)
SURE, OPEN = [1.0, 0.0], [0.5, 0.5]


def random_answers(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, 3, generator=torch.Generator().manual_seed(seed)).softmax(1)


# --- classes ---------------------------------------------------------------------------------------------------------


def test_two_sure_neighbours_and_two_samples_of_the_federation_make_three_quarters():
    answers = torch.tensor([SURE, SURE, OPEN])
    after = label_shifted(answers, torch.tensor([0, 0, 0]), EVEN, prior=2.0)
    assert after[2].tolist() == pytest.approx([0.75, 0.25])
    assert after[:2].tolist() == [SURE, SURE]


def test_a_rare_class_must_be_seen_more_often():
    answers, union = torch.tensor([SURE, OPEN]), torch.tensor([0.8, 0.2])
    # the answer knew the federation: only what its neighbour adds to 0.8 : 0.2 may move it
    after = label_shifted(answers, torch.tensor([0, 0]), union, prior=1.0)
    assert after[1].tolist() == pytest.approx(
        [0.9 / 0.8 / (0.9 / 0.8 + 0.1 / 0.2), 0.1 / 0.2 / (0.9 / 0.8 + 0.1 / 0.2)]
    )


def test_who_comes_alone_is_answered_as_before():
    answers = random_answers(6)
    torch.testing.assert_close(label_shifted(answers, torch.arange(6), torch.full((3,), 1 / 3), 1.0), answers)


def test_other_groups_have_no_say():
    answers, group = random_answers(20), torch.arange(20) % 2
    union = torch.full((3,), 1 / 3)
    together = label_shifted(answers, group, union, 4.0)
    alone = label_shifted(answers[::2], torch.zeros(10, dtype=torch.int64), union, 4.0)
    torch.testing.assert_close(together[::2], alone)


@given(st.integers(0, 30), st.sampled_from(PRIORS))
def test_shifted_answers_are_shares_whatever_the_order(seed, prior):
    answers, draw = random_answers(12, seed), torch.Generator().manual_seed(seed)
    group, order = torch.randint(3, (12,), generator=draw), torch.randperm(12, generator=draw)
    group = torch.unique(group, return_inverse=True)[1]
    after = label_shifted(answers, group, torch.full((3,), 1 / 3), prior)
    torch.testing.assert_close(after.sum(1), torch.ones(12))
    torch.testing.assert_close(
        label_shifted(answers[order], group[order], torch.full((3,), 1 / 3), prior), after[order]
    )


def test_a_large_prior_leaves_the_answers():
    answers = random_answers(12)
    after = label_shifted(answers, torch.zeros(12, dtype=torch.int64), torch.full((3,), 1 / 3), 1e7)
    torch.testing.assert_close(after, answers, atol=1e-4, rtol=0)


def test_no_class_of_the_federation_has_no_share():
    assert shares(torch.tensor([3.0, 0.0])).tolist() == pytest.approx([0.8, 0.2])


# --- experts ---------------------------------------------------------------------------------------------------------


def test_a_neighbour_of_two_has_half_a_say():
    logits = torch.tensor([[0.75, 0.25], [0.2, 0.8]]).log()
    after = shared(logits, torch.tensor([0, 0])).softmax(1)[0]
    raised = [0.75 * 0.2**0.5, 0.25 * 0.8**0.5]
    assert after.tolist() == pytest.approx([raised[0] / sum(raised), raised[1] / sum(raised)])


def test_without_neighbours_the_gates_stay():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(shared(logits, torch.arange(5)).softmax(1), logits.softmax(1))


def test_a_single_sample_does_not_rule_a_region_out_for_its_group():
    logits = torch.tensor([[0.0, 0.0], [0.0, -1e30]])
    assert float(shared(logits, torch.tensor([0, 0])).softmax(1)[0, 1]) > 1e-8


def test_regions_that_a_sample_does_not_reach_say_nothing_to_it():
    draw = torch.Generator().manual_seed(1)
    logits, group = torch.randn(6, 5, generator=draw), torch.tensor([0, 1, 0, 1, 0, 0])
    order = torch.stack([torch.randperm(5, generator=draw) for _ in range(6)])
    permuted = shared(logits.gather(1, order), group, order)
    torch.testing.assert_close(permuted, shared(logits, group).gather(1, order))


# --- the choice ------------------------------------------------------------------------------------------------------


def sums_of(answers: torch.Tensor, targets: list[int], others: list[int]) -> torch.Tensor:
    return context_sums([answers, answers], torch.tensor(targets), torch.tensor(others), EVEN, COIN)


def test_not_to_use_context_is_tried_first():
    assert [option.used for option in options(COIN)[:2]] == [False, True]
    assert len(options(COIN)) == 2 * (1 + len(PRIORS))
    assert options(VALUE) == [Context(), Context(router=True)]


def test_each_option_has_its_losses_at_each_calibration_in_each_view():
    answers, group = torch.tensor([[0.8, 0.2], [0.6, 0.4]]), torch.zeros(2, dtype=torch.int64)
    sums = sums_of(answers, [0, 1], [0, 0, 0])
    assert sums.shape == context_shape(COIN)
    losses = calibration_losses(sums, 2).flatten(2)
    for place in range(0, losses.shape[2], 97):
        said = calibration_at(place, COARSE)
        alone = squared_errors(said(answers).double(), torch.tensor([0, 1]))
        assert losses[:, 0, place].tolist() == pytest.approx([float(alone)] * VIEWS, rel=1e-5)
        shifted = said(answers, then=lambda each: label_shifted(each, group, EVEN, PRIORS[0]))
        together = squared_errors(shifted.double(), torch.tensor([0, 1]))
        assert float(losses[0, 1, place]) == pytest.approx(float(together), rel=1e-5)


def test_known_neighbours_count_by_their_classes():
    sums = sums_of(torch.tensor([OPEN]), [0], [0, 0, 0])
    losses = calibration_losses(sums, 2)[:, options(COIN).index(Context(prior=1.0)), COARSE.index(1.0), 0, 0]
    # alone among the held-out samples nothing is known; three others of class 0 and one of the federation are
    assert losses.tolist() == pytest.approx([2 * 0.5**2, 2 * (0.5 / 4) ** 2])


def test_context_is_used_where_it_pays_in_both_views():
    skewed = sums_of(torch.tensor([[0.6, 0.4]] * 8), [0] * 8, [0] * 20)
    assert chosen_context(skewed, 8, 0.002, COIN).prior == 1.0


def test_answers_with_context_have_a_calibration_of_their_own():
    answers = torch.tensor([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5)
    sums = sums_of(answers, [0] * 4 + [1] + [1] * 4 + [0], [0] * 10 + [1] * 10)
    found = chosen_context(sums, 10, 0.002, COIN, router=True)
    assert found.used
    assert found.calibration != Calibration()


def test_held_out_samples_that_are_torn_from_a_client_do_not_decide_alone():
    torn = sums_of(torch.tensor([[0.6, 0.4]] * 8), [0] * 8, [0] * 10 + [1] * 10)
    losses = calibration_losses(torn, 2)[0]
    assert float(losses.min()) < float(losses[0].min())
    assert chosen_context(torn, 8, 0.002, COIN) == Context()


def test_the_shared_choice_of_experts_must_gain():
    own, better = torch.full((4, 2), 0.5), torch.tensor([[0.9, 0.1]] * 4)
    sums = context_sums([own, better], torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1]), EVEN, COIN)
    assert chosen_context(sums, 4, 0.002, COIN).router
    assert not chosen_context(sums, 4, 1.0, COIN).router


def test_whether_experts_are_shared_may_be_settled_beforehand():
    own, better = torch.full((4, 2), 0.5), torch.tensor([[0.9, 0.1]] * 4)
    sums = context_sums([own, better], torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1]), EVEN, COIN)
    assert not chosen_context(sums, 4, 0.002, COIN, router=False).router
    assert chosen_context(sums, 4, 1.0, COIN, router=True).router


def test_values_share_experts_alone():
    right, wrong, targets = torch.tensor([[1.0]]), torch.tensor([[3.0]]), torch.tensor([[1.0]])
    sums = context_sums([wrong, right], targets, None, None, VALUE)
    assert sums.tolist() == [[2.0, 0.0]] * VIEWS
    assert chosen_context(sums, 1, 0.002, VALUE) == Context(router=True)
