"""How many dimensions regions have, and which way they face."""

from math import cos, isnan, pi, sin

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from federation.manifold.angles import leading_directions, principal_angles
from federation.manifold.chart import Chart, Moments
from federation.manifold.dimension import CAP, KEPT, LEAST, Spacing, spacing


def sphere(dimensions: int, count: int, seed: int, ambient: int = 10) -> torch.Tensor:
    """Points on a sphere of unit radius, turned at random in a larger space."""
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(count, dimensions + 1))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    turned = np.linalg.qr(draw.normal(size=(ambient, ambient)))[0][: dimensions + 1]
    return torch.tensor(points @ turned, dtype=torch.float32)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- intrinsic dimension ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_sphere_in_ten_dimensions_has_two(seed):
    assert spacing(sphere(2, 1_000, seed), seeded()).dimension == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("dimensions", [1, 3, 5])
def test_other_spheres_have_theirs(dimensions):
    assert spacing(sphere(dimensions, 1_000, 0), seeded()).dimension == pytest.approx(dimensions, rel=0.15)


def test_the_sums_are_those_of_the_ratios_of_neighbours():
    rows = sphere(2, 200, 0)
    distances = NearestNeighbors(n_neighbors=3).fit(rows.numpy()).kneighbors(rows.numpy())[0]
    logs = np.sort(np.log(distances[:, 2] / distances[:, 1]))
    found = spacing(rows, seeded())
    assert found.used == 180 == KEPT * 200
    assert found.logs == pytest.approx(logs[:180].sum() + 20 * logs[179], rel=1e-3)


def test_the_dimension_of_sums_by_hand():
    assert Spacing(used=12, logs=4.0).dimension == 3
    assert (Spacing(6, 4.0) + Spacing(6, 2.0)).dimension == 2
    assert isnan(Spacing().dimension)


def test_spacings_of_clients_add_up_and_travel_with_their_charts():
    one, other = (spacing(sphere(2, 300, seed), seeded()) for seed in range(2))
    charts = [Chart.from_sums(own.sums()) for own in (one, other)]
    assert (charts[0] + charts[1]).spacing == one + other
    assert (one + other).dimension == pytest.approx(2, abs=0.25)
    assert Chart.from_sums({}).spacing == Spacing()


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
def test_scale_place_and_order_of_the_samples_do_not_matter(seed, scale, shift):
    rows, order = sphere(2, 60, seed).double(), np.random.default_rng(seed).permutation(60)
    plain = spacing(rows, seeded())
    assert spacing(scale * rows[order] + shift, seeded()).logs == pytest.approx(plain.logs, rel=1e-6)


def test_equal_samples_count_once():
    rows = sphere(2, 100, 0)
    assert spacing(rows.repeat(3, 1), seeded()) == spacing(rows, seeded())


@pytest.mark.parametrize("rows", [torch.zeros(50, 3), sphere(2, LEAST - 1, 0), torch.zeros(0, 3)])
def test_too_few_different_samples_send_nothing(rows):
    assert spacing(rows, seeded()).sums() == {}


def test_of_many_samples_a_seeded_draw_is_looked_at():
    rows = sphere(2, CAP + 200, 0)
    assert spacing(rows, seeded()).used == KEPT * CAP
    assert spacing(rows, seeded()) == spacing(rows, seeded())
    assert spacing(rows, seeded(1)) != spacing(rows, seeded())


# --- principal angles ------------------------------------------------------------------------------------------------


def along(*directions: tuple[float, ...]) -> Moments:
    """A region whose leading directions are these, in order, and that is flat elsewhere."""
    axes = torch.tensor(directions, dtype=torch.float64)
    second = sum((n + 1) * torch.outer(axis, axis) for n, axis in enumerate(axes.flip(0)))
    return Moments(1.0, torch.zeros(axes.shape[1], dtype=torch.float64), second)


X, Y, Z, TURNED = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (cos(0.3), sin(0.3), 0.0)


@pytest.mark.parametrize(
    ("one", "other", "angles"),
    [
        (along(X), along(X), [0.0]),
        (along(X), along(Y), [pi / 2]),
        (along(X), along(TURNED), [0.3]),
        (along(X, Z), along(TURNED, Z), [0.3, 0.0]),
        (along(X, Y), along(TURNED, Z), [pi / 2, 0.0]),
    ],
)
def test_angles_between_the_leading_directions(one, other, angles):
    assert principal_angles(one, other, len(angles)).tolist() == pytest.approx(angles, abs=1e-7)


def test_leading_directions_are_orthonormal_and_those_of_most_variance():
    rows = torch.tensor(np.random.default_rng(0).normal(size=(500, 3)) * [5.0, 0.1, 3.0])
    found = leading_directions(Moments(500, rows.sum(0), rows.T @ rows), 2)
    torch.testing.assert_close(found.T @ found, torch.eye(2, dtype=torch.float64))
    assert float(found[1].abs().max()) < 0.01
