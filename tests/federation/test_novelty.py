"""Which samples are novel, who answers them, and how much of the world is covered."""

from math import asinh, inf, isnan, log, sinh

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.data.samples import Samples
from federation.world.design import NOTHING_NOVEL
from federation.world.novelty import (
    BINS,
    coverage,
    discovered,
    novelty_histogram,
    novelty_quantile,
    novelty_threshold,
)
from tests.federation.test_world_model import CLASSES, FAR, QUERIES, with_threshold, world

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
    """What the clients' novelty phase sums up: counts, and the losses of both by novelty."""
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


def test_with_a_quantile_of_one_nothing_is_novel_however_good_the_generalist_is():
    assert novelty_threshold(judged(NOVELTY, composition=EVEN, generalist=BETTER), 1.0) == inf


# --- what may spawn a region -----------------------------------------------------------------------------------------


def at(*bins: int) -> torch.Tensor:
    """Novelties in the middle of bins, counted from that of zero."""
    return ((torch.tensor(bins) + 0.5) / 64).sinh()


KNOWN = novelty_histogram(at(*range(99)))  # one sample in each of 99 bins


def test_samples_are_novel_as_far_as_chance_does_not_give_as_many():
    # shares of known samples at least as novel: (99 - bin + 1) / 100, so 0.01, 0.05, 0.1 and 0.5
    novelty = at(120, 95, 90, 50)
    assert discovered(novelty, KNOWN, 0.041).tolist() == [True, False, False, False]  # 0.01 < 0.041 * 1 / 4
    assert discovered(novelty, KNOWN, 0.101).tolist() == [True, True, False, False]  # 0.05 < 0.101 * 2 / 4
    assert discovered(novelty, KNOWN, 0.141).tolist() == [True, True, True, False]  # 0.1 < 0.141 * 3 / 4


def test_a_step_that_holds_for_many_carries_those_before_it():
    novelty = at(94, 94, 94, 20)  # each 0.06 alone is more than 0.08 * 1 / 4, but three are not
    assert discovered(novelty, KNOWN, 0.081).tolist() == [True, True, True, False]


@given(st.permutations(range(6)))
def test_the_order_of_the_samples_does_not_matter(order):
    novelty = at(120, 130, 95, 97, 10, 40)
    assert torch.equal(discovered(novelty[list(order)], KNOWN, 0.1), discovered(novelty, KNOWN, 0.1)[list(order)])


@pytest.mark.parametrize("seed", range(5))
def test_a_client_like_all_others_has_hardly_anything_novel_and_a_stranger_nearly_everything(seed):
    draw = torch.Generator().manual_seed(seed)
    known = novelty_histogram(20 + 3 * torch.randn(500, generator=draw))
    alike, strange = 20 + 3 * torch.randn(300, generator=draw), 32 + 3 * torch.randn(300, generator=draw)
    assert int(discovered(alike, known, 0.1).sum()) <= 5
    assert int(discovered(strange, known, 0.1).sum()) >= 270


def test_where_nothing_was_held_out_or_nothing_is_asked_nothing_is_discovered():
    assert not discovered(at(150, 200), torch.zeros(BINS, dtype=torch.float64), 0.1).any()
    assert discovered(torch.zeros(0), KNOWN, 0.1).tolist() == []


# --- coverage --------------------------------------------------------------------------------------------------------


def test_coverage_counts_and_scores_both_sides_of_the_threshold():
    model = world(composition={"mixture": 1.0})
    samples = Samples(torch.cat([QUERIES, FAR]), torch.arange(42) % CLASSES)
    found = coverage(with_threshold(model, float(model.novelty(QUERIES).max()) + 1), samples)
    score = model.design.task.score
    assert found.share == pytest.approx(40 / 42)
    assert found.covered == score(model.predict(QUERIES), samples.targets[:40])
    assert found.rest == score(model.generalist(FAR), samples.targets[40:])
    assert found.rest_composed == score(model.predict(FAR), samples.targets[40:])


def test_without_novelty_everything_is_covered_and_nothing_else_is_scored():
    found = coverage(with_threshold(world(), NOTHING_NOVEL), Samples(QUERIES, torch.arange(40) % CLASSES))
    assert (found.share, found.rest, found.rest_composed) == (1.0, None, None)


def test_where_all_is_novel_only_the_generalist_is_scored():
    found = coverage(with_threshold(world(), -NOTHING_NOVEL), Samples(QUERIES, torch.arange(40) % CLASSES))
    assert (found.share, found.covered) == (0.0, None)
    assert found.rest is not None
