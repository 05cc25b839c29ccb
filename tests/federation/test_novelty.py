"""Which samples are novel, who answers them, and how much of the world is covered."""

from math import asinh, inf, isnan, log, sinh

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.novelty import BINS, novelty_histogram, novelty_quantile, novelty_threshold

NOVELTIES = st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=40)


# --- histograms and thresholds ---------------------------------------------------------------------------------------


@given(NOVELTIES, NOVELTIES)
def test_histograms_of_clients_add_up_to_that_of_all_samples(first, second):
    a, b = torch.tensor(first), torch.tensor(second)
    assert torch.equal(novelty_histogram(a) + novelty_histogram(b), novelty_histogram(torch.cat([a, b])))


@given(NOVELTIES)
def test_every_sample_is_counted_once(novelties):
    assert float(novelty_histogram(torch.tensor(novelties)).sum()) == len(novelties)


@given(NOVELTIES, st.floats(0.01, 1.0))
def test_at_least_the_quantile_of_the_samples_is_below_it(novelties, quantile):
    values = torch.tensor(novelties)
    edge = novelty_quantile(novelty_histogram(values), quantile)
    slack = 1e-4 * (1 + abs(edge))  # places are found in float32
    assert float((values <= edge + slack).double().mean()) >= quantile - 1e-9


@given(NOVELTIES)
def test_a_quantile_of_one_is_the_bin_of_the_largest_sample(novelties):
    edge = novelty_quantile(novelty_histogram(torch.tensor(novelties)), 1.0)
    assert asinh(edge) == pytest.approx(asinh(max(novelties)), abs=1.5 / 64)


def test_bins_are_equal_steps_of_the_inverse_hyperbolic_sine():
    histogram = novelty_histogram(torch.tensor([sinh(0.5 / 64), sinh(1.5 / 64), sinh(1.6 / 64)]))
    assert histogram[BINS // 2 : BINS // 2 + 3].tolist() == [1.0, 2.0, 0.0]


def test_values_out_of_reach_fall_into_the_outermost_bins():
    histogram = novelty_histogram(torch.tensor([-1e30, 1e30, 1e30]))
    assert (float(histogram[0]), float(histogram[-1]), float(histogram.sum())) == (1.0, 2.0, 3.0)


def test_a_weighted_histogram_adds_up_the_weights():
    histogram = novelty_histogram(torch.tensor([0.001, 0.001, 5.0]), torch.tensor([0.25, 0.5, 4.0]))
    assert float(histogram[BINS // 2]) == 0.75
    assert float(histogram.sum()) == 4.75


def test_a_quantile_is_the_upper_edge_of_its_bin():
    novelty = torch.tensor([0.5 / 64] * 90 + [10.5 / 64] * 10).sinh()
    assert novelty_quantile(novelty_histogram(novelty), 0.9) == pytest.approx(sinh(1 / 64), rel=1e-6)
    assert novelty_quantile(novelty_histogram(novelty), 0.91) == pytest.approx(sinh(11 / 64), rel=1e-6)


def test_the_quantile_of_nothing_is_infinite():
    assert novelty_quantile(torch.zeros(BINS, dtype=torch.float64), 0.99) == inf


def judged(novelty: torch.Tensor, composition: torch.Tensor, generalist: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the clients' novelty stage sums up: counts, and the losses of both by novelty."""
    return {
        "count": novelty_histogram(novelty),
        "composition": novelty_histogram(novelty, composition),
        "generalist": novelty_histogram(novelty, generalist),
    }


COMMON, RARE, RAREST = sinh(0.5 / 64), sinh(64.5 / 64), sinh(128.5 / 64)
NOVELTY = torch.tensor([COMMON] * 98 + [RARE] * 1 + [RAREST] * 1)
EVEN = torch.ones(100)
BETTER = torch.tensor([1.0] * 99 + [0.5])


def test_the_quantile_is_the_threshold_where_the_generalist_answers_better_beyond_it():
    threshold = novelty_threshold(judged(NOVELTY, composition=EVEN, generalist=BETTER), 0.99)
    assert threshold == pytest.approx(sinh(65 / 64), rel=1e-6)


def test_only_what_is_far_out_is_left_to_a_generalist_that_answers_worse():
    threshold = novelty_threshold(judged(NOVELTY, composition=BETTER, generalist=EVEN), 0.99)
    assert threshold == pytest.approx(2 * sinh(129 / 64) - sinh(1 / 64), rel=1e-6)


def test_what_the_generalist_gains_below_the_quantile_does_not_count():
    below = torch.tensor([0.1] * 98 + [1.0] * 2)
    threshold = novelty_threshold(judged(NOVELTY, composition=EVEN, generalist=below), 0.99)
    assert threshold > sinh(129 / 64)


def test_what_the_generalist_gains_at_a_negative_quantile_does_not_count_either():
    novelty = torch.tensor([-RARE] * 98 + [-COMMON] * 2)  # dense regions: log densities above zero
    at = (novelty == novelty[0]).float()
    threshold = novelty_threshold(judged(novelty, composition=EVEN + at, generalist=EVEN), 0.9)
    assert threshold == pytest.approx(2 * 0 - sinh(-64 / 64), rel=1e-6)


def test_without_held_out_samples_nothing_is_novel():
    nothing = judged(torch.zeros(0), torch.zeros(0), torch.zeros(0))
    threshold = novelty_threshold(nothing, 0.99)
    assert not isnan(threshold)
    assert threshold == inf


def test_held_out_samples_are_not_novel_unless_the_generalist_is_better():
    novelty = torch.tensor([log(n + 1) for n in range(50)])
    threshold = novelty_threshold(judged(novelty, torch.ones(50), torch.ones(50)), 0.9)
    assert bool((novelty < threshold).all())
