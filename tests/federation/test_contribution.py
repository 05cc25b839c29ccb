"""Sums that commute, and the coverage-weighted mean."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.contribution import EVERYWHERE, Contribution, coverage_mean, weighted

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
    terms = [
        Contribution((number,), {0: weighted({"weight": values[:size]}, samples, server)})
        for number, (values, size, samples) in enumerate(clients)
    ]
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
    total = Contribution((0,), {0: weighted(small, 30, server)}) + Contribution((1,), {0: weighted(large, 10, server)})
    mean = coverage_mean(total.sums[0], server)
    assert mean["weight"].tolist() == [[2.0, 6.0], [7.0, 8.0]]  # (30 * 1 + 10 * 5) / 40 = 2
    assert mean["bias"].tolist() == [2.0, 9.0]


def test_a_coordinate_that_nobody_holds_keeps_its_server_value():
    server = {"weight": torch.tensor([10.0, 20.0, 30.0])}
    mean = coverage_mean(weighted({"weight": torch.tensor([4.0])}, 5, server), server)
    assert mean["weight"].tolist() == [4.0, 20.0, 30.0]


def test_a_tensor_that_nobody_holds_keeps_its_server_value():
    server = {"stem": torch.tensor([1.0]), "block": torch.tensor([2.0])}
    shallow = weighted({"stem": torch.tensor([5.0])}, 3, server)
    assert coverage_mean(shallow, server)["block"].tolist() == [2.0]
    assert coverage_mean({}, server) == server


def test_a_client_that_holds_all_of_a_tensor_sends_its_weight_as_one_number():
    server = {"weight": torch.zeros(2, 3)}
    assert weighted({"weight": torch.ones(2, 3)}, 7, server)["weight/weight"].shape == ()
    assert weighted({"weight": torch.ones(2, 2)}, 7, server)["weight/weight"].tolist() == [[7, 7, 0], [7, 7, 0]]
    assert weighted({"weight": torch.full((1,), 2.0)}, 7)["weight"].tolist() == [14.0]


def test_the_mean_keeps_the_precision_of_the_server():
    server = {"weight": torch.zeros(2, dtype=torch.float32)}
    assert coverage_mean(weighted({"weight": torch.ones(2)}, 3, server), server)["weight"].dtype == torch.float32
