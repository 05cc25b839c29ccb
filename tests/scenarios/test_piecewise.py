"""The piecewise field: continuous, of another slope in each zone, and measured with noise."""

import numpy as np
import pytest
import torch

from federation.randomness import generator
from federation.settings import DataSettings
from scenarios.library.piecewise import NOISE, ZONES, Field, load

FIELD = Field.drawn(generator(0, "a field"))


def border(field: Field, steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Points just on either side of the zones' borders, found by halving between random pairs of points."""
    one, other = np.random.default_rng(0).uniform(-1, 1, (2, 200, 2))
    apart = field.zones(one) != field.zones(other)
    one, other = one[apart], other[apart]
    for _ in range(steps):
        middle = (one + other) / 2
        same = (field.zones(middle) == field.zones(one))[:, None]
        one, other = np.where(same, middle, one), np.where(same, other, middle)
    return one, other


def test_the_field_is_continuous_across_all_borders():
    one, other = border(FIELD)
    assert bool((FIELD.zones(one) != FIELD.zones(other)).all())
    np.testing.assert_allclose(FIELD(one), FIELD(other), atol=1e-9)


def test_its_slope_is_not():
    """Along the line between two centres, from a step before their border to it, and from there to a step behind."""
    one, other = border(FIELD)
    first, second = FIELD.zones(one), FIELD.zones(other)
    along = FIELD.centres[second] - FIELD.centres[first]
    step = 1e-4 * along / np.linalg.norm(along, axis=1, keepdims=True)
    jump = (FIELD(other + step) - FIELD(other)) - (FIELD(one) - FIELD(one - step))
    assert np.median(np.abs(jump)) / 1e-4 > 0.5


def test_depth_is_zero_at_borders_and_grows_into_the_zone():
    one, _ = border(FIELD)
    np.testing.assert_allclose(FIELD.depths(one), 0, atol=1e-9)
    assert bool((FIELD.depths(FIELD.centres) > 0.1).all())


def test_measurements_are_standardised_and_as_noisy_as_said_while_the_test_asks_for_the_field_itself():
    data = load(DataSettings(limit=20_000), seed=3)
    field = Field.drawn(generator(3, "piecewise field"))
    residual, error = (
        part.targets[:, 0].double().numpy() - field(part.inputs.double().numpy()) for part in (data.train, data.test)
    )
    np.testing.assert_allclose(error, 0, atol=1e-5)
    assert residual.std() == pytest.approx(NOISE, rel=0.03)
    assert float(data.test.targets.std()) == pytest.approx(1, abs=0.05)
    assert abs(float(data.test.targets.mean())) < 0.1


def test_clients_go_a_little_beyond_their_zone_and_no_further():
    data = load(DataSettings(limit=20_000), seed=0)
    field = Field.drawn(generator(0, "piecewise field"))
    points = data.train.inputs.double().numpy()
    astray = field.zones(points) != data.group
    assert 0.1 < astray.mean() < 0.4
    assert np.quantile(field.depths(points[astray]), 0.95) < 0.25


def test_every_zone_has_a_client_and_every_seed_another_field():
    one, other = (load(DataSettings(limit=360), seed=seed) for seed in (0, 1))
    assert sorted(set(one.group)) == list(range(ZONES))
    assert torch.equal(load(DataSettings(limit=360), seed=0).train.targets, one.train.targets)
    assert not torch.equal(one.test.targets, other.test.targets)
