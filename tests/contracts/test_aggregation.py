"""What every aggregation rule must keep. A new rule adds a row to RULES and inherits the battery."""

from itertools import permutations

import pytest
import torch

from federation.tensors import Parameters
from federation.wire.contribution import AggregationRule, Contribution
from server.aggregation import Mean, Momentum
from tests.small import term

RULES = {
    "mean": Mean(),
    "momentum": Momentum(),
    "momentum without memory": Momentum(beta=0.0, rate=0.5),
    "slow momentum": Momentum(beta=0.9, rate=0.1),
}
RULES |= {kind: rule() for kind, rule in AggregationRule.kinds().items() if rule not in map(type, RULES.values())}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def model(seed: int, width: int = 4) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {"weight": torch.randn(width, 3, generator=draw), "bias": torch.randn(width, generator=draw)}


def summed(models: list[Parameters], samples: list[float]) -> Parameters:
    """What the server gets: the clients' weighted terms, added up."""
    terms = [term(client, *pair) for client, pair in enumerate(zip(models, samples, strict=True))]
    return Contribution.total(terms).sums[0]


def copied(tensors: Parameters) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def assert_equal(actual: Parameters, expected: Parameters, tolerance: float = 0.0) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, rtol=tolerance, atol=tolerance)


@every_rule
def test_clients_that_change_nothing_change_nothing(rule):
    server = model(0)
    sums = summed([server, server, server], [1, 10, 100])
    after, state = rule.apply(rule.init(server), server, sums)
    assert_equal(after, server, 1e-6)
    again, _ = rule.apply(state, after, summed([after, after], [3, 4]))
    assert_equal(again, server, 1e-5)


@every_rule
def test_the_order_of_clients_does_not_matter(rule):
    server, clients = model(0), [(model(1), 5.0), (model(2, width=2), 7.0), (model(3), 11.0)]
    results = []
    for order in permutations(clients):
        models, samples = zip(*order, strict=True)
        results.append(rule.apply(rule.init(server), server, summed(list(models), list(samples))))
    for after, state in results[1:]:
        assert_equal(after, results[0][0], 1e-6)
        assert_equal(state, results[0][1], 1e-6)


@every_rule
def test_a_rule_mutates_none_of_its_arguments(rule):
    server = model(0)
    sums = summed([model(1), model(2, width=2)], [5, 7])
    _, state = rule.apply(rule.init(server), server, sums)
    before = copied(state), copied(server), copied(sums)
    rule.apply(state, server, sums)
    for mutated, original in zip((state, server, sums), before, strict=True):
        assert_equal(mutated, original)


@every_rule
def test_the_same_arguments_give_the_same_result(rule):
    server = model(0)
    sums = summed([model(1), model(2)], [5, 7])
    (first, one), (second, two) = (rule.apply(rule.init(server), server, sums) for _ in range(2))
    assert_equal(first, second)
    assert_equal(one, two)


@every_rule
def test_state_and_model_keep_their_shapes_and_kinds(rule):
    server = model(0)
    state = rule.init(server)
    after, next_state = rule.apply(state, server, summed([model(1), model(2, width=1)], [5, 7]))
    for new, old in ((after, server), (next_state, state)):
        assert {n: (t.shape, t.dtype) for n, t in new.items()} == {n: (t.shape, t.dtype) for n, t in old.items()}


@every_rule
def test_a_coordinate_that_nobody_holds_stays_where_it_is(rule):
    server = model(0)
    after, _ = rule.apply(rule.init(server), server, summed([model(1, width=2), model(2, width=1)], [5, 7]))
    assert torch.equal(after["weight"][2:], server["weight"][2:])
    assert torch.equal(after["bias"][2:], server["bias"][2:])
    assert not torch.equal(after["bias"][:2], server["bias"][:2])


@every_rule
def test_clients_move_the_server_towards_their_mean(rule):
    server = {"weight": torch.zeros(2)}
    sums = summed([{"weight": torch.tensor([1.0, -1.0])}, {"weight": torch.tensor([3.0, -3.0])}], [1, 1])
    after, _ = rule.apply(rule.init(server), server, sums)
    assert after["weight"][0] > 0 > after["weight"][1]


def test_the_mean_weighs_clients_by_their_samples():
    server = {"weight": torch.tensor([9.0, 9.0])}
    sums = summed([{"weight": torch.tensor([1.0, 0.0])}, {"weight": torch.tensor([5.0, 4.0])}], [1, 3])
    after, state = Mean().apply({}, server, sums)
    assert after["weight"].tolist() == [4.0, 3.0]
    assert state == {}


def test_momentum_goes_on_after_the_clients_have_stopped():
    rule, server = Momentum(beta=0.5, rate=2.0), {"weight": torch.tensor([0.0])}
    after, state = rule.apply(rule.init(server), server, summed([{"weight": torch.tensor([1.0])}], [4]))
    assert (after["weight"].tolist(), state["weight"].tolist()) == ([2.0], [1.0])
    after, state = rule.apply(state, after, summed([after], [4]))
    assert (after["weight"].tolist(), state["weight"].tolist()) == ([3.0], [0.5])


def test_momentum_without_memory_at_rate_one_is_the_mean():
    server = model(0)
    sums = summed([model(1), model(2)], [5, 7])
    mean, _ = Mean().apply({}, server, sums)
    rule = Momentum(beta=0.0, rate=1.0)
    assert_equal(rule.apply(rule.init(server), server, sums)[0], mean, 1e-6)
