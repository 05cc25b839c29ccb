"""Coverage, accuracy, performance: who dominates whom, and what the command says of it."""

import json
from pathlib import Path

import pytest

from scenarios.studies.cap import FEDERATION, METHODS, dominates, verdicts
from tests.commands import status
from tests.small import flags


def row(coverage, accuracy, flops):
    return {"coverage": {"mean": coverage}, "accuracy": {"mean": accuracy}, "query_flops": flops}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (row(0.9, 0.9, 10), row(0.9, 0.9, 10), False),
        (row(0.9, 0.9, 9), row(0.9, 0.9, 10), True),
        (row(0.91, 0.9, 10), row(0.9, 0.9, 10), True),
        (row(0.91, 0.89, 10), row(0.9, 0.9, 10), False),
        (row(0.99, 0.99, 11), row(0.9, 0.9, 10), False),
    ],
)
def test_one_dominates_another_that_is_nowhere_better_and_somewhere_worse(one, other, expected):
    assert dominates(one, other) is expected


def test_verdicts_are_plain():
    assert verdicts({"world": ["central"], "world_1_2": []}) == [
        "world: dominated on all three by central",
        "world_1_2: no monolith dominates it",
    ]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_federation_of_tiers_is_told_at_every_size(capsys):
    tiers = flags(sizes__kind="tiers", sizes__widths="[1.0, 0.5]", composition__parts='["mixture"]')
    assert status("cap", "digits", "--json", "--out", "run", *tiers) == 0
    found = json.loads(capsys.readouterr().out)
    rows = found["methods"]
    assert rows.keys() == set(METHODS) - {"world_1_4", "world_1_8"}
    assert found["skipped"].keys() == {"world_1_4", "world_1_8"}
    assert rows["world_1_2"]["query_flops"] < rows["world"]["query_flops"]
    assert all(0 <= rows[name]["coverage"]["mean"] <= 1 and rows[name]["latency"] > 0 for name in rows)
    assert found["dominated_by"].keys() == {"world", "world_1_2"} < set(FEDERATION)
    page = Path("run/cap.html").read_text()
    assert "world_1_2" in page
    assert "<svg" in page


def test_real_values_are_refused_before_anything_runs(capsys):
    assert status("cap", "piecewise", "--out", "run") == 2
    assert "take a scenario with classes" in capsys.readouterr().err
    assert not Path("run").exists()
