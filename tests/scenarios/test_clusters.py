"""The clusters: as far apart as is said, each with a cubic that no line or parabola follows."""

import numpy as np
import pytest
import torch

from federation.randomness import generator
from federation.settings import DataSettings
from scenarios.library import clusters, clusters_near
from scenarios.library.clusters import CLIENTS, CLUSTERS, DIMENSIONS, NOISE, TEST, drawn, load

DIRECTIONS = np.eye(CLUSTERS, DIMENSIONS)[::-1]


def many(cluster: int = 2, count: int = 200_000):
    return drawn(np.full(count, cluster), DIRECTIONS, 6.0, np.random.default_rng(0))


@pytest.mark.parametrize(("scenario", "rho"), [(clusters, 6.0), (clusters_near, 4.0)])
def test_any_two_clusters_are_rho_apart_and_one_deviation_wide(scenario, rho):
    data = scenario.load(DataSettings(limit=48_000), seed=0)
    assert data.group is not None
    own = [data.train.inputs[torch.from_numpy(data.group % CLUSTERS == k)] for k in range(CLUSTERS)]
    centres = torch.stack([rows.mean(0) for rows in own])
    apart = torch.cdist(centres, centres)[~torch.eye(CLUSTERS, dtype=torch.bool)]
    torch.testing.assert_close(apart, torch.full_like(apart, rho), atol=0.15, rtol=0)
    for rows in own:
        torch.testing.assert_close(rows.T.cov(), torch.eye(DIMENSIONS), atol=0.1, rtol=0)


def test_the_answer_is_the_third_hermite_polynomial_along_the_clusters_own_direction():
    sample = many(count=5)
    along = sample.inputs[:, 5]  # the third row of a unit matrix of eight, from below
    np.testing.assert_allclose(sample.answers, (along**3 - 3 * along) / np.sqrt(6))


def test_an_answer_has_deviation_one_and_nothing_that_a_line_or_a_parabola_follows():
    sample = many()
    assert sample.answers.mean() == pytest.approx(0, abs=0.02)
    assert sample.answers.std() == pytest.approx(1, rel=0.03)
    apart = sample.inputs - sample.inputs.mean(0)
    for power in (1, 2):
        assert np.abs((apart**power * sample.answers[:, None]).mean(0)).max() < 0.05


def test_clients_share_clusters_and_the_test_asks_for_the_answer_without_noise():
    data = load(DataSettings(), seed=3)
    assert data.group is not None
    assert sorted(set(data.group)) == list(range(CLIENTS))
    assert len(data.test) == TEST
    draw = generator(3, "clusters")
    towards = draw.standard_normal((CLUSTERS, DIMENSIONS))
    directions = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    error = []
    for part, group in ((data.train, data.group), (data.test, data.test_group)):
        assert group is not None
        cluster = group % CLUSTERS
        apart = part.inputs.double().numpy() - 6 / np.sqrt(2) * np.eye(CLUSTERS, DIMENSIONS)[cluster]
        along = (apart * directions[cluster]).sum(1)
        error.append(part.targets[:, 0].double().numpy() - (along**3 - 3 * along) / np.sqrt(6))
    assert error[0].std() == pytest.approx(NOISE, rel=0.05)
    np.testing.assert_allclose(error[1], 0, atol=1e-4)


def test_every_seed_has_other_directions_and_the_same_seed_the_same():
    one, again, other = (load(DataSettings(limit=100), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.train.targets, again.train.targets)
    assert not torch.equal(one.train.targets, other.train.targets)
