"""What a run of a deployment is asked, and when it has failed."""

import pytest

from federation.rules import InputError
from scenarios.deployment.operator import Run
from scenarios.deployment.submission import RunFailedError, discreet, fitted, judge

SAVED = "union accuracy 0.9; world model in /results/digits"


def test_a_run_that_has_written_its_results_has_not_failed():
    judge(Run(1, "finished:completed", ""), ["round 1: census", SAVED])


@pytest.mark.parametrize(
    ("status", "details", "log", "cause"),
    [
        ("finished:completed", "", ["round 1: census"], "run 1 ended without results; its last word: round 1: census"),
        ("finished:completed", "", [], "ended without results; its last word: none"),
        ("finished:failed", "no\nnodes", [SAVED], "run 1 finished:failed: no nodes"),
        ("finished:failed", "", ["first", "RuntimeError: last", " "], "finished:failed: RuntimeError: last"),
        ("finished:stopped", "", [], "finished:stopped: nothing was said"),
    ],
)
def test_a_run_that_has_failed_says_why(status, details, log, cause):
    with pytest.raises(RunFailedError, match=cause):
        judge(Run(1, status, details), log)


def test_there_are_as_many_clients_as_sites_where_one_can_choose():
    assert fitted("digits", {"seed": 1}, 3) == {"seed": 1, "partition.clients": 3}
    assert fitted("har", {}, 3) == {}
    with pytest.raises(InputError, match="partition.clients=5, but the deployment has 3 sites"):
        fitted("digits", {"partition.clients": 5}, 3)


def test_sites_send_moments_of_ten_samples_or_more_unless_they_are_asked_for_fewer():
    assert discreet("digits", {"seed": 1}) == {"seed": 1, "charts.min_count": 10}
    assert discreet("digits", {"charts.min_count": 4}) == {"charts.min_count": 4}
