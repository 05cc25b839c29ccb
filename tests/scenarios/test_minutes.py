"""A budget of time: what is cut, what stays, what is written down."""

import pytest

from federation.opening import open_scenario
from scenarios.commands.jobs import Compare, Simulate, unfinished
from scenarios.runs.folder import RunFolder
from scenarios.runs.minutes import cut, fitted
from scenarios.runs.plan import plan
from server.schedule import schedule
from tests.commands import status
from tests.small import ROUNDS

OPENED = open_scenario("digits")
SCENARIO, TASK = OPENED.scenario, OPENED.federation().task
STEPS = schedule(SCENARIO, TASK)
A_SECOND = {step.phase.name: 1.0 for step in STEPS}


def left(seconds: float, said: tuple[str, ...] = (), searched: float = 0.0) -> tuple[dict, float]:
    """What is set where each round takes a second, and each factor of a search as long as `searched` runs."""
    return cut(SCENARIO, TASK, said, A_SECOND, seconds, lambda search: 1 + searched * (len(search.factors) > 1))


def test_nothing_is_cut_where_all_of_it_fits():
    assert left(len(STEPS)) == ({}, len(STEPS))


def test_the_search_is_given_up_before_a_round_is():
    settings, seconds = left(len(STEPS), searched=2.0)
    assert settings == {"search.factors": [1.0]}
    assert seconds == len(STEPS)


def test_rounds_are_cut_until_they_fit_and_no_further():
    settings, seconds = left(len(STEPS) - 1)
    assert seconds <= len(STEPS) - 1
    assert settings["prior.rounds"] == round(0.75 * SCENARIO.prior.rounds)
    assert left(seconds)[0] == settings


def test_a_round_of_each_phase_stays_however_short_the_time_is():
    settings, seconds = left(0.0)
    assert {value for field, value in settings.items() if field != "search.factors"} == {1}
    assert seconds == len({step.phase.name for step in STEPS})


def test_what_the_user_has_set_stays():
    settings, _ = left(0.0, said=("prior.rounds", "search"))
    assert settings
    assert not {"prior.rounds", "search.factors"} & settings.keys()


def test_a_comparison_counts_each_method_s_search_and_seeds():
    where = {"reference": "digits", "overrides": {}, "seed": 0}
    search = SCENARIO.search
    tried = search.share * (len(search.factors) + 2)
    job = Compare(**where, methods=("world", "without_experts", "central"), seeds=3)
    assert job.trainings(search) == pytest.approx(2 * (3 + tried))
    assert Simulate(**where).trainings(search) == 1


def test_the_prediction_is_that_of_the_plan():
    found = fitted(1000.0, "digits", ROUNDS, 0, 0, lambda search: 1.0)
    rounds = {phase.phase: phase.rounds for phase in plan("digits", ROUNDS, 0, 0).phases}
    assert found.settings == {}
    assert found.seconds == pytest.approx(sum(found.measured[name] * rounds[name] for name in rounds))


def test_what_was_chosen_is_saved_and_a_resumed_run_measures_nothing_anew(tmp_path):
    job = Simulate(reference="digits", overrides=ROUNDS | {"novelty.rounds": 3}, seed=0, workers=0).within(1e-6)
    assert job.cut is not None
    assert "less than this cannot be trained" in str(job.cut)
    job.begin(tmp_path / "run")
    taken_up = unfinished(RunFolder(tmp_path / "run"))
    assert (taken_up.cut, taken_up.overrides) == (job.cut, job.overrides)


def test_the_command_says_what_was_chosen(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [word for field, value in ROUNDS.items() for word in ("--set", f"{field}={value}")]
    assert status("simulate", "digits", "--minutes", "1000", "--quiet", "--workers", "0", "--out", "run", *small) == 0
    assert "1000 minutes: nothing is cut; " in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "--method", "fedavg"),
        ("simulate", "--until", "stable"),
        ("compare", "--rounds", "3", "--methods", "fedavg"),
    ],
)
def test_rounds_that_are_said_otherwise_are_refused(words, capsys):
    assert status(words[0], "digits", "--minutes", "1", *words[1:]) == 2
    assert "--minutes chooses the rounds" in capsys.readouterr().err
