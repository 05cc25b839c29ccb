"""Regions from charts alone: how many, who belongs to which, when to split and to merge."""

from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal
from torch.distributions import kl_divergence as reference_kl

from federation.manifold import Atlas, Chart, ChartRule, PrivateRegions, SharedRegions
from federation.manifold.atlas import mutual
from federation.manifold.chart import Moments
from federation.manifold.gaussians import (
    RIDGE,
    Gaussians,
    expected_log_density,
    gaussian_price,
    kl_divergence,
    merge_cost,
    symmetric_kl,
)
from federation.manifold.growth import alike, halves, merge, split
from federation.manifold.regions import memberships, region_charts

WHOLE = ChartRule(by_label=False)


def rows_of(seed: int, centre: tuple[float, ...], count: int = 200) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    return torch.tensor(np.array(centre) + draw.normal(size=(count, len(centre))), dtype=torch.float32)


def chart_of(rows: torch.Tensor) -> Chart:
    return Chart.from_sums(WHOLE.sums(rows, None))


def separated(centres: list[tuple[float, ...]], count: int = 200) -> list[Chart]:
    """One client a centre."""
    return [chart_of(rows_of(seed, centre, count)) for seed, centre in enumerate(centres)]


def gaussian(mean: list[float], covariance: list[list[float]], count: float = 1.0) -> Gaussians:
    spread = torch.tensor([covariance], dtype=torch.float64)
    return Gaussians(torch.tensor([count], dtype=torch.float64), torch.tensor([mean], dtype=torch.float64), spread)


def standard(mean: float, variance: float) -> Gaussians:
    return gaussian([mean], [[variance]])


LEFT, RIGHT, ABOVE = (-9.0, 0.0), (9.0, 0.0), (0.0, 9.0)


# --- Gaussians -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "nats"),
    [
        (standard(0, 1), standard(1, 1), 0.5),
        (standard(0, 1), standard(0, 4), log(2) - 3 / 8),
        (standard(0, 4), standard(0, 1), 3 / 2 - log(2)),
        (standard(3, 2), standard(3, 2), 0.0),
    ],
)
def test_kl_divergence_of_two_normals(one, other, nats):
    assert float(kl_divergence(one, other)) == pytest.approx(nats, abs=1e-12)


def test_kl_divergence_is_torch_s_for_many_of_many_dimensions():
    draw = np.random.default_rng(0)
    moments = [chart_of(torch.tensor(draw.normal(size=(30, 4)) @ draw.normal(size=(4, 4)) + n)).whole for n in range(4)]
    groups = Gaussians.of(moments)
    known = [MultivariateNormal(m, c) for m, c in zip(groups.mean, groups.covariance, strict=True)]
    expected = torch.stack([torch.stack([reference_kl(p, q) for q in known]) for p in known])
    torch.testing.assert_close(kl_divergence(groups, groups), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(symmetric_kl(groups), expected + expected.T, rtol=1e-6, atol=1e-6)


def test_the_symmetric_divergence_of_shifted_normals_is_the_squared_shift():
    both = Gaussians(torch.ones(2).double(), torch.tensor([[0.0], [3.0]]).double(), torch.ones(2, 1, 1).double())
    torch.testing.assert_close(symmetric_kl(both), torch.tensor([[0.0, 9.0], [9.0, 0.0]]).double())


def test_the_expected_log_density_is_the_mean_over_the_samples():
    rows, under = rows_of(0, (1.0, -1.0)).double(), gaussian([0.5, 0.0], [[2.0, 0.3], [0.3, 1.0]])
    mean = MultivariateNormal(under.mean[0], under.covariance[0]).log_prob(rows).mean()
    found = expected_log_density(Gaussians.of([chart_of(rows.float()).whole]), under)
    assert float(found) == pytest.approx(float(mean), rel=1e-5)


def test_joined_groups_have_the_moments_of_all_their_samples():
    parts = [rows_of(n, centre, 20 + 10 * n) for n, centre in enumerate([LEFT, RIGHT, ABOVE])]
    whole = [Gaussians.of([chart_of(rows).whole]) for rows in parts]
    joined = whole[0].joined(Gaussians.of([chart_of(parts[1]).whole, chart_of(parts[2]).whole]))
    for row, other in enumerate(parts[1:]):
        both = Gaussians.of([chart_of(torch.cat([parts[0], other])).whole])
        torch.testing.assert_close(joined.take([row]).mean, both.mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(joined.take([row]).covariance, both.covariance, rtol=1e-5, atol=1e-5)


def test_two_points_that_become_one_gaussian_cost_half_the_log_determinant():
    one, other = gaussian([-1.0], [[0.0]], count=10), gaussian([1.0], [[0.0]], count=10)
    assert float(merge_cost(one, other)) == pytest.approx(10 * log(1 + 1 / RIDGE))


def test_a_gaussian_costs_half_its_parameters_times_log_n():
    assert gaussian_price(3, 100.0) == pytest.approx((3 + 6 + 1) / 2 * log(100))


@given(st.integers(0, 10_000))
def test_merging_never_gains_likelihood_and_what_is_merged_costs_no_less(seed):
    draw = np.random.default_rng(seed)
    parts = [rows_of(seed + n, tuple(draw.normal(0, 3, 3)), int(draw.integers(5, 40))) for n in range(3)]
    a, b, c = (Gaussians.of([chart_of(rows).whole]) for rows in parts)
    assert float(merge_cost(a, b)) >= -1e-3
    assert float(merge_cost(a.joined(b), c)) >= float(merge_cost(a, c) - merge_cost(a, b)) - 1e-3


# --- how many regions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("true", [1, 2, 3, 4, 5])
def test_the_criterion_finds_the_true_number_of_separated_gaussians(true, seed):
    draw = np.random.default_rng(seed)
    centres = 8 * np.eye(6)[:true] + draw.normal(size=(true, 6))
    owner = np.concatenate([np.arange(true), draw.integers(0, true, 12)])
    charts = [chart_of(rows_of(100 * seed + n, tuple(centres[k]), 60)) for n, k in enumerate(owner)]
    found = SharedRegions().assign(charts)
    assert max(found) + 1 == true
    assert found == tuple(owner)


@pytest.mark.parametrize("clients", [2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_one_gaussian_is_never_split(clients, seed):
    charts = [chart_of(rows_of(1000 * seed + n, (2.0, -1.0, 0.0), 50)) for n in range(clients)]
    assert SharedRegions().assign(charts) == (0,) * clients


@settings(max_examples=15)
@given(st.permutations(range(8)))
def test_the_order_of_the_clients_only_renumbers_the_regions(order):
    charts = separated([LEFT, RIGHT, LEFT, ABOVE, RIGHT, ABOVE, LEFT, (20.0, 20.0)], count=40)
    before = SharedRegions().assign(charts)
    after = SharedRegions().assign([charts[n] for n in order])
    assert len({(before[n], region) for n, region in zip(order, after, strict=True)}) == max(before) + 1
    assert list(dict.fromkeys(after)) == list(range(max(before) + 1))


@given(st.integers(0, 1000), st.floats(-5, 5))
def test_rotations_reflections_and_shifts_of_the_encoder_change_no_cost(seed, shift):
    draw = np.random.default_rng(seed)
    turned = torch.tensor(np.linalg.qr(draw.normal(size=(3, 3)))[0], dtype=torch.float64)
    one, other = (Gaussians.of([chart_of(rows_of(seed + n, (n, 0.0, -n), 30)).whole]) for n in range(2))

    def moved(group: Gaussians) -> Gaussians:
        return Gaussians(group.count, group.mean @ turned.T + shift, turned @ group.covariance @ turned.T)

    assert float(merge_cost(moved(one), moved(other))) == pytest.approx(float(merge_cost(one, other)), abs=1e-8)


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_other_affine_changes_find_the_same_regions_as_long_as_variances_are_far_above_the_ridge(seed):
    draw = np.random.default_rng(seed)
    scale = np.linalg.qr(draw.normal(size=(2, 2)))[0] @ np.diag(draw.uniform(0.7, 3.0, 2))
    change, shift = torch.tensor(scale, dtype=torch.float32), torch.tensor(draw.normal(size=2), dtype=torch.float32)
    rows = [rows_of(n, centre, 60) for n, centre in enumerate([LEFT, RIGHT, LEFT, ABOVE, RIGHT])]
    plain, changed = ([chart_of(r) for r in rs] for rs in (rows, [r @ change.T + shift for r in rows]))
    assert SharedRegions().assign(changed) == SharedRegions().assign(plain) == (0, 1, 0, 2, 1)


# --- who belongs to which --------------------------------------------------------------------------------------------


def moments(count: float, mean: float, variance: float) -> Chart:
    one = torch.ones(1, dtype=torch.float64)
    return Chart({0: Moments(count, count * mean * one, count * (variance + mean**2) * torch.ones(1, 1).double())})


def test_membership_is_the_softmax_of_log_shares_and_expected_log_densities():
    regions = [moments(30, 0.0, 1.0 - RIDGE), moments(10, 2.0, 1.0 - RIDGE)]
    row = memberships([moments(5, 0.5, 0.3)], regions)[0]
    # E log q: -1/2 (0.3 + 0.5^2) and -1/2 (0.3 + 1.5^2), up to a common constant
    odds = log(30 / 10) - 0.5 * (0.25 - 2.25)
    assert float((row[0] / row[1]).log()) == pytest.approx(odds)


def test_evidence_counts_as_so_many_samples():
    regions, client = [moments(10, 0.0, 1.0 - RIDGE), moments(10, 2.0, 1.0 - RIDGE)], moments(5, 0.5, 0.3)
    rows = [memberships([client], regions, evidence)[0] for evidence in (0.0, 1.0, 5.0)]
    assert [float((row[0] / row[1]).log()) for row in rows] == pytest.approx([0.0, 1.0, 5.0])


@given(st.integers(0, 1000), st.floats(0, 100))
def test_memberships_are_shares_also_of_those_without_a_chart(seed, evidence):
    charts = [*separated([LEFT, RIGHT, ABOVE]), Chart(), chart_of(rows_of(seed, (0.0, 0.0)))]
    rows = memberships(charts, [charts[0] + charts[1], Chart(), charts[2]], evidence)
    torch.testing.assert_close(rows.sum(1), torch.ones(5, dtype=torch.float64))
    assert rows[:, 1].tolist() == [0.0] * 5
    assert rows[3].tolist() == pytest.approx([2 / 3, 0, 1 / 3])


def test_clients_of_separated_regions_belong_to_their_own_and_a_client_between_two_to_both():
    charts = separated([LEFT, RIGHT, LEFT, RIGHT])
    homes = SharedRegions().assign(charts)
    regions = region_charts(charts, homes, 2)
    rows = memberships([*charts, chart_of(rows_of(9, (0.0, 0.0)))], regions)
    assert tuple(rows[:4].argmax(1).tolist()) == homes
    assert float(rows[:4].amax(1).min()) > 0.999
    assert 0.001 < float(rows[4, 0]) < 0.999


# --- splitting and merging -------------------------------------------------------------------------------------------


MIXED = [LEFT, RIGHT, LEFT, ABOVE, RIGHT]


def same(one: Chart, other: Chart) -> bool:
    pairs = [(one.components[c], other.components[c]) for c in one.components]
    return one.components.keys() == other.components.keys() and all(
        a.count == b.count and torch.equal(a.sum, b.sum) and torch.equal(a.second, b.second) for a, b in pairs
    )


def test_a_region_of_two_gaussians_is_halved_and_all_others_stay_as_they_are():
    charts, regions = separated(MIXED), (0, 0, 0, 1, 0)
    found = halves(charts, regions, 0)
    assert found == ((0, 2), (1, 4))
    after = split(regions, found[1])
    assert after == (0, 2, 0, 1, 2)
    assert same(region_charts(charts, after, 3)[1], region_charts(charts, regions, 2)[1])


@pytest.mark.parametrize("centres", [[LEFT] * 6, [LEFT]])
def test_a_region_of_one_gaussian_is_not_halved(centres):
    assert halves(separated(centres), (0,) * len(centres), 0) is None


@pytest.mark.parametrize("seed", range(3))
def test_what_shared_regions_found_is_not_halved(seed):
    charts = [chart_of(rows_of(50 * seed + n, MIXED[n % 5], 40)) for n in range(12)]
    regions = SharedRegions().assign(charts)
    assert [halves(charts, regions, region) for region in range(max(regions) + 1)] == [None] * 3


def test_a_region_can_be_halved_by_its_own_components():
    labels = torch.arange(400) % 4
    rows = torch.cat([rows_of(0, LEFT), rows_of(1, RIGHT)])[torch.arange(400).view(2, 200).T.flatten()]
    chart = Chart.from_sums(ChartRule().sums(rows, labels))  # even labels lie left, odd ones right
    assert halves(chart.parts, (0,) * 4, 0) == ((0, 2), (1, 3))


@given(st.lists(st.booleans(), min_size=5, max_size=5), st.integers(0, 2))
def test_merging_what_was_split_gives_back_the_same_sums(leaves, region):
    charts, regions = separated(MIXED, count=10), (0, 1, 2, 2, 0)
    leaving = [n for n, away in enumerate(leaves) if away and regions[n] == region]
    again = merge(split(regions, leaving), region, 3)
    pairs = zip(region_charts(charts, again, 3), region_charts(charts, regions, 3), strict=True)
    assert again == regions
    assert all(same(one, other) for one, other in pairs)


def test_the_numbers_above_a_merged_region_move_down():
    assert merge((0, 1, 2, 3, 1), 3, 1) == (0, 1, 2, 1, 1)
    assert merge((0, 1, 2, 3, 1), 0, 1) == (0, 0, 1, 2, 0)


def overlap_of(charts: list[Chart]) -> float:
    return float(mutual(Atlas.of(charts, ChartRule(shrinkage=1e-9)).overlaps(seed=0))[0, 1])


@pytest.mark.parametrize(
    ("centres", "answer"), [([LEFT, LEFT], True), ([LEFT, (-7.0, 0.0)], False), ([LEFT, RIGHT], False)]
)
def test_regions_are_alike_where_they_overlap_and_their_gaussians_agree(centres, answer):
    charts = separated(centres, count=500)
    assert alike(charts[0].whole, charts[1].whole, overlap_of(charts)) is answer


def test_regions_that_overlap_little_are_not_alike():
    charts = separated([LEFT, LEFT])
    assert alike(charts[0].whole, charts[1].whole, overlap=0.95)
    assert not alike(charts[0].whole, charts[1].whole, overlap=0.85)


# --- overlaps and more regions ---------------------------------------------------------------------------------------


def test_mutual_overlap_is_one_for_twins_of_any_size_and_zero_for_strangers():
    charts = [moments(90, 1.0, 2.0), moments(10, 1.0, 2.0), moments(50, 90.0, 2.0)]
    rows = mutual(Atlas.of(charts, ChartRule(shrinkage=1e-9)).overlaps(seed=0))
    expected = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)


def test_mutual_overlap_of_shares_by_hand():
    rows = mutual(torch.tensor([[0.8, 0.2], [0.4, 0.6]]).double())
    assert float(rows[0, 1]) == float(rows[1, 0]) == pytest.approx((0.2 * 0.4 / (0.8 * 0.6)) ** 0.5)


def test_a_region_more_changes_no_bit_of_the_others():
    charts = separated([LEFT, RIGHT])
    atlas = Atlas.of(charts, ChartRule())
    grown = atlas.with_region(chart_of(rows_of(5, ABOVE)), ChartRule())
    assert (grown.regions, grown.region.tolist()) == (3, [0, 1, 2])
    assert all(torch.equal(t[:2], atlas.tensors()[name]) for name, t in grown.tensors().items())
    assert torch.equal(grown.scores(rows_of(0, ABOVE))[:, :2], atlas.scores(rows_of(0, ABOVE)))


def test_a_new_region_is_shrunk_towards_the_mean_of_those_that_are_there():
    atlas = Atlas.of([moments(30, 0.0, 2.0), moments(10, 5.0, 2.0)], ChartRule(rank=1, shrinkage=100))
    grown = atlas.with_region(moments(50, 9.0, 8.0), ChartRule(rank=1, shrinkage=100))
    variance = grown.diagonal[2] + grown.factor[2].square().sum()
    assert float(variance) == pytest.approx((50 * 8 + 100 * 2) / 150)
    assert float(grown.log_weight[2]) == pytest.approx(log(50))


# --- rules -----------------------------------------------------------------------------------------------------------


def test_private_regions_are_the_clients():
    assert PrivateRegions().assign(separated([LEFT, LEFT, RIGHT])) == (0, 1, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_shared_regions_are_as_many_as_asked(count):
    regions = SharedRegions(count=count).assign(separated([LEFT, RIGHT, LEFT, ABOVE, RIGHT, ABOVE]))
    assert set(regions) == set(range(count))


def test_more_regions_than_clients_are_one_each():
    assert SharedRegions(count=9).assign(separated([LEFT, LEFT, RIGHT])) == (0, 1, 2)


def test_the_closest_regions_merge_first():
    charts = separated([LEFT, (9.0, 0.5), RIGHT])
    assert SharedRegions(count=2).assign(charts) == (0, 1, 1)


def test_a_client_without_a_chart_joins_the_first_region():
    charts = separated([LEFT, RIGHT, LEFT])
    assert SharedRegions().assign([charts[0], Chart(), charts[1], charts[2]]) == (0, 0, 1, 0)
    assert SharedRegions().assign([Chart(), Chart()]) == (0, 0)
