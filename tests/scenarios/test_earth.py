"""The coast on the sphere: places are where the map says they are, and every patch has a client."""

import numpy as np
import pytest
import torch

from federation.settings import DataSettings
from scenarios.library.earth import ACROSS, DOWN, load, on_sphere, relief, scaled


def test_degrees_become_points_of_the_unit_sphere():
    places = on_sphere(np.array([0.0, 90.0, 180.0, 45.0]), np.array([0.0, 0.0, 0.0, 90.0]))
    np.testing.assert_allclose(places, [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_scaling_keeps_shapes_and_fills_the_cube():
    places = np.random.default_rng(0).standard_normal((50, 3))
    found = scaled(places)
    assert np.abs(found).max() == 1
    ratio = np.linalg.norm(found[1:] - found[:-1], axis=1) / np.linalg.norm(places[1:] - places[:-1], axis=1)
    np.testing.assert_allclose(ratio, ratio[0])


def test_each_point_of_the_map_is_trained_on_or_asked_for_once():
    data = load(DataSettings(), seed=0)
    longitude, latitude, heights = relief()
    assert heights.shape == (len(latitude), len(longitude)) == (91, 120)
    places = torch.cat([data.train.inputs, data.test.inputs])
    values = torch.cat([data.train.targets, data.test.targets]).double().numpy()
    assert len(data.test) == 2_184
    assert len(torch.unique(places, dim=0)) == heights.size
    np.testing.assert_allclose(
        np.sort(values[:, 0]), np.sort((heights.flatten() - heights.mean()) / heights.std()), atol=1e-5
    )


def test_a_client_is_a_patch_and_no_point_is_nearer_to_the_middle_of_one_far_away():
    data = load(DataSettings(), seed=0)
    assert data.group is not None
    assert data.test_group is not None
    patches = DOWN * ACROSS
    assert sorted(set(data.group)) == sorted(set(data.test_group)) == list(range(patches))
    centres = torch.stack([data.train.inputs[data.group == patch].mean(0) for patch in range(patches)])
    own = (data.test.inputs - centres[data.test_group]).norm(dim=1)
    assert float(own.max()) < 0.3
    assert float(torch.cdist(centres, centres).fill_diagonal_(9).min()) > 0.15


def test_every_seed_asks_for_other_points_and_a_limit_takes_fewer():
    one, other = (load(DataSettings(limit=500), seed=seed) for seed in (0, 1))
    assert len(one.train) == 500
    assert not torch.equal(one.test.inputs, other.test.inputs)
    assert float(one.test.targets.std()) == pytest.approx(1, abs=0.1)
