"""No deployed client counts more than so many times the median one, in any sum, whatever it tells and sends."""

from statistics import median

import pytest
import torch
from flwr.app import ArrayRecord
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hostile import Lying
from clients.app import app
from federation.engine import SerialGrid
from federation.opening import open_run, run_config
from federation.phases import named
from federation.wire.contribution import EVERYWHERE, Contribution, Weighed, coverage_mean
from server.capping import capped
from server.checkpoint import Checkpoints
from server.phases import side
from server.phases.contract import Now, Step
from server.state import initial
from server.strategy import ManifoldStrategy
from tests.small import ROUNDS

OPENED = open_run(run_config("digits", ROUNDS, 0))
TASK = OPENED.federation().task
TOLD = st.lists(st.integers(1, 10**9).map(float), min_size=3, max_size=9)


def now(phase, cap):
    scenario = OPENED.scenario.model_copy(update={"weight_cap": float(cap)})
    return Now(Step(named(phase)(), 0, 1), initial(scenario, TASK), scenario, TASK, 9)


def models(told, factor=lambda client: 1.0):
    """A reply of each client: the prior, so many times, with its samples as the weight."""
    start = initial(OPENED.scenario, TASK).prior.parameters
    return [
        Weighed(
            [n], [EVERYWHERE], {k: factor(n) * t[None] for k, t in start.items()}, torch.tensor([told[n]]), {}
        ).total([0])
        for n in range(len(told))
    ]


def weight(reply):
    return float(reply.everywhere()["weight/head.bias"])


@given(TOLD, st.floats(1, 20))
def test_a_model_weighs_its_samples_up_to_the_cap(told, cap):
    most = cap * median(told)
    found = capped(models(told), now("prior", cap), dict(enumerate(told)))
    assert [weight(reply) for reply in found] == pytest.approx([min(samples, most) for samples in told], rel=1e-6)


@given(TOLD, st.floats(1, 20))
def test_those_within_the_cap_stay_bit_by_bit(told, cap):
    replies = models(told)
    for reply, found in zip(replies, capped(replies, now("prior", cap), dict(enumerate(told))), strict=True):
        assert (found is reply) == (weight(reply) <= cap * median(told) * (1 + 1e-6))


@given(st.floats(1, 1e6), st.integers(0, 4))
def test_a_model_that_is_larger_than_all_others_moves_the_mean_as_if_its_samples_were_fewer(size, liar):
    told, cap = [50.0] * 5, 3.0
    replies = capped(models(told, lambda n: -size if n == liar else 1.0), now("prior", cap), dict(enumerate(told)))
    total, start = Contribution.total(replies).everywhere(), initial(OPENED.scenario, TASK).prior.parameters
    bound = (4 + cap) / 4 * max(float(t.abs().max()) for t in start.values())
    for tensor in coverage_mean(total, start).values():
        assert float(tensor.abs().max()) <= bound * (1 + 1e-6)
    own = replies[liar].everywhere()
    own_model = own["stem.weight"].double() / own["weight/stem.weight"]
    torch.testing.assert_close(own_model, -size * start["stem.weight"].double(), rtol=1e-5, atol=1e-6)


@given(TOLD)
def test_the_counts_of_a_census_are_capped_with_one_factor(told):
    shares = torch.tensor([0.25, 0.75] + [0.0] * 8, dtype=torch.float64)
    replies = [
        Contribution((n,), {EVERYWHERE: {"samples": torch.tensor(samples), "labels": samples * shares}})
        for n, samples in enumerate(told)
    ]
    state = side(named("census")()).advance(
        now("census", 3.0), Contribution.total(capped(replies, now("census", 3.0), dict(enumerate(told))))
    )
    assert state.samples == pytest.approx(sum(min(samples, 3 * median(told)) for samples in told), rel=1e-6)
    torch.testing.assert_close(state.labels["labels"], state.samples * shares, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("phase", ["encoder", "least_squares"])
def test_moments_are_capped_by_their_size_since_no_count_bounds_them(phase):
    asked = now(phase, 3.0)
    if phase == "least_squares":
        head = OPENED.scenario.head.network.init(TASK, 16, torch.Generator())
        asked = Now(asked.step, asked.state.__class__(asked.state.prior, head=head), asked.scenario, TASK, 9)
    shapes = side(asked.step.phase).answer(asked, EVERYWHERE, 1.0)
    ones = {name: torch.ones(shape if isinstance(shape, tuple) else shape.shape) for name, shape in shapes.items()}
    replies = [Contribution((n,), {EVERYWHERE: {k: t * f for k, t in ones.items()}}) for n, f in enumerate((1, 1, 1e9))]
    *_, found = capped(replies, asked, dict.fromkeys(range(3), 50.0))
    for tensor in found.everywhere().values():
        torch.testing.assert_close(tensor, torch.full_like(tensor, 3.0))


def test_votes_are_capped_by_how_far_they_lie_apart():
    asked = now("composition", 3.0)
    tried = side(asked.step.phase).answer(asked, EVERYWHERE, 1.0)["loss"].shape
    apart = [torch.linspace(10.0, 10.0 + spread, tried[0]) for spread in (1.0, 1.0, 21.0)]
    replies = [
        Contribution((n,), {EVERYWHERE: {"loss": loss, "correct": loss * 0, "count": torch.tensor(50.0)}})
        for n, loss in enumerate(apart)
    ]
    *others, found = capped(replies, asked, dict.fromkeys(range(3), 50.0))
    assert others == replies[:2]
    losses = found.everywhere()["loss"]
    assert float(losses.max() - losses.min()) == pytest.approx(3.0)
    assert float(found.everywhere()["count"]) == pytest.approx(50 * 3 / 21)


def test_a_client_that_no_census_knows_counts_what_it_speaks_of_up_to_the_cap():
    *_, found = capped(models([50.0, 50.0, 50.0, 1e9]), now("prior", 3.0), dict.fromkeys(range(3), 50.0))
    assert weight(found) == pytest.approx(150)


def test_two_clients_alone_are_never_capped():
    replies = models([1.0, 1e9])
    assert capped(replies, now("prior", 3.0), {0: 1.0, 1: 1e9}) == replies


SHORT = ROUNDS | {"phases": [named("census")().dump(), named("averaging")(rounds=1).dump()]}


def ended(cap, deployed, settings=SHORT, **more):
    """The model that a run with each client's own answers ends with."""
    config = run_config("digits", settings | {"weight_cap": cap}, 0)
    grid = SerialGrid(app, 5, config)
    strategy = ManifoldStrategy(open_run(config).scenario, TASK, 5, **more)
    strategy.start(Lying(grid, {}, 0) if deployed else grid, ArrayRecord())
    return {**strategy.state.prior.parameters, **strategy.state.router, **strategy.state.head}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(other[name], tensor) for name, tensor in one.items())


def test_where_nobody_is_beyond_the_cap_a_deployment_is_the_simulation_bit_by_bit():
    assert same(ended(3, True, ROUNDS), ended(3, False, ROUNDS))


def test_a_simulation_whose_clients_are_all_its_own_caps_nobody():
    simulated = ended(1, deployed=False)
    assert same(simulated, ended(3, deployed=False))
    assert not same(simulated, ended(1, deployed=True))


def test_who_is_capped_at_the_census_is_named_in_the_log(caplog):
    ended(1, deployed=True)
    said = "census round 1: client 1 tells of 320 samples, and counts as 246, by weight_cap=1"
    assert said in [record.message for record in caplog.records]


def test_what_the_census_told_is_in_the_checkpoint(tmp_path):
    scenario = open_run(run_config("digits", SHORT | {"weight_cap": 3}, 0)).scenario
    kept = Checkpoints(tmp_path, scenario)
    ended(3, deployed=True, checkpoints=kept)
    told = {n: float(len(own.train)) for n, own in enumerate(OPENED.federation().clients)}
    again = ManifoldStrategy(scenario, TASK, 5, resumed=kept.read())
    assert kept.read().samples == again._roster.samples == told
