"""Classes and real values: the one place where the two differ."""

from math import exp, isnan, log

import pytest
import torch

from federation.tasks import Classification, Regression, Task

CLASSES = Classification(input_shape=(2,), outputs=3)
VALUES = Regression(input_shape=(2,), outputs=2)


def test_the_loss_of_a_class_is_its_cross_entropy_in_nats():
    outputs = torch.tensor([[0.0, 0.0, 0.0], [log(2.0), 0.0, 0.0]])
    assert CLASSES.losses(outputs, torch.tensor([1, 0])).tolist() == pytest.approx([log(3), log(2)])


def test_the_loss_of_a_value_is_half_its_squared_error():
    outputs, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert VALUES.losses(outputs, targets).tolist() == [2.5, 0.0]


@pytest.mark.parametrize("leading", [(4,), (2, 4), (3, 2, 4)])
def test_losses_keep_the_leading_axes(leading):
    draw = torch.Generator().manual_seed(0)
    outputs = torch.randn(*leading, 3, generator=draw)
    targets = torch.randint(3, leading, generator=draw)
    flat = CLASSES.losses(outputs.reshape(-1, 3), targets.reshape(-1))
    assert torch.equal(CLASSES.losses(outputs, targets).reshape(-1), flat)
    values = torch.randn(*leading, 2, generator=draw)
    assert VALUES.losses(values, torch.zeros_like(values)).shape == leading


def test_answers_are_probabilities_of_classes_or_the_values_themselves():
    outputs = torch.tensor([[log(1.0), log(3.0), log(4.0)]])
    assert CLASSES.answers(outputs)[0].tolist() == pytest.approx([0.125, 0.375, 0.5])
    values = torch.tensor([[1.5, -2.0]])
    assert VALUES.answers(values) is values


def test_the_likelihood_of_a_class_is_its_probability():
    answers = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
    assert CLASSES.likelihoods(answers, torch.tensor([2, 0])).tolist() == pytest.approx([0.5, 0.1])


def test_the_likelihood_of_a_value_falls_with_its_squared_error():
    likelihoods = VALUES.likelihoods(torch.tensor([[1.0, 2.0], [3.0, 3.0]]), torch.tensor([[1.0, 2.0], [2.0, 2.0]]))
    assert likelihoods.tolist() == pytest.approx([1.0, exp(-1)])


def test_the_likelihood_of_a_value_is_higher_and_narrower_where_the_variance_is_less():
    """The density of N(0, 1/4), without its (2 pi)^(-1/2), is 2 at 0 and 2 exp(-2) at 1."""
    task = Regression(input_shape=(2,), outputs=1)
    at = task.likelihoods(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]), 0.25)
    assert at.tolist() == pytest.approx([2.0, 2 * exp(-2)])
    of_two = VALUES.likelihoods(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0.25]))
    assert of_two.tolist() == pytest.approx([4.0])


@pytest.mark.parametrize("task", [CLASSES, VALUES], ids=["classes", "values"])
def test_minus_the_log_likelihood_of_an_answer_is_its_loss(task):
    outputs = torch.randn(5, task.outputs, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 0, 1]) if task.classifies else torch.zeros(5, 2)
    torch.testing.assert_close(-task.likelihoods(task.answers(outputs), targets).log(), task.losses(outputs, targets))


def test_the_score_of_classes_is_the_share_of_right_answers():
    answers = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    assert CLASSES.metric == "accuracy"
    assert CLASSES.score(answers, torch.tensor([0, 1, 2, 2])) == 0.75


def test_the_score_of_values_is_one_when_right_and_zero_for_the_mean():
    targets = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    assert VALUES.metric == "r2"
    assert VALUES.score(targets, targets) == 1.0
    assert VALUES.score(targets.mean(0).expand(2, 2), targets) == 0.0
    assert VALUES.score(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), targets) == pytest.approx(1 - 4 / 10)


@pytest.mark.parametrize("task", [CLASSES, VALUES], ids=["classes", "values"])
def test_the_score_of_nothing_is_not_a_number(task):
    targets = torch.zeros(0, dtype=torch.int64) if task.classifies else torch.zeros(0, 2)
    assert isnan(task.score(torch.zeros(0, task.outputs), targets))


def test_targets_are_whole_numbers_or_real():
    assert (CLASSES.target_dtype, VALUES.target_dtype) == (torch.int64, torch.float32)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_gradients_are_those_of_the_losses(kind):
    task, draw = Task.kinds()[kind](input_shape=(4,), outputs=3), torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 5, 3, generator=draw, dtype=torch.float64).requires_grad_()
    targets = torch.randint(3, (2, 5), generator=draw) if task.classifies else torch.randn(2, 5, 3, generator=draw)
    expected = task.losses(outputs, targets)
    [gradient] = torch.autograd.grad(expected.sum(), outputs)
    losses, gradients = task.gradients(outputs.detach(), targets)
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients, gradient, rtol=1e-12, atol=1e-12)


# --- what others believe ---------------------------------------------------------------------------------------------

VALUE = Regression(input_shape=(2,), outputs=1)


@pytest.mark.parametrize(
    ("mean", "variance", "expected"),
    [(1.0, 1.0, 0.5), (0.0, 4.0, log(2) - 3 / 8), (0.0, 1.0, 0.0), (2.0, 4.0, log(2) - 3 / 8 + 0.5)],
)
def test_the_divergence_of_a_standard_normal_from_another_normal(mean, variance, expected):
    beliefs = VALUE.beliefs(torch.tensor([[mean]]), variance)
    divergence, _ = VALUE.divergences(torch.zeros(1, 1), beliefs, torch.tensor([1.0]))
    assert float(divergence) == pytest.approx(expected, abs=1e-6)


def test_among_equal_variances_the_divergence_is_the_squared_jump_over_twice_the_variance():
    beliefs = VALUES.beliefs(torch.tensor([[1.0, 3.0]]), 0.25)
    divergence, gradients = VALUES.divergences(torch.tensor([[0.0, 1.0]]), beliefs, torch.tensor([0.25]))
    assert float(divergence) == pytest.approx((1 + 4) / (2 * 0.25), rel=1e-5)
    assert gradients[0].tolist() == pytest.approx([-4.0, -8.0], rel=1e-5)


def test_the_divergence_of_even_odds_from_one_to_three_is_half_the_log_of_four_thirds():
    task = Classification(input_shape=(2,), outputs=2)
    divergence, _ = task.divergences(torch.zeros(1, 2), torch.tensor([[0.25, 0.75]]))
    assert float(divergence) == pytest.approx(0.5 * log(4 / 3))


def test_a_mixture_of_two_normals_apart_is_as_wide_as_both_and_their_distance():
    """Half N(-1, 1) and half N(1, 1) have mean 0 and variance 2."""
    one, other = (VALUE.beliefs(torch.tensor([[mean]]), 1.0) for mean in (-1.0, 1.0))
    expected = VALUE.beliefs(torch.tensor([[0.0]]), 2.0)
    torch.testing.assert_close((one + other) / 2, expected)


def test_a_class_that_others_never_saw_is_not_ruled_out():
    beliefs = CLASSES.beliefs(torch.tensor([[0.0, 0.0, 1.0]]))
    assert beliefs[0].tolist() == pytest.approx([0.01 / 3, 0.01 / 3, 0.99 + 0.01 / 3])


@pytest.mark.parametrize("task", [CLASSES, VALUES], ids=["classes", "values"])
def test_the_gradients_of_divergences_are_theirs_along_the_outputs_alone(task):
    draw = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 5, task.outputs, generator=draw, dtype=torch.float64).requires_grad_()
    others = task.answers(torch.randn(2, 5, task.outputs, generator=draw, dtype=torch.float64))
    variance = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    beliefs = task.beliefs(others, variance)
    divergences, gradients = task.divergences(outputs, beliefs, variance)
    [gradient] = torch.autograd.grad(divergences.sum(), outputs)
    torch.testing.assert_close(gradients.detach(), gradient, rtol=1e-10, atol=1e-10)
    assert bool((divergences >= 0).all())


def test_one_s_own_belief_is_no_divergence():
    outputs, variance = torch.tensor([[1.0, -2.0]]), torch.tensor([0.3])
    divergence, gradients = VALUES.divergences(outputs, VALUES.beliefs(outputs, variance), variance)
    assert float(divergence) == pytest.approx(0.0, abs=1e-5)
    assert gradients.tolist() == [[0.0, 0.0]]
