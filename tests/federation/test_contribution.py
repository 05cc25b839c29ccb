"""Sums that commute, and the coverage-weighted mean."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.wire.contribution import EVERYWHERE, Contribution, Listed, Weighed, coverage_mean
from tests.small import term

SHAPES = {"weight": (2, 2), "bias": (2,), "count": ()}
VALUES = st.floats(-1e6, 1e6, width=32)


def tensors_of(shape, values=VALUES):
    size = int(torch.Size(shape).numel())
    return st.lists(values, min_size=size, max_size=size).map(lambda numbers: torch.tensor(numbers).reshape(shape))


SUMS = st.fixed_dictionaries({}, optional={name: tensors_of(shape) for name, shape in SHAPES.items()})
REGIONS = st.dictionaries(st.integers(EVERYWHERE, 2), SUMS, max_size=3)


def members(sums: list[dict[int, dict[str, torch.Tensor]]]) -> list[Contribution]:
    """One contribution a client; no client twice."""
    return [Contribution((client,), regions) for client, regions in enumerate(sums)]


def assert_same(a: Contribution, b: Contribution) -> None:
    assert a.clients == b.clients
    assert a.sums.keys() == b.sums.keys()
    for region in a.sums:
        assert a.sums[region].keys() == b.sums[region].keys()
        for name, tensor in a.sums[region].items():
            torch.testing.assert_close(tensor, b.sums[region][name], rtol=1e-12, atol=1e-6, check_dtype=False)


def any_tree(parts: list[Contribution], draw) -> Contribution:
    """The sum of the parts, grouped in a tree of hypothesis' choice."""
    if len(parts) == 1:
        return parts[0]
    cut = draw(st.integers(1, len(parts) - 1))
    return any_tree(parts[:cut], draw) + any_tree(parts[cut:], draw)


@given(REGIONS, REGIONS)
def test_adding_is_commutative(x, y):
    a, b = members([x, y])
    assert_same(a + b, b + a)


@given(REGIONS, REGIONS, REGIONS)
def test_adding_is_associative(x, y, z):
    a, b, c = members([x, y, z])
    assert_same((a + b) + c, a + (b + c))


@given(REGIONS)
def test_the_empty_contribution_is_zero(x):
    (one,) = members([x])
    assert_same(one + Contribution(), one)
    assert_same(Contribution() + one, one)


@given(REGIONS, REGIONS)
def test_adding_mutates_neither_side(x, y):
    a, b = members([x, y])
    before = [{r: {n: t.clone() for n, t in sums.items()} for r, sums in part.sums.items()} for part in (a, b)]
    _ = a + b
    for part, kept in zip((a, b), before, strict=True):
        assert_same(part, Contribution(part.clients, kept))


@given(st.lists(REGIONS, min_size=1, max_size=6), st.data())
def test_any_tree_in_any_order_gives_the_same_total(sums, data):
    parts = members(sums)
    order = data.draw(st.permutations(range(len(parts))))
    assert_same(any_tree([parts[place] for place in order], data.draw), Contribution.total(parts))


CLIENTS = st.tuples(tensors_of((3,), st.floats(-100, 100, width=32)), st.integers(1, 3), st.integers(1, 1000))


@given(st.lists(CLIENTS, min_size=1, max_size=6), st.data())
def test_any_tree_gives_the_same_nested_mean(clients, data):
    server = {"weight": torch.tensor([7.0, 8.0, 9.0])}
    terms = [term(number, {"weight": values[:size]}, samples) for number, (values, size, samples) in enumerate(clients)]
    mean = coverage_mean(any_tree(terms, data.draw).sums[0], server)["weight"]
    for place in range(3):
        holders = [(float(values[place]), samples) for values, size, samples in clients if size > place]
        held = sum(samples for _, samples in holders)
        expected = (
            sum(value * samples for value, samples in holders) / held if holders else float(server["weight"][place])
        )
        assert float(mean[place]) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_clients_are_listed_in_order_whoever_comes_first():
    assert (Contribution((5, 7)) + Contribution((1, 6))).clients == (1, 5, 6, 7)


def test_a_client_that_is_counted_twice_is_refused():
    with pytest.raises(ValueError, match="client 3 contributed twice to one sum; count each reply once"):
        Contribution((1, 3)) + Contribution((3, 4))


def test_sums_are_kept_apart_by_region():
    a = Contribution((0,), {0: {"n": torch.tensor(1.0)}, 1: {"n": torch.tensor(10.0)}})
    b = Contribution((1,), {1: {"n": torch.tensor(5.0)}})
    total = (a + b).sums
    assert {region: float(sums["n"]) for region, sums in total.items()} == {0: 1.0, 1: 15.0}


def test_sums_of_many_small_terms_lose_nothing():
    parts = [Contribution((client,), {0: {"n": torch.tensor(0.1)}}) for client in range(1000)]
    assert float(Contribution.total(parts).sums[0]["n"]) == pytest.approx(1000 * float(torch.tensor(0.1)), rel=1e-13)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_makes_a_contribution_not_finite(bad):
    good = {"n": torch.tensor([1.0, 2.0])}
    assert Contribution((0,), {0: good, 1: good}).finite()
    assert not Contribution((0,), {0: good, 1: {"n": torch.tensor([1.0, bad])}}).finite()


def test_everywhere_are_the_sums_of_the_whole_federation():
    here = {"n": torch.tensor(2.0)}
    assert Contribution((0,), {EVERYWHERE: here, 0: {}}).everywhere() is here
    assert Contribution((0,), {0: here}).everywhere() == {}


def test_the_mean_of_two_sizes_weighs_each_coordinate_by_those_who_hold_it():
    server = {"weight": torch.tensor([[0.0, 0.0], [0.0, 0.0]]), "bias": torch.tensor([0.0, 0.0])}
    small = {"weight": torch.tensor([[1.0]]), "bias": torch.tensor([1.0])}
    large = {"weight": torch.tensor([[5.0, 6.0], [7.0, 8.0]]), "bias": torch.tensor([5.0, 9.0])}
    mean = coverage_mean((term(0, small, 30) + term(1, large, 10)).sums[0], server)
    assert mean["weight"].tolist() == [[2.0, 6.0], [7.0, 8.0]]  # (30 * 1 + 10 * 5) / 40 = 2
    assert mean["bias"].tolist() == [2.0, 9.0]


def test_a_coordinate_that_nobody_holds_keeps_its_server_value():
    server = {"weight": torch.tensor([10.0, 20.0, 30.0])}
    mean = coverage_mean(term(0, {"weight": torch.tensor([4.0])}, 5).sums[0], server)
    assert mean["weight"].tolist() == [4.0, 20.0, 30.0]


def test_a_tensor_that_nobody_holds_keeps_its_server_value():
    server = {"stem": torch.tensor([1.0]), "block": torch.tensor([2.0])}
    shallow = term(0, {"stem": torch.tensor([5.0])}, 3).sums[0]
    assert coverage_mean(shallow, server)["block"].tolist() == [2.0]
    assert coverage_mean({}, server) == server


def test_a_model_travels_in_its_own_size_with_one_weight_a_tensor():
    sums = term(0, {"weight": torch.full((2, 2), 3.0)}, 7).sums[0]
    assert sums["weight"].tolist() == [[21.0, 21.0], [21.0, 21.0]]
    assert (sums["weight"].dtype, sums["weight/weight"].shape, float(sums["weight/weight"])) == (torch.float32, (), 7)


def test_models_of_two_sizes_add_up_with_a_weight_for_each_coordinate():
    sums = (term(0, {"weight": torch.ones(2, 2)}, 7) + term(1, {"weight": torch.ones(1, 3)}, 2)).sums[0]
    assert sums["weight"].tolist() == [[9.0, 9.0, 2.0], [7.0, 7.0, 0.0]]
    assert sums["weight/weight"].tolist() == [[9.0, 9.0, 2.0], [7.0, 7.0, 0.0]]


def test_other_sums_of_two_shapes_are_no_sum():
    a, b = (Contribution((n,), {0: {"n": torch.zeros(2 + n)}}) for n in range(2))
    with pytest.raises(RuntimeError, match="size of tensor"):
        a + b


# --- whole cohorts ---------------------------------------------------------------------------------------------------


def cohort(models: torch.Tensor, regions: list[int]) -> Weighed:
    clients = range(10, 10 + len(models))
    metric = {"metric/loss": torch.arange(len(models)).double()}
    return Weighed(clients, regions, {"weight": models}, torch.arange(1.0, 1 + len(models)), metric)


def test_a_cohort_s_total_is_the_sum_of_its_members():
    weighed = cohort(torch.arange(12.0).reshape(4, 3), [0, 1, 0, 0])
    one_by_one = Contribution.total(weighed.total([member]) for member in range(4))
    assert_same(weighed.total(range(4)), one_by_one)
    assert_same(weighed.total([0, 3]), weighed.total([0]) + weighed.total([3]))
    assert weighed.total([0, 3]).clients == (10, 13)
    assert weighed.total(range(4)).sums[0]["weight"].tolist() == [6 * 3 + 9 * 4, 1 + 7 * 3 + 10 * 4, 2 + 8 * 3 + 11 * 4]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_cohort_knows_which_members_are_not_finite(bad):
    models = torch.zeros(3, 2)
    models[1, 1] = bad
    assert cohort(models, [0, 0, 0]).sound() == [True, False, True]


def test_a_cohort_s_bytes_are_those_of_its_members():
    weighed = cohort(torch.zeros(4, 3), [0, 0, 1, 1])
    assert weighed.nbytes([0, 2, 3]) == 3 * (3 * 4 + 8 + 8)
    assert Listed([weighed.total([n]) for n in range(4)]).nbytes([0, 2, 3]) == weighed.nbytes([0, 2, 3])


def test_the_mean_keeps_the_precision_of_the_server():
    server = {"weight": torch.zeros(2, dtype=torch.float32)}
    assert coverage_mean(term(0, {"weight": torch.ones(2)}, 3).sums[0], server)["weight"].dtype == torch.float32
