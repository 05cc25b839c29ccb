"""What every routing rule must keep. A new rule adds a row to ROUTERS and inherits the battery."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.routing import ChartPosterior, RoutingRule, TunedResidual, Uniform, gates
from federation.tensors import stacked

LATENT, REGIONS, SAMPLES = 4, 6, 30

ROUTERS = {
    "chart posterior": ChartPosterior(),
    "sharp chart posterior": ChartPosterior(temperature=1.0, top=1),
    "tuned residual": TunedResidual(),
    "wide tuned residual": TunedResidual(temperature=0.1, hidden=5, top=REGIONS),
    "uniform": Uniform(),
    "plain ensemble": Uniform(top=REGIONS),
}
every_router = pytest.mark.parametrize("rule", ROUTERS.values(), ids=ROUTERS.keys())


def queries(clients: int = 1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoded samples, and scores relative to the best region as an atlas gives them."""
    draw = torch.Generator().manual_seed(seed)
    scores = 5 * torch.randn(clients, SAMPLES, REGIONS, generator=draw)
    return torch.randn(clients, SAMPLES, LATENT, generator=draw), scores - scores.amax(-1, keepdim=True)


def fresh(rule: RoutingRule) -> dict[str, torch.Tensor]:
    return rule.init(LATENT, REGIONS, torch.Generator().manual_seed(0))


def moved(rule: RoutingRule, seed: int) -> dict[str, torch.Tensor]:
    """Weights as tuning may leave them."""
    draw = torch.Generator().manual_seed(seed)
    return {name: t + 0.3 * torch.randn(t.shape, generator=draw) for name, t in fresh(rule).items()}


def alone(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor[None] for name, tensor in weights.items()}


def test_every_rule_has_a_row():
    assert {type(rule) for rule in ROUTERS.values()} == set(RoutingRule.kinds().values())


@every_router
def test_gates_are_shares_that_sum_to_one(rule):
    latent, scores = queries()
    gate = gates(rule.logits(alone(moved(rule, 1)), latent, scores)[0], rule.top)
    assert bool((gate >= 0).all())
    torch.testing.assert_close(gate.sum(1), torch.ones(SAMPLES))


@every_router
def test_only_the_top_experts_are_asked(rule):
    latent, scores = queries()
    gate = gates(rule.logits(alone(moved(rule, 1)), latent, scores)[0], rule.top)
    assert set((gate > 0).sum(1).tolist()) == {rule.top}


@every_router
def test_a_router_has_weights_only_if_it_is_tuned(rule):
    assert bool(fresh(rule)) == rule.tuned


@every_router
def test_fresh_weights_are_determined_by_the_generator(rule):
    first, same = fresh(rule), fresh(rule)
    assert all(torch.equal(first[name], same[name]) for name in first)


@every_router
def test_a_cohort_of_routers_answers_as_each_alone(rule):
    latent, scores = queries(clients=3)
    weights = [moved(rule, seed) for seed in range(3)]
    together = rule.logits(stacked(weights), latent, scores)
    for member in range(3):
        single = rule.logits(alone(weights[member]), latent[member, None], scores[member, None])[0]
        torch.testing.assert_close(together[member], single, rtol=1e-5, atol=1e-5)


@every_router
def test_a_region_more_changes_nothing_for_the_others(rule):
    (latent, scores), weights = queries(), moved(rule, 1)
    more = torch.cat([scores, torch.full((1, SAMPLES, 1), -7.0)], -1)
    grown = rule.logits(alone(rule.with_region(weights, LATENT, REGIONS)), latent, more)
    torch.testing.assert_close(grown[..., :REGIONS], rule.logits(alone(weights), latent, scores))


@pytest.mark.parametrize(
    "rule", [ChartPosterior(), ChartPosterior(top=1), ChartPosterior(top=REGIONS), Uniform(top=REGIONS)]
)
def test_relabelled_regions_get_the_same_gates(rule):
    (latent, scores), order = queries(), torch.tensor([3, 0, 5, 1, 4, 2])
    gate = gates(rule.logits({}, latent, scores)[0], rule.top)
    relabelled = gates(rule.logits({}, latent, scores[..., order])[0], rule.top)
    torch.testing.assert_close(relabelled, gate[:, order])


@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0])
def test_an_untuned_residual_is_the_chart_posterior(temperature):
    rule, floor = TunedResidual(temperature=temperature), ChartPosterior(temperature=temperature)
    latent, scores = queries()
    torch.testing.assert_close(rule.logits(alone(fresh(rule)), latent, scores), floor.logits({}, latent, scores))


def test_a_tuned_residual_says_nothing_of_a_new_region():
    rule, (latent, scores) = TunedResidual(), queries()
    weights = moved(rule, 1) | {"log_temperature": torch.tensor(0.5).log()}
    more = torch.cat([scores, torch.full((1, SAMPLES, 1), -7.0)], -1)
    grown = rule.logits(alone(rule.with_region(weights, LATENT, REGIONS)), latent, more)
    torch.testing.assert_close(grown[..., REGIONS], torch.full((1, SAMPLES), -3.5))


def test_a_tuned_residual_is_no_longer_the_chart_posterior():
    rule, (latent, scores) = TunedResidual(), queries()
    logits = rule.logits(alone(moved(rule, 1)), latent, scores)
    assert not torch.allclose(logits, rule.temperature * scores, atol=0.1)


def test_at_temperature_one_the_gates_are_the_posterior_of_the_regions():
    scores = torch.tensor([[[1.0, 3.0, 4.0]]]).log()
    gate = gates(ChartPosterior(temperature=1.0).logits({}, torch.zeros(1, 1, LATENT), scores)[0], top=3)
    torch.testing.assert_close(gate, torch.tensor([[0.125, 0.375, 0.5]]))


def test_the_top_two_of_three_share_what_the_third_had():
    scores = torch.tensor([[1.0, 3.0, 4.0]]).log()
    torch.testing.assert_close(gates(scores, top=2), torch.tensor([[0.0, 3 / 7, 4 / 7]]))


def test_a_lower_temperature_spreads_the_gates():
    scores = torch.tensor([[[0.0, -2.0]]])
    cool, warm = (ChartPosterior(temperature=t).logits({}, torch.zeros(1, 1, LATENT), scores) for t in (0.25, 1.0))
    torch.testing.assert_close(gates(cool[0], 2)[0, 1], torch.tensor(-0.5).sigmoid())
    torch.testing.assert_close(gates(warm[0], 2)[0, 1], torch.tensor(-2.0).sigmoid())


def test_the_plain_ensemble_gives_every_region_the_same_say():
    latent, scores = queries()
    gate = gates(Uniform(top=REGIONS).logits({}, latent, scores)[0], REGIONS)
    torch.testing.assert_close(gate, torch.full((SAMPLES, REGIONS), 1 / REGIONS))


def test_ties_go_to_the_lower_regions():
    assert gates(torch.zeros(1, 4), top=2).tolist() == [[0.5, 0.5, 0.0, 0.0]]


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=8), st.integers(1, 9))
def test_gates_of_any_scores_ask_the_best_regions(scores, top):
    logits = torch.tensor([scores])
    gate = gates(logits, top)[0]
    torch.testing.assert_close(gate.sum(), torch.tensor(1.0))
    asked = set(sorted(range(len(scores)), key=lambda region: -scores[region])[:top])
    assert {region for region in range(len(scores)) if gate[region] > 0} <= asked
