"""Who is there, and how long an answer takes: determined by the seed, whoever else is asked."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.timing.availability import DAY, Always, AvailabilityRule, Devices, Traces

EVERYBODY = np.arange(2_000)
SEEDS = st.integers(0, 2**31)


def test_whoever_is_always_there_answers_at_once():
    assert Always().online(EVERYBODY, 12.0, 0).all()
    assert not Always().seconds(EVERYBODY, 3, 0).any()


@pytest.mark.parametrize("rule", [Devices(dropout=0.3, awake=0.5), Always()])
@given(SEEDS, st.integers(0, 50), st.lists(st.integers(0, 1_999), min_size=1, max_size=5))
def test_nobody_s_answer_depends_on_who_else_is_asked(rule: AvailabilityRule, seed, sending, some):
    chosen = np.array(some)
    assert (rule.seconds(chosen, sending, seed) == rule.seconds(EVERYBODY, sending, seed)[chosen]).all()
    assert (rule.online(chosen, 7_000.0, seed) == rule.online(EVERYBODY, 7_000.0, seed)[chosen]).all()


def test_half_of_the_answers_take_less_than_the_median():
    seconds = Devices(seconds_per_answer=30, spread=1.0, jitter=0.5).seconds(EVERYBODY, 0, 1)
    assert np.median(seconds) == pytest.approx(30, rel=0.1)
    assert np.log(seconds).std() == pytest.approx(math.hypot(1.0, 0.5), rel=0.05)


def test_a_slow_device_stays_slow():
    rule = Devices(spread=1.0, jitter=0.0)
    assert rule.seconds(EVERYBODY, 0, 1) == pytest.approx(rule.seconds(EVERYBODY, 1, 1))


def test_a_share_of_the_messages_is_never_answered_and_each_time_by_others():
    first, second = (np.isinf(Devices(dropout=0.2).seconds(EVERYBODY, sending, 0)) for sending in (0, 1))
    assert first.mean() == pytest.approx(0.2, abs=0.03)
    assert (first & second).mean() == pytest.approx(0.04, abs=0.02)


def test_without_zones_all_sleep_at_once_and_wake_with_the_day():
    rule = Devices(awake=0.25, zones=0.0)
    assert rule.online(EVERYBODY, 0.2 * DAY, 0).all()
    assert not rule.online(EVERYBODY, 0.3 * DAY, 0).any()
    assert rule.online(EVERYBODY, 1.2 * DAY, 0).all()


def test_over_a_day_each_device_is_online_for_its_share():
    rule = Devices(awake=0.4, zones=0.1)
    hours = np.array([rule.online(EVERYBODY, hour * DAY / 100, 0) for hour in range(100)])
    assert hours.mean(0) == pytest.approx(0.4, abs=0.011)
    assert hours.mean(1).max() > 0.8
    assert hours.mean(1).min() < 0.1


def test_a_trace_is_followed_and_repeats(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text("device,start,end\n0,0,10\n0,30,40\n1,10,40\n")
    rule = Traces(path=str(file))
    times = [0, 10, 35, 45]
    assert [rule.online(np.arange(3), time, 0).tolist() for time in times] == [
        [True, False, True],
        [False, True, False],
        [True, True, True],
        [True, False, True],
    ]


@pytest.mark.parametrize("text", ["", "device,start,end\n", "0,10,5\n", "0,a,b\n", "1,2\n", "0,-4,5\n"])
def test_a_bad_trace_is_refused_in_one_line(tmp_path, text):
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match="give .*device,start,end"):
        Traces(path=str(file))


def test_a_missing_trace_is_refused():
    with pytest.raises(ValueError, match="no readable trace"):
        Traces(path="nowhere.csv")
