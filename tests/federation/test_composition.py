"""Which parts answer together."""

import pytest
import torch

from federation.rules import InputError
from federation.tasks import Classification, Regression
from federation.world.composition import PARTS, candidates, chosen, pooled, usable

COIN = Classification(input_shape=(1,), outputs=2)
VALUE = Regression(input_shape=(1,), outputs=1)


# --- pooling ---------------------------------------------------------------------------------------------------------


def test_classes_are_pooled_by_the_product_of_doubted_probabilities():
    answers = {"charts": torch.tensor([[0.8, 0.2]]), "mixture": torch.tensor([[0.6, 0.4]])}
    heads = (0.9999 * 0.8 + 0.00005) * (0.9999 * 0.6 + 0.00005)
    tails = (0.9999 * 0.2 + 0.00005) * (0.9999 * 0.4 + 0.00005)
    answer = pooled(answers, {"charts": 1.0, "mixture": 1.0}, COIN)
    assert answer[0].tolist() == pytest.approx([heads / (heads + tails), tails / (heads + tails)])


def test_a_weight_is_an_exponent():
    answer = pooled({"charts": torch.tensor([[0.8, 0.2]])}, {"charts": 0.5}, COIN)
    heads, tails = (0.9999 * 0.8 + 0.00005) ** 0.5, (0.9999 * 0.2 + 0.00005) ** 0.5
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
    assert usable(PARTS, COIN, True) == ("charts", "mixture", "head", "prior")
    assert usable(PARTS, VALUE, True) == ("mixture", "head", "prior")
    assert usable(PARTS, VALUE, False) == ("mixture", "prior")
    assert usable(("prior", "head", "charts"), COIN, True) == ("charts", "head", "prior")
    assert usable(("prior", "head", "charts"), VALUE, False) == ("prior",)


def test_parts_none_of_which_answers_real_values_are_refused():
    with pytest.raises(InputError, match="composition.parts: none of head, charts answers real values"):
        usable(("head", "charts"), VALUE, False)


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
