"""Encoder, charts and atlas against numpy, scipy and scikit-learn, and by hand."""

from math import exp, log

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from federation.manifold import (
    Atlas,
    Chart,
    ChartRule,
    Concatenated,
    Encoder,
    FourierFeatures,
    GaborEnergies,
    OrientedGradients,
    PooledPixels,
    PrincipalComponents,
    PriorTrunk,
    RandomFeatures,
    SignalStatistics,
)
from federation.manifold.chart import Moments
from federation.manifold.covariance import FLOOR
from federation.manifold.features import gabors
from federation.manifold.survey import NEVER
from federation.routing import ChartPosterior, TunedResidual
from federation.rules import InputError
from federation.wire.contribution import EVERYWHERE, Contribution

UNSHRUNK = 1e-12


def moments(count: float, mean: list[float], covariance: list[list[float]]) -> Moments:
    """The sums of `count` samples with exactly this mean and covariance."""
    centre, spread = torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64)
    return Moments(count, count * centre, count * (spread + torch.outer(centre, centre)))


def covariances(atlas: Atlas) -> torch.Tensor:
    return torch.diag_embed(atlas.diagonal) + atlas.factor @ atlas.factor.transpose(1, 2)


def normal_rows(seed: int, count: int, mean: tuple[float, ...], spread: float = 1.0) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    return torch.tensor(np.array(mean) + spread * draw.normal(size=(count, len(mean))), dtype=torch.float32)


def chart_of(rows: torch.Tensor, labels: torch.Tensor | None = None, rule: ChartRule | None = None) -> Chart:
    return Chart.from_sums((rule or ChartRule()).sums(rows, labels))


# --- encoder ---------------------------------------------------------------------------------------------------------


def test_components_of_split_data_are_those_of_the_pooled_data():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(120, 6)) @ np.diag([5, 3, 2, 1, 0.5, 0.1]) @ np.linalg.qr(draw.normal(size=(6, 6)))[0] + 4
    pooled = torch.tensor(rows, dtype=torch.float32)
    rule = PrincipalComponents(dimensions=4)
    pieces = [pooled[:10], pooled[10:75], pooled[75:]]
    total = Contribution.total(Contribution((n,), {EVERYWHERE: rule.moments(p)}) for n, p in enumerate(pieces))
    latent = Encoder(rule, rule.fit(total.everywhere()))(pooled).numpy()
    reference = PCA(n_components=4, whiten=True).fit_transform(rows) * np.sqrt(120 / 119)  # sklearn divides by n - 1
    signs = np.sign((latent * reference).sum(0))
    np.testing.assert_allclose(latent, signs * reference, atol=1e-4)


def test_encoded_samples_have_mean_zero_and_unit_covariance():
    rule, rows = PrincipalComponents(dimensions=3), normal_rows(0, 200, (1.0, -2.0, 3.0, 0.0), 2.5)
    latent = Encoder(rule, rule.fit(rule.moments(rows)))(rows)
    torch.testing.assert_close(latent.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(latent.T @ latent / 200, torch.eye(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("whitening", "variances"), [(1.0, [1, 1]), (0.5, [4 / 3, 2 / 3]), (0.0, [1.6, 0.4])])
def test_less_whitening_keeps_the_leading_components_ahead(whitening, variances):
    rows = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    rule = PrincipalComponents(dimensions=2, whitening=whitening)
    latent = Encoder(rule, rule.fit(rule.moments(rows)))(rows)
    torch.testing.assert_close(latent.T @ latent / 4, torch.tensor(variances).float().diag())


def test_the_sign_of_a_component_is_that_of_its_largest_weight():
    rule = PrincipalComponents(dimensions=1)
    weights = rule.fit(rule.moments(torch.tensor([[-3.0, 1.0], [3.0, -1.0]])))
    assert weights["projection"][0, 0] > 0 > weights["projection"][1, 0]


def test_directions_without_variance_are_left_out():
    rule, rows = PrincipalComponents(dimensions=5), torch.zeros(50, 5)
    rows[:, 1:3] = normal_rows(0, 50, (0.0, 0.0))
    assert rule.fit(rule.moments(rows))["projection"].shape == (5, 2)


def test_an_encoder_of_constant_inputs_stays_finite():
    rule, rows = PrincipalComponents(dimensions=2), torch.ones(10, 3)
    assert bool(rule.fit(rule.moments(rows))["projection"].isfinite().all())


def test_an_encoder_counts_its_weights():
    rule = PrincipalComponents(dimensions=2)
    assert Encoder(rule, rule.fit(rule.moments(normal_rows(0, 20, (0.0,) * 5)))).parameters == 5 + 5 * 2


def test_pooled_pixels_are_the_means_of_patches():
    image = torch.arange(16, dtype=torch.float32).reshape(1, 1, 4, 4)
    assert PooledPixels(pool=2).apply(image).tolist() == [[2.5, 4.5, 10.5, 12.5]]


def test_a_patch_larger_than_the_image_is_the_image():
    assert PooledPixels(pool=9).apply(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist() == [[1.5]]


def test_oriented_gradients_are_patch_means_and_the_slope_in_each_direction():
    ramp = torch.arange(4.0).repeat(4, 1).reshape(1, 1, 4, 4)  # rises by one a pixel to the right
    features = OrientedGradients(patch=4, directions=4).apply(ramp)[0]
    across = (2 + 2 + 1 + 1) / 4  # central differences, halved at both edges
    assert features.tolist() == pytest.approx([1.5, across**0.5, 0, 0, 0], abs=1e-3)


def test_a_flat_image_has_no_gradients():
    assert OrientedGradients(patch=2, directions=8).apply(torch.ones(1, 1, 4, 4))[0, 4:].abs().max() == 0


def test_a_gabor_filter_has_mean_zero_and_norm_one_and_half_of_them_see_differences_of_colour():
    bank = gabors(6, 3, 8)
    torch.testing.assert_close(bank.flatten(1).norm(dim=1), torch.ones(6))
    assert float(bank.mean((2, 3)).abs().max()) < 1e-6
    torch.testing.assert_close(bank[::2, 0], bank[::2, 1])
    assert float(bank[1::2].mean(1).abs().max()) < 1e-6


def test_gabor_energies_are_what_two_rectified_convolutions_of_normalised_patches_average_to():
    features, images = GaborEnergies(filters=2, side=3, cells=1, threshold=0.1), torch.randn(3, 1, 5, 5)
    patches = F.unfold(images, 3, padding=1)  # [samples, pixels, places]
    bank = gabors(2, 1, 3).flatten(1)
    deviation = (patches.var(1, correction=0) + features.contrast).sqrt()
    answers = torch.einsum("fp,spn->sfn", bank, patches) / deviation[:, None]
    energies = [(side * answers - 0.1).relu().mean(2).sqrt() for side in (1, -1)]
    torch.testing.assert_close(features.apply(images), torch.cat(energies, 1), atol=1e-5, rtol=1e-4)


def test_gabor_energies_leave_contrast_out_and_turn_with_the_sign():
    features, images = GaborEnergies(filters=3, side=4, cells=2, contrast=1e-9), torch.randn(300, 1, 8, 8)
    said = features.apply(images)
    assert said.shape == (300, features.width((1, 8, 8))) == (300, 24)
    torch.testing.assert_close(features.apply(5 * images), said, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(features.apply(-images), torch.cat([said[:, 12:], said[:, :12]], 1))
    assert not features.apply(torch.zeros(1, 1, 8, 8)).any()


def test_mirrored_gabor_energies_are_the_mean_over_an_image_and_its_mirror_image():
    plain, images = GaborEnergies(filters=3, side=4, cells=2), torch.randn(5, 1, 8, 8)
    mirrored = plain.model_copy(update={"mirrored": True})
    said = mirrored.apply(images)
    torch.testing.assert_close(said, (plain.apply(images) + plain.apply(images.flip(-1))) / 2)
    torch.testing.assert_close(said, mirrored.apply(images.flip(-1)))
    assert mirrored.multiplies((1, 8, 8)) == 2 * plain.multiplies((1, 8, 8))
    assert mirrored.constants((1, 8, 8)) == plain.constants((1, 8, 8))


def test_gabor_energies_do_not_depend_on_how_many_images_are_convolved_together(monkeypatch):
    features, images = GaborEnergies(filters=3, side=4, cells=2), torch.randn(7, 1, 8, 8)
    whole = features.apply(images)
    monkeypatch.setattr("federation.manifold.features.AT_ONCE", (2 * 3 * 64, 1))
    torch.testing.assert_close(features.apply(images), whole)


def test_gabor_energies_refuse_what_is_no_image():
    with pytest.raises(InputError, match=r"reads images \[channels, height, width\], not \[7\]"):
        GaborEnergies().apply(torch.zeros(2, 7))


def test_a_wave_has_its_mean_its_deviation_and_power_at_its_own_frequency():
    time = torch.arange(64) / 64
    signal = (5 + 2 * torch.sin(2 * torch.pi * 3 * time)).reshape(1, 1, 64, 1)
    features = SignalStatistics(frequencies=8).apply(signal)[0]
    assert float(features[0]) == pytest.approx(5)
    assert float(features[1]) == pytest.approx(
        0.5 * log(2 + 1e-4), abs=1e-4
    )  # a sine's variance is half its squared height
    assert float(features[2 + 2]) == pytest.approx(0.5 * log(64 + 1e-4), abs=1e-4)  # (height * samples / 2)^2 / samples
    assert int(features[2:].argmax()) == 2
    assert len(features) == 2 + 8


def test_correlations_tell_which_channels_move_together():
    time = torch.arange(64) / 64 * 2 * torch.pi
    together, against, apart = time.sin(), -3 * time.sin() + 1, time.cos()
    signal = torch.stack([together, against, apart]).reshape(1, 3, 64, 1)
    plain, told = SignalStatistics(frequencies=8), SignalStatistics(frequencies=8, correlations=True)
    torch.testing.assert_close(told.apply(signal)[:, :-3], plain.apply(signal))
    torch.testing.assert_close(told.apply(signal)[0, -3:], torch.tensor([-1.0, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_the_length_of_a_vector_is_a_channel_that_no_turn_of_the_sensor_changes():
    features = SignalStatistics(frequencies=4, axes=3)
    signal = normal_rows(0, 3 * 2, (0.0,) * 16).reshape(1, 6, 16, 1)
    turn, _ = torch.linalg.qr(normal_rows(1, 3, (0.0,) * 3))
    turned = torch.einsum("ij,svjtx->svitx", turn, signal.unflatten(1, (2, 3))).flatten(1, 2)
    read, after = features.apply(signal)[0], features.apply(turned)[0]
    assert len(read) == (6 + 2) * (2 + 4)
    torch.testing.assert_close(read[6 * 6 :], after[6 * 6 :])
    assert not torch.allclose(read[: 6 * 6], after[: 6 * 6])


def test_channels_that_make_no_whole_vectors_are_refused():
    with pytest.raises(InputError, match="axes: 4 channels are no vectors of 3 components"):
        SignalStatistics(axes=3).apply(torch.zeros(1, 4, 16, 1))


def test_random_features_are_the_same_for_everyone():
    rows = normal_rows(0, 5, (0.0,) * 4)
    features = RandomFeatures(count=7)
    assert features.apply(rows).shape == (5, 7)
    assert torch.equal(features.apply(rows)[:2], features.apply(rows[:2]))
    assert bool((features.apply(rows) >= 0).all())


def test_fourier_features_are_a_gaussian_kernel_of_standardised_inputs():
    rows = normal_rows(0, 40, (0.0,) * 4)
    features = FourierFeatures(count=20000, bandwidths=(0.5,))
    read = features.apply(rows)
    kernel = (-torch.cdist(rows, rows).square() / (2 * 0.5**2 * 2 * 4)).exp()
    torch.testing.assert_close(2 * read @ read.T / 20000, kernel, atol=0.05, rtol=0)
    assert torch.equal(features.apply(rows[:2]), read[:2])
    assert (features.width((4,)), features.constants((4,)), features.multiplies((4,))) == (20000, 100000, 80000)
    assert features.sized_to(50, (4,), 2).count == 24


def test_concatenated_features_stand_side_by_side():
    image = torch.arange(16, dtype=torch.float32).reshape(1, 1, 4, 4)
    both = Concatenated(parts=(PooledPixels(pool=2), PriorTrunk()))
    assert both.uses_prior
    assert both.apply(image, lambda inputs: -inputs.flatten(1)[:, :2]).tolist() == [[2.5, 4.5, 10.5, 12.5, 0.0, -1.0]]


def test_features_of_the_prior_need_a_prior():
    with pytest.raises(ValueError, match="need the trunk"):
        PriorTrunk().apply(torch.zeros(1, 3))


def test_scaled_components_do_not_depend_on_the_unit_of_a_feature():
    rule, rows = PrincipalComponents(dimensions=2, scaled=True), normal_rows(0, 100, (0.0,) * 4)
    rows = rows @ torch.tensor(np.random.default_rng(1).normal(size=(4, 4)), dtype=torch.float32)
    units = torch.tensor([1.0, 1000.0, 0.01, 1.0])
    one, other = (Encoder(rule, rule.fit(rule.moments(x)))(x) for x in (rows, rows * units))
    torch.testing.assert_close(one.abs(), other.abs(), rtol=1e-3, atol=1e-3)


def test_a_constant_feature_is_left_out_of_scaled_components():
    rule, rows = PrincipalComponents(dimensions=3, scaled=True), torch.ones(50, 3)
    rows[:, :2] = normal_rows(0, 50, (0.0, 0.0))
    weights = rule.fit(rule.moments(rows))
    assert weights["projection"].shape == (3, 2)
    assert bool(Encoder(rule, weights)(rows).isfinite().all())


# --- charts ----------------------------------------------------------------------------------------------------------


def test_a_chart_has_the_count_mean_and_scatter_of_its_samples():
    rows = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 6.0]])
    whole = chart_of(rows, rule=ChartRule(min_count=2)).whole
    assert whole.count == 3
    assert whole.mean.tolist() == [2.0, 2.0]
    torch.testing.assert_close(whole.scatter, torch.tensor([[8.0, 12.0], [12.0, 24.0]], dtype=torch.float64))


@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 1000))
def test_charts_add_up_to_the_chart_of_all_samples(first, second, seed):
    rows, rule = normal_rows(seed, first + second, (1.0, 2.0)), ChartRule(min_count=2)
    added = chart_of(rows[:first], rule=rule) + chart_of(rows[first:], rule=rule)
    pooled = chart_of(rows, rule=rule).whole
    assert added.whole.count == pooled.count
    torch.testing.assert_close(added.whole.mean, pooled.mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(added.whole.scatter, pooled.scatter, rtol=1e-4, atol=1e-4)


def test_added_charts_hold_the_components_of_both():
    a = chart_of(normal_rows(0, 12, (0.0,)), torch.tensor([1] * 6 + [4] * 6))
    b = chart_of(normal_rows(1, 15, (0.0,)), torch.tensor([0] * 5 + [4] * 10))
    assert {label: m.count for label, m in (a + b).components.items()} == {0: 5, 1: 6, 4: 16}
    assert {label: m.count for label, m in (a + Chart()).components.items()} == {1: 6, 4: 6}


def test_components_with_too_few_samples_are_never_sent():
    labels = torch.tensor([0] * 5 + [1] * 4 + [2] * 6)
    sums = ChartRule(min_count=5).sums(normal_rows(0, 15, (0.0, 0.0)), labels)
    assert sorted(sums) == ["count/0", "count/2", "second/0", "second/2", "sum/0", "sum/2"]


def test_a_client_with_too_few_samples_of_everything_sends_nothing():
    assert ChartRule(min_count=5).sums(normal_rows(0, 8, (0.0,)), torch.tensor([0, 1] * 4)) == {}
    assert Chart.from_sums({}).components == {}


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 2] * 3)])
def test_without_labels_a_region_is_one_component(labels):
    assert list(chart_of(normal_rows(0, 9, (0.0,)), labels, ChartRule(by_label=False)).components) == [0]


# --- atlas -----------------------------------------------------------------------------------------------------------


TWO = [
    Chart({0: moments(30, [0.0, 1.0, 2.0], [[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 0.5]])}),
    Chart({1: moments(10, [1.0, 0.0, 0.0], [[1.0, -0.3, 0.0], [-0.3, 3.0, 0.4], [0.0, 0.4, 1.0]])}),
]


def test_scores_are_log_densities_weighted_by_counts():
    atlas = Atlas.of(TWO, ChartRule(rank=3, shrinkage=UNSHRUNK))
    points = normal_rows(0, 50, (0.5, 0.5, 0.5), 2.0)
    scores = atlas.scores(points).numpy()
    for region, chart in enumerate(TWO):
        m = chart.whole
        density = multivariate_normal(m.mean.numpy(), (m.scatter / m.count).numpy())
        np.testing.assert_allclose(scores[:, region], log(m.count) + density.logpdf(points.double().numpy()), atol=1e-6)


def test_a_region_of_several_components_scores_their_sum():
    both = Chart({**TWO[0].components, **TWO[1].components})
    rule, points = ChartRule(rank=3, shrinkage=UNSHRUNK), normal_rows(0, 20, (0.5, 0.5, 0.5))
    apart = Atlas.of(TWO, rule).scores(points)
    torch.testing.assert_close(Atlas.of([both], rule).scores(points)[:, 0], apart.logsumexp(1))
    torch.testing.assert_close(Atlas.of([both], rule).survey(points).label_scores(2), apart)


def test_with_two_gaussians_the_posterior_is_the_one_of_bayes():
    charts = [Chart({0: moments(30, [0.0], [[1.0]])}), Chart({0: moments(10, [2.0], [[1.0]])})]
    posterior = Atlas.of(charts, ChartRule(rank=1, shrinkage=UNSHRUNK)).scores(torch.tensor([[1.0], [0.0]])).softmax(1)
    assert posterior[0].tolist() == pytest.approx([0.75, 0.25], abs=1e-6)
    assert float(posterior[1, 0]) == pytest.approx(3 / (3 + exp(-2)), abs=1e-6)


def test_covariances_are_shrunk_towards_the_pooled_one():
    charts = [Chart({0: moments(10, [0.0], [[1.0]])}), Chart({0: moments(30, [9.0], [[5.0]])})]
    atlas = Atlas.of(charts, ChartRule(rank=1, shrinkage=10))
    # pooled (10 * 1 + 30 * 5) / 40 = 4; then (10 * 1 + 10 * 4) / 20 and (30 * 5 + 10 * 4) / 40
    assert covariances(atlas).flatten().tolist() == pytest.approx([2.5, 4.75])


def test_a_low_rank_keeps_the_leading_direction_and_all_variances():
    covariance = torch.tensor([[4.0, 2.0, 0.0], [2.0, 3.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    chart = Chart({0: moments(20, [0.0, 0.0, 0.0], covariance.tolist())})
    kept = covariances(Atlas.of([chart], ChartRule(rank=1, shrinkage=UNSHRUNK)))[0]
    torch.testing.assert_close(kept.diagonal(), covariance.diagonal())
    top = torch.linalg.eigh(covariance).eigenvectors[:, -1]
    assert float(top @ kept @ top) > 0.9 * float(top @ covariance @ top)


def test_a_spherical_component_has_the_mean_of_its_variances_in_every_direction():
    chart = Chart({0: moments(20, [1.0, 2.0], [[4.0, 1.5], [1.5, 2.0]])})
    atlas = Atlas.of([chart], ChartRule(covariance="spherical", shrinkage=UNSHRUNK))
    assert covariances(atlas)[0].tolist() == [pytest.approx([3.0, 0.0]), pytest.approx([0.0, 3.0])]
    density = multivariate_normal([1.0, 2.0], [[3.0, 0.0], [0.0, 3.0]]).logpdf([0.0, 5.0])
    assert float(atlas.scores(torch.tensor([[0.0, 5.0]]))) == pytest.approx(log(20) + density)


def test_a_sphere_has_the_spread_that_shrinkage_leaves_and_never_less_than_the_floor():
    charts = [
        Chart({0: moments(10, [0.0, 0.0], [[1.0, 0.0], [0.0, 3.0]])}),
        Chart({0: moments(30, [9.0, 9.0], [[0.0] * 2] * 2)}),
    ]
    atlas = Atlas.of(charts, ChartRule(covariance="spherical", shrinkage=10))
    # pooled diag(1, 3) * 10 / 40 = diag(.25, .75); then diag(1, 3) * (10 + 2.5) / 20 and diag(1, 3) * 2.5 / 40
    assert atlas.diagonal.tolist() == [pytest.approx([1.25] * 2), pytest.approx([0.125] * 2)]
    flat = Chart({0: moments(20, [1.0, 2.0], [[0.0, 0.0], [0.0, 0.0]])})
    assert Atlas.of([flat], ChartRule(covariance="spherical")).diagonal.tolist() == [[FLOOR, FLOOR]]


def test_a_spherical_atlas_survives_the_wire_and_has_overlaps():
    atlas = Atlas.of(TWO, ChartRule(covariance="spherical"))
    points = normal_rows(0, 20, (0.5, 0.5, 0.5))
    torch.testing.assert_close(Atlas.from_tensors(2, atlas.tensors()).scores(points), atlas.scores(points))
    torch.testing.assert_close(atlas.overlaps(seed=0).sum(1), torch.ones(2, dtype=torch.float64))


def test_a_component_without_spread_still_has_a_density():
    chart = Chart({0: moments(20, [1.0, 2.0], [[0.0, 0.0], [0.0, 0.0]])})
    atlas = Atlas.of([chart], ChartRule(rank=2))
    assert bool(atlas.scores(torch.tensor([[1.0, 2.0], [5.0, 5.0]])).isfinite().all())


def test_novelty_is_minus_the_log_density_of_the_whole_federation():
    atlas = Atlas.of(TWO, ChartRule(rank=3, shrinkage=UNSHRUNK))
    points = normal_rows(0, 20, (0.5, 0.5, 0.5)).double()
    parts = [multivariate_normal(c.whole.mean.numpy(), (c.whole.scatter / c.whole.count).numpy()) for c in TWO]
    density = 0.75 * parts[0].pdf(points.numpy()) + 0.25 * parts[1].pdf(points.numpy())
    np.testing.assert_allclose(atlas.novelty(points.float()).numpy(), -np.log(density), atol=1e-5)


def test_relative_scores_end_at_zero_for_the_best_region():
    atlas = Atlas.of(TWO, ChartRule())
    relative = atlas.survey(normal_rows(0, 20, (0.5, 0.5, 0.5))).relative_scores()
    assert relative.amax(1).tolist() == [0.0] * 20
    assert atlas.survey(torch.full((1, 3), 1e4)).relative_scores().min() >= -1000


@pytest.mark.parametrize("rule", [ChartPosterior(), TunedResidual()])
def test_nothing_is_ever_routed_to_an_empty_chart(rule):
    atlas = Atlas.of([TWO[0], Chart(), TWO[1]], ChartRule(rank=3))
    latent = normal_rows(0, 40, (0.5, 0.5, 0.5), 3.0)
    assert atlas.scores(latent)[:, 1].tolist() == [NEVER] * 40
    weights = {n: t[None] for n, t in rule.init(3, 3, torch.Generator().manual_seed(0)).items()}
    gate = rule.spread(rule.logits(weights, latent[None], atlas.survey(latent).relative_scores()[None])[0])
    assert gate[:, 1].tolist() == [0.0] * 40
    assert atlas.overlaps(seed=0)[1].tolist() == [0.0] * 3


def test_an_atlas_without_any_component_is_refused():
    with pytest.raises(
        ValueError, match="no client had enough samples of anything to send a chart; lower charts.min_count"
    ):
        Atlas.of([Chart(), Chart()], ChartRule())


def test_a_merged_region_has_the_mean_and_the_covariance_of_all_its_samples():
    rows = torch.cat([normal_rows(0, 60, (0.0, 1.0)), normal_rows(1, 30, (4.0, 3.0), 0.5)])
    rule = ChartRule(rank=2, shrinkage=UNSHRUNK, whole_regions=True)
    apart = chart_of(rows, torch.arange(90) // 60, rule)
    merged, whole = Atlas.of([apart, Chart()], rule).merged(), Atlas.of([chart_of(rows, rule=rule), Chart()], rule)
    assert (merged.regions, merged.region.tolist()) == (2, [0])
    torch.testing.assert_close(merged.mean, whole.mean)
    torch.testing.assert_close(covariances(merged), covariances(whole))
    torch.testing.assert_close(merged.log_weight, whole.log_weight)


def test_charts_know_everything_of_regions_that_lie_far_apart_and_nothing_of_equal_ones():
    apart = [chart_of(normal_rows(n, 50, (100.0 * n, 0.0))) for n in range(2)]
    same = [chart_of(normal_rows(0, 50, (0.0, 0.0))) for _ in range(2)]
    rows = normal_rows(3, 10, (0.0, 0.0))
    far, near = (Atlas.of(charts, ChartRule()).region_information(rows, 0) for charts in (apart, same))
    torch.testing.assert_close(far, torch.full((4,), 10 * log(2), dtype=torch.float64), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(near, torch.zeros(4, dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_label_that_nobody_charted_adds_no_information():
    rows = normal_rows(0, 40, (0.0, 0.0))
    atlas = Atlas.of([chart_of(rows, torch.arange(40) % 2)], ChartRule())
    assert atlas.label_information(rows[:3], torch.full((3,), 2), 3).tolist() == [0.0] * 4


def test_overlaps_are_shares_of_the_regions():
    rows = Atlas.of(TWO, ChartRule(rank=3)).overlaps(seed=0)
    torch.testing.assert_close(rows.sum(1), torch.ones(2, dtype=torch.float64))
    assert bool((rows > 0).all())


def test_identical_regions_overlap_by_half():
    twin = Chart({0: moments(20, [0.0, 1.0], [[1.0, 0.2], [0.2, 1.0]])})
    rows = Atlas.of([twin, twin], ChartRule()).overlaps(seed=0)
    torch.testing.assert_close(rows, torch.full((2, 2), 0.5, dtype=torch.float64))


def test_distant_regions_do_not_overlap():
    charts = [Chart({0: moments(20, [centre, 0.0], [[1.0, 0.0], [0.0, 1.0]])}) for centre in (0.0, 100.0)]
    rows = Atlas.of(charts, ChartRule()).overlaps(seed=0)
    torch.testing.assert_close(rows, torch.eye(2, dtype=torch.float64), atol=1e-9, rtol=0)


def test_overlaps_are_determined_by_the_seed():
    atlas = Atlas.of(TWO, ChartRule())
    assert torch.equal(atlas.overlaps(seed=1), atlas.overlaps(seed=1))
    assert not torch.equal(atlas.overlaps(seed=1), atlas.overlaps(seed=2))


def test_an_atlas_survives_the_wire():
    atlas, points = Atlas.of([TWO[0], Chart(), TWO[1]], ChartRule()), normal_rows(0, 20, (0.5, 0.5, 0.5))
    again = Atlas.from_tensors(3, atlas.tensors())
    torch.testing.assert_close(again.scores(points), atlas.scores(points), rtol=1e-5, atol=1e-5)


def test_an_atlas_counts_the_real_numbers_of_its_charts():
    atlas = Atlas.of(TWO, ChartRule(rank=2))
    assert atlas.parameters == 2 * (3 + 3 + 3 * 2 + 1)  # mean, diagonal, factor, log weight of two components
