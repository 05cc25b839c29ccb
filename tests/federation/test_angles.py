"""Which way regions face."""

from math import cos, pi, sin

import numpy as np
import pytest
import torch

from federation.manifold.angles import leading_directions, principal_angles, spread
from federation.manifold.chart import Moments


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


@pytest.mark.parametrize(
    ("variances", "directions"), [((4.0, 0.0, 0.0), 1), ((4.0, 4.0, 0.0), 2), ((1.0, 1.0, 1.0), 3), ((0.0,) * 3, 1)]
)
def test_a_region_varies_in_as_many_directions_as_have_much_of_its_variance(variances, directions):
    flat = torch.zeros(3, dtype=torch.float64)
    assert spread(Moments(1.0, flat, torch.tensor(variances, dtype=torch.float64).diag())) == directions
