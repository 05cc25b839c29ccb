"""When iteration has come to its fixed point."""

from math import inf, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clients.probing import divergence
from federation.learning.fixed_point import FixedPoint, Watch, contraction_rate
from federation.opening import open_scenario
from federation.rules import InputError
from federation.tasks import Classification, Regression

BOUNDS = FixedPoint(residual=0.01, divergence=0.02, rounds=3)


def watched(residuals, divergence=0.0, bounds=BOUNDS):
    watch = Watch()
    for residual in residuals:
        watch = watch.seen(residual, divergence, bounds)
    return watch


@given(rate=st.floats(0.05, 2.0), start=st.floats(1e-6, 10))
def test_the_rate_of_a_linear_map_is_measured_as_such(rate, start):
    residuals = [start * rate**t for t in range(6)]
    assert contraction_rate(residuals) == pytest.approx(rate)
    assert watched(residuals).rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("residuals", "rate"),
    [((), inf), ((0.1,), inf), ((0.0, 0.0), 0.0), ((0.0, 0.1), inf), ((4, 2, 1, 8, 4), 0.5)],
)
def test_rates_of_known_cases(residuals, rate):
    assert contraction_rate(residuals) == rate


@given(st.floats(1.01, 3.0), st.floats(1e-9, 1e-4))
def test_an_expansion_is_never_called_stable(rate, start):
    assert not watched([start * rate**t for t in range(8)]).stable(BOUNDS)


@given(st.floats(0.1, 0.95), st.floats(0.001, 1.0))
def test_a_contraction_is_stable_after_enough_calm_rounds_and_stays_so(rate, start):
    residuals = [start * rate**t for t in range(200)]
    first = next(t for t in range(1, 200) if watched(residuals[:t]).stable(BOUNDS))
    assert all(residual <= 0.01 for residual in residuals[first - 3 : first])
    assert all(watched(residuals[:t]).stable(BOUNDS) for t in range(first, first + 10))


def test_every_bound_must_hold_in_a_row():
    calm = [0.008, 0.007, 0.006, 0.005]
    assert watched(calm).stable(BOUNDS)
    assert not watched(calm[:3]).stable(BOUNDS)  # a rate takes two residuals
    assert not watched(calm, divergence=0.03).stable(BOUNDS)
    assert not watched([*calm, 0.02]).stable(BOUNDS)
    assert not watched([*calm, 0.02, 0.005, 0.004]).stable(BOUNDS)


def test_without_a_bound_nothing_is_stable():
    assert not watched([0.0] * 9, bounds=FixedPoint()).stable(FixedPoint())


def test_a_falling_learning_rate_is_refused_for_everything_comes_to_rest_under_it():
    with pytest.raises(InputError, match="set local.schedule=constant"):
        open_scenario("domains", {"fixed_point.residual": 0.01})


@pytest.mark.parametrize(
    ("task", "now", "before", "expected"),
    [
        (Classification(input_shape=(1,), outputs=2), [[0.5, 0.5]], [[0.25, 0.75]], [0.5 * log(4 / 3)]),
        (Classification(input_shape=(1,), outputs=2), [[1.0, 0.0]], [[0.5, 0.5]], [log(2)]),
        (Regression(input_shape=(1,), outputs=2), [[1.0, 3.0]], [[0.0, 1.0]], [2.5]),
    ],
)
def test_divergences_of_known_answers(task, now, before, expected):
    assert divergence(torch.tensor(now), torch.tensor(before), task).tolist() == pytest.approx(expected)
