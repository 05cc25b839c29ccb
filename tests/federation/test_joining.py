"""Two parts that were trained apart, as one world model."""

from dataclasses import replace
from math import log

import pytest
import torch

from federation.learning.experts import Expert
from federation.learning.least_squares import moments, refitted
from federation.manifold import Atlas, ChartRule, Flat
from federation.models.mlp import mean_of, side_by_side
from federation.routing import ChartPosterior, TunedResidual
from federation.rules import InputError
from federation.tensors import Parameters, single
from federation.world.confidence import Calibration
from federation.world.context import Context
from federation.world.design import NOTHING_NOVEL
from federation.world.joining import joined
from federation.world_model import WorldModel
from tests.federation.test_world_model import LATENT, QUERIES, chart_at, world

BOTH = {"charts": 1.0, "mixture": 1.0, "head": 1.0, "prior": 0.0}


def part(seed: int, regions: int = 2, **found: object) -> WorldModel:
    """A part with its own charts, experts, router and head; the encoder and the prior are the same for all."""
    draw, model = torch.Generator().manual_seed(seed), world(composition=BOTH)
    design = model.design.model_copy(
        update={"regions": regions, "region_of_client": tuple(range(regions)), "labels": (0.2, 0.3, 0.5), **found}
    )
    charts = [chart_at(2 * torch.randn(LATENT, generator=draw)) for _ in range(regions)]
    router = design.router.init(LATENT, regions, draw)
    if router:
        router["head.weight"] = 0.1 * torch.randn(regions, design.router.hidden, generator=draw)
    return replace(
        model,
        design=design,
        atlas=Atlas.of(charts, ChartRule(rank=1)),
        experts={r: Expert(single(design.family.init(design.task, draw))) for r in range(regions)},
        router=router,
        head={name: t + 0.3 * torch.randn(t.shape, generator=draw) for name, t in model.head.items()},
    )


def weights_of(model: WorldModel) -> float:
    return float(model.atlas.log_weight.exp().sum())


# --- what stays ------------------------------------------------------------------------------------------------------


def test_all_regions_stay_with_their_charts_and_experts():
    one, other = part(1), part(2, regions=3)
    whole = joined(one, other)
    latent = one.encoder(QUERIES)
    scores = torch.cat([one.atlas.scores(latent), other.atlas.scores(latent)], 1)
    torch.testing.assert_close(whole.atlas.scores(latent), scores)
    for region in range(5):
        alone = one.expert(region, QUERIES) if region < 2 else other.expert(region - 2, QUERIES)
        assert torch.equal(whole.expert(region, QUERIES), alone)


def test_clients_of_the_second_part_are_numbered_after_those_of_the_first():
    one = part(1, regions=2, region_of_client=(0, 1, 1))
    assert joined(one, part(2, regions=2, region_of_client=(1, 0))).design.region_of_client == (0, 1, 1, 3, 2)


def test_untuned_routers_leave_it_to_the_charts_which_part_answers():
    rule = ChartPosterior(temperature=1.0, top=4)
    one, other = part(1, router=rule), part(2, router=rule)
    latent = one.encoder(QUERIES)
    posterior = torch.cat([one.atlas.scores(latent), other.atlas.scores(latent)], 1).softmax(1).float()
    torch.testing.assert_close(joined(one, other).route(QUERIES), posterior, atol=1e-5, rtol=0)


def test_the_order_of_the_parts_is_that_of_the_regions_and_nothing_else():
    one, other = part(1), part(2)
    forth, back = joined(one, other), joined(other, one)
    torch.testing.assert_close(back.route(QUERIES)[:, [2, 3, 0, 1]], forth.route(QUERIES), atol=1e-5, rtol=0)
    torch.testing.assert_close(back.predict(QUERIES), forth.predict(QUERIES), atol=1e-5, rtol=0)


def test_a_joined_world_can_be_kept_and_joined_again(tmp_path):
    whole = joined(joined(part(1), part(2)), part(3))
    whole.save(tmp_path)
    torch.testing.assert_close(WorldModel.load(tmp_path).predict(QUERIES), whole.predict(QUERIES), atol=1e-4, rtol=0)
    assert whole.route(QUERIES).shape == (40, 6)


# --- what becomes one ------------------------------------------------------------------------------------------------


def test_residuals_stand_side_by_side():
    one, other = part(1), part(2)
    latent, rule = one.encoder(QUERIES), joined(one, other).design.router
    assert isinstance(rule, TunedResidual)
    apart = [m.design.router.network.apply(single(m.router), latent[None]) for m in (one, other)]
    together = rule.network.apply(single(joined(one, other).router), latent[None])
    torch.testing.assert_close(together, torch.cat(apart, 2))


def test_tuning_leaves_the_mean_of_a_residual_at_zero():
    """So that two of them need no common zero: the losses of the gate do not see what all regions have in common."""
    rule, draw = TunedResidual(hidden=4), torch.Generator().manual_seed(0)
    weights = {name: t.requires_grad_() for name, t in rule.init(LATENT, 3, draw).items()}
    latent, scores = torch.randn(1, 9, LATENT, generator=draw), torch.randn(1, 9, 3, generator=draw)
    rule.logits(single(weights), latent, scores).log_softmax(-1)[..., 0].sum().backward()
    torch.testing.assert_close(weights["head.weight"].grad.sum(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(weights["head.bias"].grad.sum(), torch.tensor(0.0), atol=1e-5, rtol=0)


def test_the_head_is_the_mean_of_both_by_their_samples():
    one, other = part(1, regions=1), part(2, regions=3)
    latent, whole = one.encoder(QUERIES)[None], joined(one, other)
    mine, theirs = (m.design.head.apply(single(m.head), latent) for m in (one, other))
    wanted = 0.25 * mine + 0.75 * theirs
    torch.testing.assert_close(whole.design.head.apply(single(whole.head), latent), wanted, atol=1e-5, rtol=1e-4)


def test_networks_side_by_side_and_their_mean_by_hand():
    one = {"stem.weight": torch.tensor([[1.0]]), "stem.bias": torch.tensor([0.0])}
    one |= {"head.weight": torch.tensor([[2.0]]), "head.bias": torch.tensor([1.0])}
    other = {name: 3 * tensor for name, tensor in one.items()}
    assert side_by_side(one, other)["head.weight"].tolist() == [[2.0, 0.0], [0.0, 6.0]]
    assert mean_of(one, other, 0.25)["head.weight"].tolist() == [[0.5, 4.5]]
    assert mean_of(one, other, 0.25)["head.bias"].tolist() == [2.5]


def test_what_both_have_decided_is_weighed_by_samples():
    found = {"calibration": Calibration(doubt=0.04), "composition": {"head": 1.0}, "labels": (1.0, 0.0, 0.0)}
    others = {"calibration": Calibration(temperature=16.0), "composition": {"charts": 0.8}, "labels": (0.0, 0.0, 1.0)}
    design = joined(part(1, regions=1, **found), part(2, regions=3, **others)).design
    assert design.calibration.temperature == pytest.approx(8)
    assert design.calibration.doubt == pytest.approx(0.01)
    assert design.composition == pytest.approx({"head": 0.25, "charts": 0.6})
    assert design.labels == pytest.approx((0.25, 0.0, 0.75))


def test_what_is_as_novel_as_both_thresholds_say_stays_novel():
    one, other = part(1, novelty_threshold=5.0), part(2, novelty_threshold=4.0)
    assert joined(one, other).design.novelty_threshold == pytest.approx(5 + log(2))
    assert joined(one, part(2)).design.novelty_threshold == NOTHING_NOVEL


@pytest.mark.parametrize(
    ("mine", "theirs", "both"),
    [
        (Context(router=True, prior=1.0), Context(prior=4.0), Context(prior=4.0)),
        (Context(router=True), Context(prior=4.0), Context()),
        (Context(), Context(router=True), Context()),
    ],
)
def test_context_is_used_as_both_use_it(mine, theirs, both):
    assert joined(part(1, context=mine), part(2, context=theirs)).design.context == both


def summed(seed: int, targets: torch.Tensor) -> tuple[WorldModel, Parameters]:
    """A part whose head is made of sums, and these: over samples of its own, hidden units of both parts alike."""
    model = part(seed, ridge=1e-3)
    head, latent = world().head, torch.randn(len(targets), LATENT, generator=torch.Generator().manual_seed(seed))
    hidden = model.design.head.units(single(head), latent[None])
    sums = moments(hidden[0], targets, model.design.task)
    return replace(model, head=refitted(head, sums, 1e-3, model.design.task), head_sums=sums), sums


def test_heads_that_are_made_of_sums_become_the_one_of_all_samples_and_no_wider(tmp_path):
    (one, mine), (other, theirs) = summed(1, torch.tensor([0, 0, 1, 1, 0])), summed(2, torch.tensor([2, 2, 1]))
    whole, both = joined(one, other), {name: mine[name] + theirs[name] for name in mine}
    assert whole.design.head == one.design.head
    for name, tensor in refitted(one.head, both, 1e-3, one.design.task).items():
        torch.testing.assert_close(whole.head[name], tensor)
    whole.save(tmp_path)
    again = joined(WorldModel.load(tmp_path), other)
    torch.testing.assert_close(again.head_sums["targets"], mine["targets"] + 2 * theirs["targets"])


def test_a_head_that_nobody_has_made_yet_adds_nothing_to_the_other_s_sums():
    one, _ = summed(1, torch.tensor([0, 1, 2, 1]))
    fresh = replace(part(2, ridge=1e-3), head=world().head | {"head.weight": torch.zeros(3, 7)})
    for whole in (joined(one, fresh), joined(fresh, one)):
        torch.testing.assert_close(whole.head["head.weight"], one.head["head.weight"])


def test_heads_that_were_trained_on_from_their_sums_have_none_any_more_and_stand_side_by_side():
    one, _ = summed(1, torch.tensor([0, 1, 2, 1]))
    whole = joined(one, replace(part(2, ridge=1e-3), head_sums={}))
    assert whole.design.head.hidden == 14
    assert whole.head_sums == {}


def test_values_have_no_head_to_join():
    one, other = (replace(part(n), head={}) for n in (1, 2))
    assert joined(one, other).head == {}


# --- what is refused -------------------------------------------------------------------------------------------------


def other_encoder(model: WorldModel) -> WorldModel:
    weights = {name: 1.01 * tensor for name, tensor in model.encoder.weights.items()}
    return replace(model, encoder=replace(model.encoder, weights=weights))


def other_prior(model: WorldModel) -> WorldModel:
    return replace(model, prior={name: tensor + 1 for name, tensor in model.prior.items()})


def other_temperature(model: WorldModel) -> WorldModel:
    return replace(model, design=model.design.model_copy(update={"chart_temperature": 0.1}))


def other_features(model: WorldModel) -> WorldModel:
    head = model.design.head.model_copy(update={"features": Flat()})
    return replace(model, design=model.design.model_copy(update={"head": head}))


def other_router(model: WorldModel) -> WorldModel:
    return replace(model, design=model.design.model_copy(update={"router": ChartPosterior()}), router={})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (other_encoder, "different encoder's weights cannot be joined; train both from one start"),
        (other_prior, "different prior's weights cannot be joined; train both from one start"),
        (other_temperature, "different chart_temperature cannot be joined"),
        (other_features, "different features of the head cannot be joined"),
        (other_router, "cannot be joined; train both by the same rule"),
    ],
)
def test_parts_that_have_not_begun_together_are_refused_in_one_line(change, line):
    with pytest.raises(InputError, match=line) as refused:
        joined(part(1), change(part(2)))
    assert "\n" not in str(refused.value)
