"""Which parts answer together, and which samples are novel."""

from math import asinh, inf, isnan, log, sinh

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.composition import (
    BINS,
    PARTS,
    candidates,
    chosen,
    novelty_histogram,
    novelty_quantile,
    novelty_threshold,
    pooled,
    usable,
)
from federation.rules import InputError
from federation.task import Task

COIN = Task(kind="classification", input_shape=(1,), outputs=2)
VALUE = Task(kind="regression", input_shape=(1,), outputs=1)
NOVELTIES = st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=40)


# --- pooling ---------------------------------------------------------------------------------------------------------


def test_classes_are_pooled_by_the_product_of_doubted_probabilities():
    answers = {"charts": torch.tensor([[0.8, 0.2]]), "mixture": torch.tensor([[0.6, 0.4]])}
    heads = (0.99 * 0.8 + 0.005) * (0.99 * 0.6 + 0.005)
    tails = (0.99 * 0.2 + 0.005) * (0.99 * 0.4 + 0.005)
    answer = pooled(answers, {"charts": 1.0, "mixture": 1.0}, COIN)
    assert answer[0].tolist() == pytest.approx([heads / (heads + tails), tails / (heads + tails)])


def test_a_weight_is_an_exponent():
    answer = pooled({"charts": torch.tensor([[0.8, 0.2]])}, {"charts": 0.5}, COIN)
    heads, tails = (0.99 * 0.8 + 0.005) ** 0.5, (0.99 * 0.2 + 0.005) ** 0.5
    assert float(answer[0, 0]) == pytest.approx(heads / (heads + tails))


def test_a_part_without_weight_has_no_say():
    answers = {"charts": torch.tensor([[0.8, 0.2]]), "prior": torch.tensor([[0.0, 1.0]])}
    without = pooled({"charts": answers["charts"]}, {"charts": 1.0}, COIN)
    assert torch.equal(pooled(answers, {"charts": 1.0, "prior": 0.0}, COIN), without)


def test_a_part_that_rules_a_class_out_can_be_outvoted():
    answers = {"mixture": torch.tensor([[0.0, 1.0]]), "head": torch.tensor([[1.0, 0.0]])}
    assert pooled(answers, {"mixture": 0.5, "head": 1.0}, COIN)[0, 0] > 0.5


def test_values_are_pooled_by_their_weighted_mean():
    answers = {"mixture": torch.tensor([[1.0]]), "prior": torch.tensor([[4.0]])}
    assert pooled(answers, {"mixture": 1.0, "prior": 0.5}, VALUE).tolist() == [[2.0]]


# --- the choice ------------------------------------------------------------------------------------------------------


def test_every_combination_of_weights_but_the_empty_one_is_a_candidate():
    options = candidates(("charts", "mixture", "head", "prior"), (0.0, 0.5, 1.0), COIN)
    assert len(options) == 3**4 - 1
    assert len({tuple(option.items()) for option in options}) == len(options)


def test_candidates_with_fewest_parts_come_first():
    used = [sum(weight > 0 for weight in option.values()) for option in candidates(("a", "b", "c"), (0.0, 1.0), COIN)]
    assert used == [1, 1, 1, 2, 2, 2, 3]


def test_leaving_a_part_out_is_always_a_candidate():
    assert candidates(("a", "b"), (1.0,), COIN) == [{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 1.0}]


def test_weights_of_values_that_give_the_same_mean_are_tried_once():
    options = candidates(("mixture", "prior"), (0.0, 0.5, 1.0), VALUE)
    pairs = {(option["mixture"], option["prior"]) for option in options}
    assert pairs == {(1.0, 0.0), (0.0, 1.0), (1.0, 0.5), (0.5, 1.0), (1.0, 1.0)}
    assert len(options) == 5


def test_the_parts_that_may_answer_are_those_of_the_task_that_the_scenario_allows():
    assert usable(PARTS, COIN) == ("charts", "mixture", "head", "prior")
    assert usable(PARTS, VALUE) == ("mixture", "prior")
    assert usable(("prior", "head", "charts"), COIN) == ("charts", "head", "prior")
    assert usable(("prior", "head", "charts"), VALUE) == ("prior",)


def test_parts_none_of_which_answers_real_values_are_refused():
    with pytest.raises(InputError, match="composition.parts: none of head, charts answers real values"):
        usable(("head", "charts"), VALUE)


OPTIONS = [{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 1.0}]


def held_out(*losses: float, count: float = 100.0) -> dict[str, torch.Tensor]:
    return {
        "loss": torch.tensor(losses, dtype=torch.float64) * count,
        "count": torch.tensor(count, dtype=torch.float64),
    }


def test_the_least_loss_is_chosen():
    assert chosen(OPTIONS, held_out(0.9, 0.5, 0.7), gain=0.01) == OPTIONS[1]


def test_fewer_parts_are_preferred_within_the_gain():
    assert chosen(OPTIONS, held_out(0.500, 0.9, 0.495), gain=0.01) == OPTIONS[0]


def test_a_further_part_is_taken_when_it_pays():
    assert chosen(OPTIONS, held_out(0.500, 0.9, 0.485), gain=0.01) == OPTIONS[2]


def test_the_choice_does_not_depend_on_the_number_of_samples():
    assert chosen(OPTIONS, held_out(0.500, 0.9, 0.485, count=1e6), gain=0.01) == OPTIONS[2]
    assert chosen(OPTIONS, held_out(0.500, 0.9, 0.495, count=1e6), gain=0.01) == OPTIONS[0]


def test_without_held_out_samples_the_first_option_is_chosen():
    nothing = {"loss": torch.zeros(3, dtype=torch.float64), "count": torch.zeros((), dtype=torch.float64)}
    assert chosen(OPTIONS, nothing, gain=0.01) == OPTIONS[0]


# --- novelty ---------------------------------------------------------------------------------------------------------


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


def test_with_a_quantile_of_one_nothing_is_ever_novel():
    assert novelty_threshold(judged(NOVELTY, composition=EVEN, generalist=BETTER), 1.0) == inf


def test_held_out_samples_are_not_novel_unless_the_generalist_is_better():
    novelty = torch.tensor([log(n + 1) for n in range(50)])
    threshold = novelty_threshold(judged(novelty, torch.ones(50), torch.ones(50)), 0.9)
    assert bool((novelty < threshold).all())
