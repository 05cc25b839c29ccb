"""Sweeps: what the grid is, that points are ranked by held-out samples, and that nothing but the input matters."""

import json
from pathlib import Path

import pytest

from federation.rules import InputError
from scenarios.runs.experiment import TRIALS, Experiment, Result, run
from scenarios.runs.folder import RunFolder
from scenarios.runs.overrides import alternatives
from scenarios.studies.sweep import Sweep, drawn, sheet, summarised
from tests.commands import status
from tests.small import ROUNDS, Quiet

TINY = ROUNDS | {"partition.clients": 3, "prior.rounds": 1, "data.limit": 300}
FIXED = {field: [value] for field, value in TINY.items()}
RANKS = {"charts.rank": [1, 2, 3]}
DIVERGES = 1e30


def flags(**more):
    fields = TINY | {name.replace("__", "."): value for name, value in more.items()}
    return ["--workers", "0", "--quiet"] + [w for f, value in fields.items() for w in ("--set", f"{f}={value}")]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def folder(name):
    return RunFolder.create(Path(name), "digits")


class Stopping(Quiet):
    """Ctrl-C after some trials."""

    def __init__(self, after):
        self.left = after

    def advance(self):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


# --- values and grid -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16,32", [16, 32]),
        ("0.05", [0.05]),
        ("[8,16,16], [16,32,32]", [[8, 16, 16], [16, 32, 32]]),
        ("private_regions,shared_regions", ["private_regions", "shared_regions"]),
        ("true,false", [True, False]),
        ('"a,b",c', ["a,b", "c"]),
        (r'"say \"a,b\"",1', ['say "a,b"', 1]),
        ("'a,b','c'", ["a,b", "c"]),
        ("{a = 1, b = [2, 3]},4", [{"a": 1, "b": [2, 3]}, 4]),
    ],
)
def test_commas_outside_brackets_and_quotes_separate_values(text, values):
    assert alternatives([f"field={text}"], None, None) == {"field": values}


@pytest.mark.parametrize("text", ["1,", ",1", "1,,2", "1,2,1", ""])
def test_values_that_are_missing_or_named_twice_are_refused(text):
    with pytest.raises(InputError, match="expected different values with commas between them"):
        alternatives([f"field={text}"], None, None)


GRID = {"a": [1, 2], "b": ["x", "y", "z"]}


def test_a_grid_holds_every_combination_the_last_field_changing_fastest():
    assert [tuple(point.values()) for point in drawn(GRID, None, 0)] == [
        (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"),
    ]  # fmt: skip


def test_a_random_part_is_drawn_without_return_by_the_seed_alone_and_stays_in_the_order_of_the_grid():
    some = [tuple(point.values()) for point in drawn(GRID, 4, 0)]
    assert some == [(1, "y"), (1, "z"), (2, "x"), (2, "y")]
    assert some != [tuple(point.values()) for point in drawn(GRID, 4, 1)]


def test_as_many_random_points_as_the_grid_has_are_the_grid():
    assert drawn(GRID, 6, 0) == drawn(GRID, 7, 0) == drawn(GRID, None, 0)


def test_a_grid_too_large_to_lay_out_can_be_drawn_from():
    assert len(drawn({f"field{n}": range(1000) for n in range(5)}, 3, 0)) == 3


def test_a_single_value_is_the_same_in_all_points():
    sweep = Sweep.of("digits", {"partition.clients": [3], "charts.rank": [1, 2]}, None, [0])
    assert sweep.points == {"charts.rank=1": {"charts.rank": 1}, "charts.rank=2": {"charts.rank": 2}}
    assert sweep.experiment.variants == {
        "charts.rank=1": {"partition.clients": 3, "charts.rank": 1},
        "charts.rank=2": {"partition.clients": 3, "charts.rank": 2},
    }


def test_a_sweep_survives_json():
    sweep = Sweep.of("digits", FIXED | RANKS, None, [0, 1])
    assert Sweep.load(json.loads(json.dumps(sweep.dump()))) == sweep


# --- the table -------------------------------------------------------------------------------------------------------


def scored(rank, seed, held_out, union):
    return Result(f"charts.rank={rank}", seed, 1.0, {"union": union, "local": None, "held_out": held_out})


def test_points_are_ranked_by_held_out_samples_and_never_by_the_test_set():
    sweep = Sweep.of("digits", RANKS, None, [0])
    result = summarised(sweep, [scored(1, 0, 0.7, 0.9), scored(2, 0, 0.8, 0.1), scored(3, 0, 0.6, 0.95)])
    assert [row["overrides"] for row in result["points"]] == [{"charts.rank": n} for n in (2, 1, 3)]
    assert [row["scores"]["union"]["mean"] for row in result["points"]] == [0.1, 0.9, 0.95]


def test_intervals_are_over_seeds():
    sweep = Sweep.of("digits", {"charts.rank": [1, 2]}, None, [0, 1])
    results = [scored(1, 0, 0.6, 0.5), scored(2, 0, 0.1, 0.1), scored(1, 1, 0.8, 0.5), scored(2, 1, 0.1, 0.1)]
    best = summarised(sweep, results)["points"][0]["scores"]
    assert best["held_out"]["mean"] == pytest.approx(0.7)
    assert best["held_out"]["ci95"] == pytest.approx(
        [0.7 - 12.7062 * 0.1, 0.7 + 12.7062 * 0.1], rel=1e-4
    )  # t, 1 degree
    assert best["held_out"]["per_seed"] == [0.6, 0.8]
    assert best["union"]["ci95"] == [0.5, 0.5]
    assert "local" not in best


def test_points_with_failures_come_after_the_others_and_are_named():
    sweep = Sweep.of("digits", RANKS, None, [0, 1])
    lost = Result("charts.rank=1", 1, 1.0, failure="RoundLostError: nobody")
    results = [scored(1, 0, 0.99, 0.9), scored(2, 0, 0.5, 0.5), scored(3, 0, 0.6, 0.6)]
    result = summarised(sweep, [*results, lost, scored(2, 1, 0.5, 0.5), scored(3, 1, 0.6, 0.6)])
    assert [(row["overrides"]["charts.rank"], row["finished"]) for row in result["points"]] == [(3, 2), (2, 2), (1, 1)]
    assert result["failed"] == ["charts.rank=1, seed 1: failed, RoundLostError: nobody"]


@pytest.mark.parametrize("fields", [["charts.rank"], ["a", "b"], ["a", "b", "c"]])
def test_a_page_has_the_table_and_a_picture_of_one_two_or_more_fields(fields):
    points = [{"overrides": dict.fromkeys(fields, n), "finished": 1, "scores": {}} for n in (1, 2)]
    for row, mean in zip(points, (0.75, 0.5), strict=True):
        row["scores"] = {score: {"mean": mean, "ci95": None, "per_seed": [mean]} for score in ("held_out", "union")}
    result = {
        "scenario": "digits", "metric": "accuracy", "seeds": [0], "fields": {field: [1, 2] for field in fields},
        "points": points, "failed": ["a=1, seed 0: failed, <b>"],
    }  # fmt: skip
    shown = sheet(result, "Digits", "union")
    assert shown.rows == [
        ["1"] * len(fields) + ["75.0\u00a0%", "75.0\u00a0%", "1 of 1"],
        ["2"] * len(fields) + ["50.0\u00a0%", "50.0\u00a0%", "1 of 1"],
    ]
    page = shown.render()
    assert page.count("<svg") == 1
    assert "failed, &lt;b&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


# --- running ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A sweep and the results of all its trials, run one after another."""
    sweep = Sweep.of("digits", FIXED | RANKS, None, [0, 1])
    done = RunFolder.create(tmp_path_factory.mktemp("sweep") / "run", "digits")
    return sweep, done, summarised(sweep, run(sweep.experiment, done, Quiet(), workers=0))


def test_a_stopped_sweep_goes_on_to_the_same_result(undisturbed):
    sweep, _, expected = undisturbed
    stopped = folder("stopped")
    with pytest.raises(KeyboardInterrupt):
        run(sweep.experiment, stopped, Stopping(after=4), workers=0)
    assert len(stopped.read_lines(TRIALS)) == 4
    with (stopped.path / TRIALS).open("a") as file:
        file.write('{"variant": "charts.ra')  # and the power went out
    before = (stopped.path / TRIALS).read_text().splitlines()[:4]
    results = run(sweep.experiment, stopped, Quiet(), workers=0)
    assert json.dumps(summarised(sweep, results)) == json.dumps(expected)
    assert (stopped.path / TRIALS).read_text().splitlines()[:4] == before
    assert len(stopped.read_lines(TRIALS)) == 6


def test_the_order_in_which_trials_end_does_not_matter(undisturbed):
    sweep, done, expected = undisturbed
    backwards = folder("backwards")
    for line in reversed(done.read_lines(TRIALS)):
        backwards.append(TRIALS, line)
    assert json.dumps(summarised(sweep, run(sweep.experiment, backwards, Quiet(), workers=0))) == json.dumps(expected)


def test_a_trial_gives_the_same_whatever_ran_before_it(undisturbed):
    sweep, done, _ = undisturbed
    alone = Experiment("digits", {"charts.rank=3": sweep.experiment.variants["charts.rank=3"]}, (1,))
    [result] = run(alone, folder("alone"), Quiet(), workers=0)
    [line] = [line for line in done.read_lines(TRIALS) if (line["variant"], line["seed"]) == ("charts.rank=3", 1)]
    assert (result.scores, result.composition) == (line["scores"], line["composition"])


def test_a_trial_that_fails_stops_no_other_and_is_tried_again(capsys):
    command = ["sweep", "digits", "--out", "run", *flags(), "--set", f"local.learning_rate={DIVERGES},0.1"]
    assert status(*command) == 0
    printed = capsys.readouterr().out
    assert f"local.learning_rate={DIVERGES}, seed 0: failed, RoundLostError: prior round 1" in printed
    result = json.loads(Path("run/sweep.json").read_text())
    assert [(row["overrides"], row["finished"]) for row in result["points"]] == [
        ({"local.learning_rate": 0.1}, 1),
        ({"local.learning_rate": DIVERGES}, 0),
    ]
    first = Path("run/trials.jsonl").read_text().splitlines()
    assert status(*command) == 0  # the same command goes on
    again = Path("run/trials.jsonl").read_text().splitlines()
    assert again[0] == next(line for line in first if '"failure": ""' in line)
    assert len(again) == 2
    assert json.loads(Path("run/sweep.json").read_text()) == result


def test_where_all_trials_fail_the_status_is_one(capsys):
    assert status("sweep", "digits", *flags(), "--set", f"local.learning_rate={DIVERGES},{10 * DIVERGES}") == 1
    assert capsys.readouterr().err.startswith("failed: all trials failed; local.learning_rate=1e+30, seed 0: failed, ")


def test_a_sweep_prints_one_json_object_and_can_be_resumed_by_its_folder(capsys):
    swept = ["--set", "charts.rank=1,2", "--set", "encoder.dimensions=8,16"]
    assert status("sweep", "digits", "--json", "--random", "2", "--out", "run", *flags(), *swept) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {**json.loads(Path("run/sweep.json").read_text()), "out": "run"}
    assert {file.name for file in Path("run").iterdir()} == {"config.json", "trials.jsonl", "sweep.json", "sweep.html"}
    Path("run/trials.jsonl").write_text("")
    before = Path("run/sweep.json").read_bytes(), Path("run/sweep.html").read_bytes()
    assert status("sweep", "--resume", "run", "--workers", "0", "--quiet") == 0
    assert (Path("run/sweep.json").read_bytes(), Path("run/sweep.html").read_bytes()) == before


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digits"], "nothing to sweep; give a field several values"),
        (["digits", "--set", "local.epochs=1"], "nothing to sweep"),
        (["digits", "--set", "local.epoch=1,2"], "local.epoch=1: unknown key 'local.epoch'; did you mean 'epochs'?"),
        (["digits", "--set", "local.epochs=1,0"], "local.epochs=0: local.epochs: Input should be greater than"),
        (["digits", "--set", "local.epochs=1,many"], "local.epochs=many: local.epochs: Input should be a valid int"),
        (["digits", "--set", "model.kind=mlp,convnet"], "model.kind=convnet: a convnet needs inputs"),
        (["digits", "--set", "partition.clients=5,100000"], "partition.clients=100000: "),
        (["digits", "--set", "local.epochs=1,2,2"], "expected different values with commas between them"),
        (["digits", "--set", "local.epochs"], "expected FIELD=VALUE"),
        (["digits", "--set", "local.epochs=1,2", "--metric", "unoin"], "unknown score 'unoin'; did you mean 'union'?"),
        (["digits", "--set", "local.epochs=1,2", "--out", "."], "output folder . exists already, and holds no sweep"),
        (["digits", "--set", "local.epochs=1,2", "--random", "0"], "--random"),
        (["--set", "local.epochs=1,2"], "expected either SCENARIO with its settings, or --resume"),
        (["digits", "--resume", "."], "expected either SCENARIO with its settings, or --resume"),
        (["--resume", "none"], "none holds no readable config.json"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line_status_two_and_no_folder(arguments, line, capsys):
    assert status("sweep", *arguments, "--workers", "0") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert line in printed.err
    assert list(Path().iterdir()) == []


def test_a_folder_of_other_settings_is_not_continued(capsys):
    sweep = Sweep.of("digits", FIXED | RANKS, None, [0])
    folder("run").write_json("config.json", {"sweep": sweep.dump()})
    assert status("sweep", "digits", "--out", "run", *flags(), "--set", "charts.rank=1,2") == 2
    assert "holds no sweep of these settings and versions; name another by --out" in capsys.readouterr().err
    assert status("sweep", "--resume", "run", "--quiet") == 2  # nor one of other versions


def test_a_damaged_file_of_trials_is_refused(capsys):
    done = folder("run")
    (done.path / TRIALS).write_text('{"variant": \n{}\n')
    with pytest.raises(InputError, match="trials.jsonl is damaged"):
        done.read_lines(TRIALS)
