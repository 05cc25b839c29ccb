"""Intervals of Student's t, by its tables."""

import pytest

from scenarios.runs.statistics import mean_interval, summary


def test_three_values_reach_4_303_standard_errors_to_each_side():
    found = mean_interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2.0
    assert found["ci95"] == pytest.approx([2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5], abs=1e-6)


def test_equal_values_leave_nothing_open_and_one_value_everything():
    assert mean_interval([0.5, 0.5]) == {"mean": 0.5, "ci95": [0.5, 0.5]}
    assert mean_interval([0.5]) == {"mean": 0.5, "ci95": None}


def test_differences_are_paired_by_seed():
    found = summary([0.7, 0.9], [0.6, 0.8])
    assert found["difference"]["mean"] == pytest.approx(0.1)
    assert found["difference"]["ci95"] == pytest.approx([0.1, 0.1])
