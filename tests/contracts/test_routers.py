"""What every routing rule must keep. A new rule adds a row to ROUTERS and inherits the battery."""

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.manifold import Atlas, Chart, ChartRule
from federation.routing import (
    ChartPosterior,
    NearestRegion,
    PrototypeRetrieval,
    RoutingRule,
    TunedResidual,
    Uniform,
    Windows,
)
from federation.tensors import stacked

LATENT, REGIONS, SAMPLES = 4, 6, 30

ROUTERS = {
    "chart posterior": ChartPosterior(),
    "sharp chart posterior": ChartPosterior(temperature=1.0, top=1),
    "tuned residual": TunedResidual(),
    "wide tuned residual": TunedResidual(temperature=0.1, hidden=5, top=REGIONS),
    "prototype retrieval": PrototypeRetrieval(),
    "nearest region": NearestRegion(),
    "uniform": Uniform(),
    "plain ensemble": Uniform(top=REGIONS),
}
ROUTERS |= {kind: rule() for kind, rule in RoutingRule.kinds().items() if rule not in map(type, ROUTERS.values())}
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


def gates(logits: torch.Tensor, top: int) -> torch.Tensor:
    """Those of a softmax over the best regions."""
    return ChartPosterior(top=top).spread(logits)


def alone(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor[None] for name, tensor in weights.items()}


@every_router
def test_gates_are_shares_that_sum_to_one(rule):
    latent, scores = queries()
    gate = rule.spread(rule.logits(alone(moved(rule, 1)), latent, scores)[0])
    assert bool((gate >= 0).all())
    torch.testing.assert_close(gate.sum(1), torch.ones(SAMPLES))


@every_router
def test_only_the_top_experts_are_asked(rule):
    latent, scores = queries()
    gate = rule.spread(rule.logits(alone(moved(rule, 1)), latent, scores)[0])
    asked = set((gate > 0).sum(1).tolist())
    assert max(asked) <= rule.top if isinstance(rule, Windows) else asked == {rule.top}


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
    "rule",
    [ChartPosterior(), ChartPosterior(top=1), ChartPosterior(top=REGIONS), NearestRegion(), Uniform(top=REGIONS)],
)
def test_relabelled_regions_get_the_same_gates(rule):
    (latent, scores), order = queries(), torch.tensor([3, 0, 5, 1, 4, 2])
    gate = rule.spread(rule.logits({}, latent, scores)[0])
    relabelled = rule.spread(rule.logits({}, latent, scores[..., order])[0])
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


# --- what a rule asks the charts -------------------------------------------------------------------------------------

EXACT = ChartRule(rank=LATENT, shrinkage=1e-9)


def charts_at(centres: torch.Tensor, rule: ChartRule = EXACT, count: int = 40, labels: int = 1) -> list[Chart]:
    """A chart around each centre, of samples that spread differently in each."""
    draw = torch.Generator().manual_seed(7)
    charts = []
    for centre in centres:
        shape = 0.4 * torch.randn(len(centre), len(centre), generator=draw)
        rows = centre + torch.randn(count, len(centre), generator=draw) @ shape
        charts.append(Chart.from_sums(rule.sums(rows, torch.arange(count) % labels)))
    return charts


def scattered(regions: int = REGIONS, seed: int = 3) -> torch.Tensor:
    return 2 * torch.randn(regions, LATENT, generator=torch.Generator().manual_seed(seed))


def asked(rule: RoutingRule, atlas: Atlas, latent: torch.Tensor) -> torch.Tensor:
    """The gates of all regions."""
    return rule.gates({}, latent, rule.survey(atlas, latent)).spread(atlas.regions)


POINTS = 2 * torch.randn(50, LATENT, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    "rule", [ChartPosterior(), NearestRegion(), PrototypeRetrieval(), PrototypeRetrieval(candidates=3), Uniform(top=6)]
)
def test_renumbered_charts_get_the_same_gates(rule):
    charts, order = charts_at(scattered()), [3, 0, 5, 1, 4, 2]
    gate = asked(rule, Atlas.of(charts, EXACT), POINTS)
    renumbered = asked(rule, Atlas.of([charts[n] for n in order], EXACT), POINTS)
    torch.testing.assert_close(renumbered, gate[:, order], rtol=1e-4, atol=1e-5)


def test_the_chart_posterior_sees_no_affine_change_of_the_encoder():
    """Promised where charts are fitted anew, with all their directions and without shrinkage."""
    draw = torch.Generator().manual_seed(2)
    turn, shift = torch.eye(LATENT) + 0.4 * torch.randn(LATENT, LATENT, generator=draw), torch.randn(LATENT)
    rows = [centre + 0.5 * torch.randn(80, LATENT, generator=draw) for centre in scattered()]
    rule = ChartPosterior(top=REGIONS)

    def posterior(change):
        atlas = Atlas.of([Chart.from_sums(EXACT.sums(change(own), None)) for own in rows], EXACT)
        return asked(rule, atlas, change(POINTS))

    torch.testing.assert_close(posterior(lambda z: z @ turn + shift), posterior(lambda z: z), atol=2e-3, rtol=0)


def test_between_two_known_gaussians_the_gate_is_the_posterior_of_bayes():
    def chart(mean, count):
        sums = {"count/0": torch.tensor(count), "sum/0": torch.tensor([count * mean])}
        return Chart.from_sums(sums | {"second/0": torch.tensor([[count * (1 + mean**2)]])})

    atlas, rule = (
        Atlas.of([chart(0.0, 30.0), chart(2.0, 10.0)], ChartRule(shrinkage=1e-9)),
        ChartPosterior(temperature=1),
    )
    gate = asked(rule, atlas, torch.tensor([[1.0], [0.0]]))
    assert gate[0].tolist() == pytest.approx([0.75, 0.25], abs=1e-6)
    assert float(gate[1, 0]) == pytest.approx(3 / (3 + exp(-2)), abs=1e-6)


def test_the_nearest_mean_decides_whatever_counts_and_spreads_say():
    [narrow], [broad] = charts_at(torch.zeros(1, LATENT), count=6), charts_at(torch.ones(1, LATENT), count=4000)
    atlas, rule = Atlas.of([broad, Chart(), narrow], EXACT), NearestRegion()
    gate = asked(rule, atlas, torch.cat([atlas.mean[1:].float() + 0.1, atlas.mean[:1].float()]))
    assert gate.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


def test_of_two_means_at_the_same_distance_the_lower_region_answers():
    charts = charts_at(torch.zeros(1, LATENT)) * 2
    gate = asked(NearestRegion(), Atlas.of(charts, EXACT), POINTS)
    assert gate.tolist() == [[1.0, 0.0]] * len(POINTS)


def test_a_nearest_region_asks_one_expert():
    with pytest.raises(ValueError, match="less than or equal to 1"):
        NearestRegion(top=2)


# --- shortlists ------------------------------------------------------------------------------------------------------

MANY = 400


@pytest.fixture(scope="module", params=[1, 3], ids=["one component a region", "three components a region"])
def many(request) -> tuple[Atlas, torch.Tensor]:
    """An atlas of 400 regions, and queries from all over it."""
    centres = 5 * torch.randn(MANY, LATENT, generator=torch.Generator().manual_seed(1))
    rule, draw = ChartRule(rank=2), torch.Generator().manual_seed(4)
    atlas = Atlas.of(charts_at(centres, rule, count=30, labels=request.param), rule)
    return atlas, centres[torch.randint(MANY, (300,), generator=draw)] + 0.3 * torch.randn(300, LATENT, generator=draw)


def test_a_shortlist_with_room_for_all_is_not_needed(many):
    atlas, queries = many
    survey = PrototypeRetrieval(candidates=3 * MANY).survey(atlas, queries)
    assert survey.regions is None
    assert torch.equal(survey.scores, atlas.scores(queries))


def test_only_the_components_on_a_shortlist_are_asked(many):
    atlas, queries = many
    survey = PrototypeRetrieval(candidates=40).survey(atlas, queries)
    assert survey.densities.shape == survey.scores.shape == survey.regions.shape == (len(queries), 40)


def test_retrieved_gates_are_those_of_all_regions(many):
    atlas, queries = many
    exact, rule = ChartPosterior(top=4), PrototypeRetrieval(top=4, candidates=100)
    wanted, found = (asked(r, atlas, queries) for r in (exact, rule))
    assert float(torch.minimum(wanted, found).sum(1).mean()) > 0.99
    assert float((wanted.argmax(1) == found.argmax(1)).float().mean()) > 0.99


def test_scores_on_a_shortlist_are_exact_up_to_rounding():
    atlas = Atlas.of(charts_at(scattered(MANY)), ChartRule())
    survey = PrototypeRetrieval(candidates=40).survey(atlas, POINTS)
    torch.testing.assert_close(survey.scores, atlas.scores(POINTS).gather(1, survey.regions), rtol=1e-5, atol=1e-2)


def test_novelty_and_labels_need_no_more_than_the_shortlist(many):
    atlas, queries = many
    survey, whole = PrototypeRetrieval(candidates=100).survey(atlas, queries), atlas.survey(queries)
    torch.testing.assert_close(survey.novelty(), whole.novelty(), atol=0.02, rtol=0)
    labels = int(atlas.label.max()) + 1
    shares = (survey.label_scores(labels).softmax(1), whole.label_scores(labels).softmax(1))
    assert float((shares[0] - shares[1]).abs().mean()) < 0.01


def test_a_query_is_routed_alone_as_in_a_batch(many):
    atlas, queries = many
    together = PrototypeRetrieval(candidates=40).survey(atlas, queries)
    alone = PrototypeRetrieval(candidates=40).survey(atlas, queries[7:8])
    assert torch.equal(alone.regions[0], together.regions[7])
    torch.testing.assert_close(alone.scores[0], together.scores[7], atol=1e-4, rtol=0)


def test_no_queries_are_routed_nowhere(many):
    atlas, queries = many
    assert PrototypeRetrieval(candidates=40).survey(atlas, queries[:0]).scores.shape == (0, 40)
