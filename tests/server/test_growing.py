"""Experts and regions grow between rounds: the same functions, within the budget, and nobody else is touched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.learning.growth import Growth
from federation.manifold import Atlas, Chart, ChartRule, Encoder, PrincipalComponents
from federation.manifold.features import no_trunk
from federation.models import Mlp, Size
from federation.models.family import FULL
from federation.opening import open_run, open_scenario, run_config
from federation.rules import InputError
from federation.tasks import Classification
from scenarios.runs.engines import SERIAL
from server.growth import enlarged, grown, united
from server.settling import settled
from server.state import Charted, ServerState, initial
from tests.server.test_checkpoint import Everything, assert_same, federated
from tests.small import ROUNDS

TASK = Classification(input_shape=(2,), outputs=2)
LADDER = (Size(width=0.25, depth=0.5), Size(width=0.5, depth=0.5), FULL)
RULE = ChartRule(min_count=2, by_label=False)
CENTRES = [(0.0, 0.0), (0.0, 0.0), (40.0, 0.0), (0.0, 60.0), (0.0, 60.1)]
HOMES = (0, 0, 0, 1, 2)
"""The third client is far from the others of its region; the last two have one density in two regions."""


def scenario_of(**growth):
    scenario = open_scenario("digits").scenario
    return scenario.model_copy(
        update={"model": Mlp(width=8, blocks=2), "charts": RULE, "growth": Growth(sizes=LADDER, **growth)}
    )


def started(scenario) -> ServerState:
    """Three regions of five clients whose experts have their first size."""
    charts = []
    for number, centre in enumerate(CENTRES):
        draw = np.random.default_rng(number)
        rows = torch.tensor(np.array(centre) + draw.normal(size=(60 + number, 2)), dtype=torch.float32)
        charts.append(Chart.from_sums(RULE.sums(rows, None)))
    encoder = Encoder(PrincipalComponents(dimensions=2), {}, no_trunk)
    regions = [sum((charts[c] for c in range(5) if HOMES[c] == region), Chart()) for region in range(3)]
    found = Charted(encoder, tuple(charts), HOMES, Atlas.of(regions, RULE))
    return settled(initial(scenario, TASK), found, scenario, TASK)


def moved(state: ServerState, residual: float) -> ServerState:
    return replace(state, watches=tuple(replace(watch, residuals=(residual,)) for watch in state.watches))


def sums(loss: dict[int, float]) -> dict[int, dict[str, torch.Tensor]]:
    """Of a round in which each region's samples lost so much, and each client moved by 1."""
    metrics = {region: {"loss": 10 * lost, "visited": 10.0, "moved": 10.0} for region, lost in loss.items()}
    return {r: {f"metric/{name}": torch.tensor(v) for name, v in own.items()} for r, own in metrics.items()}


def answers(state: ServerState, region: int) -> torch.Tensor:
    rows = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    return state.expert(region).answers(scenario_of().model, TASK, rows)


def untouched(before: ServerState, after: ServerState, regions: dict[int, int]) -> bool:
    """Whether regions, under their new numbers, are what they were bit by bit."""
    for old, new in regions.items():
        one, other = before.experts[old].parameters, after.experts[new].parameters
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
        for name in ("mean", "diagonal", "factor", "log_weight", "label"):
            parts = [getattr(s.atlas, name)[s.atlas.region == r] for s, r in ((before, old), (after, new))]
            assert torch.equal(*parts)
        assert before.watches[old] == after.watches[new]
        assert before.sizes[old] == after.sizes[new]
    return True


def test_an_expert_begins_small_and_grows_without_a_change_of_what_it_says():
    scenario = scenario_of()
    state = moved(started(scenario), 0.01)
    assert state.sizes == (LADDER[0],) * 3
    for size in LADDER[1:]:
        before = answers(state, 1)
        after, told = enlarged(state, 1, 3, scenario, TASK)
        assert after.sizes[1] == size
        assert told == (f"region 1 grew to {100 * size.width:.0f} % of its width" + (
            f" and {100 * size.depth:.0f} % of its depth" if size.depth < 1 else ""
        ),)  # fmt: skip
        torch.testing.assert_close(answers(after, 1), before, rtol=0, atol=1e-6)
        assert untouched(state, after, {0: 0, 2: 2})
        assert after.watches[1].residuals == ()
        state = after
    assert enlarged(state, 1, 3, scenario, TASK) == (state, ())


def test_those_grow_that_hardly_move_and_lose_most_first():
    one = started(scenario_of()).parameters
    scenario = scenario_of(loss=0.3)
    state = moved(started(scenario), 0.01)
    after, told = grown(state, sums({0: 0.4, 1: 0.2, 2: 0.9}), 0, scenario, TASK)
    assert [sentence.split(" grew")[0] for sentence in told] == ["region 2", "region 0"]
    assert after.sizes == (LADDER[1], LADDER[0], LADDER[1])
    alone = enlarged(state, 2, 0, scenario, TASK)[0].parameters
    tight = scenario_of(budget=alone)
    assert one < alone
    assert grown(state, sums({0: 0.4, 1: 0.2, 2: 0.9}), 0, tight, TASK)[0].sizes == (LADDER[0], LADDER[0], LADDER[1])
    assert grown(moved(state, 0.5), sums({0: 9.0}), 0, scenario, TASK) == (moved(state, 0.5), ())


def test_a_region_whose_clients_pull_apart_is_split_and_the_others_stay_bit_by_bit():
    scenario = scenario_of(split=0.3)
    state = moved(started(scenario), 0.25)
    after, told = grown(state, sums({0: 0.4, 1: 0.4}), 0, scenario, TASK)
    assert told == ("region 0 split, 3 is new",)
    assert after.region_of_client in ((0, 0, 3, 1, 2), (3, 3, 0, 1, 2))
    assert untouched(state, after, {1: 1, 2: 2})
    torch.testing.assert_close(answers(after, 3), answers(state, 0))
    assert after.atlas.regions == len(after.experts) == len(after.watches) == len(after.neighbours) == 4
    assert after.router["head.bias"].shape == (4,)
    assert float(after.atlas.log_weight.logsumexp(0)) == pytest.approx(float(state.atlas.log_weight.logsumexp(0)))
    agreeing = moved(state, 0.35)
    assert grown(agreeing, sums({0: 0.4, 1: 0.4}), 0, scenario, TASK)[1] == ()


def test_regions_that_are_alike_become_one_and_the_others_stay_bit_by_bit():
    scenario = scenario_of(merge=True)
    state = started(scenario)
    after, told = united(state, scenario)
    assert told == ("regions 1 and 2 became 1",)
    assert after.region_of_client == (0, 0, 0, 1, 1)
    assert untouched(state, after, {0: 0})
    heavier = state.experts[2].parameters
    assert all(torch.equal(after.experts[1].parameters[name], heavier[name]) for name in heavier)
    assert united(after, scenario) == (after, ())


def test_a_region_number_moves_down_where_a_lower_one_has_been_taken_in():
    scenario = scenario_of(merge=True)
    state = started(scenario)
    turned = replace(state, region_of_client=tuple((home + 1) % 3 for home in HOMES))  # alike: 2 and 0
    charts = [sum((state.charts[c] for c in range(5) if turned.region_of_client[c] == r), Chart()) for r in range(3)]
    turned = replace(turned, atlas=Atlas.of(charts, RULE))
    after, told = united(turned, scenario)
    assert told == ("regions 0 and 2 became 0",)
    assert untouched(turned, after, {1: 1})


@settings(max_examples=10, deadline=None)
@given(
    spare=st.integers(0, 700),
    losses=st.lists(st.floats(0, 2), min_size=6, max_size=6),
    moves=st.lists(st.floats(0, 0.3), min_size=6, max_size=6),
    merges=st.booleans(),
)
def test_growth_never_passes_its_budget(spare, losses, moves, merges):
    start = started(scenario_of())
    budget = start.parameters + spare
    scenario, state = scenario_of(budget=budget, split=1.0, merge=merges), start
    for round_, residual in enumerate(moves):
        seen = sums(dict(enumerate(losses[: len(state.experts)])))
        state, _ = grown(moved(state, residual), seen, round_, scenario, TASK)
        assert state.parameters <= budget
        assert len(state.experts) == len(state.sizes) == state.atlas.regions == 1 + max(state.region_of_client)


GROWING = ROUNDS | {
    "experts.rounds": 4,
    "growth.sizes": [{"width": 0.25}, {"width": 0.5}, {}],
    "growth.residual": 0.5,
    "growth.split": 1.0,
    "growth.merge": True,
    "regions.kind": "shared_regions",
    "regions.count": 2,
    "coupling.rounds": 1,
    "aggregation.kind": "momentum",
}


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    config = run_config("digits", GROWING, 0)
    kept = Everything(tmp_path_factory.mktemp("checkpoints"), open_run(config).scenario)
    return config, federated(config, checkpoints=kept), kept


def test_a_run_that_grows_goes_on_from_any_round_to_the_same_result_bit_by_bit(growing):
    config, undisturbed, kept = growing
    for checkpoint in list(kept.written.values())[5:9:2]:
        assert_same(federated(config, resumed=checkpoint), undisturbed)


def test_what_has_grown_is_told_round_by_round(growing):
    _, (world, rounds, _), _ = growing
    told = [record.grown for record in rounds]
    assert any("grew to" in news for record in told for news in record)
    assert any("split" in news for record in told for news in record)
    assert all(not record.grown for record in rounds if record.phase != "experts")
    assert rounds[-1].parameters == world.cost_of_experts(1).total_parameters
    assert any(world.design.size_of(region).width > 0.25 for region in range(world.design.regions))
    assert world.design.prior_size == Size(width=0.25)
    world.check()


def test_growth_is_the_same_on_both_engines(growing):
    config, (world, rounds, _), _ = growing
    other, others, _ = federated(config, SERIAL)
    assert [record.grown for record in others] == [record.grown for record in rounds]
    found, wanted = other.tensors(), world.tensors()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        ({"growth.merge": True, "experts.own_classes": True}, "experts.own_classes=false"),
        ({"growth.merge": True, "pacing.kind": "buffered"}, "pacing.kind=synchronous"),
    ],
)
def test_growth_that_cannot_be_is_refused_with_what_to_do(overrides, cause):
    with pytest.raises(InputError, match=cause):
        open_scenario("digits", overrides)
