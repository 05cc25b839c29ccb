"""A user's own data on the command line: it runs, it answers in the user's units, and bad input gets one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from federation.opening import open_run
from federation.world_model import WorldModel
from tests.commands import status
from tests.raw import frame, written
from tests.small import flags


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    assert status("simulate", *arguments, *flags(prior__rounds=3, local__epochs=3), "--out", "run", "--quiet") == 0
    return WorldModel.load("run"), json.loads(Path("run/simulation.json").read_text())["union"]


def opened():
    job = json.loads(Path("run/config.json").read_text())["job"]
    return open_run({"scenario": job["reference"], "overrides": json.dumps(job["overrides"]), "seed": job["seed"]})


def in_a_new_process(file):
    """What the saved world model answers to the rows of a file, where nothing is known of the run."""
    script = (
        "import sys, numpy as np, pandas as pd; from federation.world_model import WorldModel; "
        "np.save('answers.npy', WorldModel.load('run').predict(pd.read_parquet(sys.argv[1])).numpy())"
    )
    subprocess.run([sys.executable, "-c", script, file], check=True)
    return np.load("answers.npy")


def test_classes_from_raw_rows_and_back():
    train, test = frame(300)[:240], frame(300)[240:].reset_index(drop=True)
    written(train, Path("train.csv"))
    written(test, Path("test.parquet"))
    arguments = ("--data", "train.csv", "--label", "bought", "--client", "shop", "--ignore", "euro", "--ignore", "kilo")
    world, told = run(*arguments, "--test", "test.parquet")
    answers = in_a_new_process("test.parquet")
    named = np.array(world.design.preparation.classes)[answers.argmax(1)]
    assert (named == test["bought"]).mean() == pytest.approx(told, abs=1e-6)
    assert told > 0.75
    assert len(opened().federation().clients) == 3
    columns = [column.name for column in world.design.preparation.columns]
    np.testing.assert_allclose(world.predict(test[columns].to_dict("list")), answers, rtol=1e-5)
    np.testing.assert_allclose(world.predict(test[columns].to_dict("records")), answers, rtol=1e-5)
    np.testing.assert_allclose(world.predict(test[columns].to_numpy(object)), answers, rtol=1e-5)


def test_amounts_from_raw_rows_and_back():
    train, test = frame(300)[:240], frame(300)[240:].reset_index(drop=True)
    written(train, Path("train.csv"))
    written(test, Path("test.parquet"))
    arguments = ("--data", "train.csv", "--label", "euro", "--label", "kilo", "--ignore", "bought")
    world, told = run(*arguments, "--test", "test.parquet")
    answers, truth = in_a_new_process("test.parquet"), test[["euro", "kilo"]].to_numpy()
    scale = np.array(world.design.preparation.target_scale)
    left, spread = (((each / scale) ** 2).sum() for each in (answers - truth, truth - truth.mean(0)))
    assert 1 - left / spread == pytest.approx(told, abs=1e-6)
    assert told > 0.3


def test_images_from_raw_pixels_and_back():
    draw = np.random.Generator(np.random.PCG64(0))
    y = np.arange(200) % 2
    x = (draw.integers(0, 100, (200, 6, 6, 3)) + 100 * y[:, None, None, None]).astype(np.uint8)
    np.savez("mine.npz", x_train=x[:150], y_train=y[:150], x_test=x[150:], y_test=y[150:])
    world, told = run("--data", "mine.npz")
    assert (world.predict(x[150:]).argmax(1).numpy() == y[150:]).mean() == pytest.approx(told, abs=1e-6)
    assert told > 0.9


def test_a_preparation_that_does_not_fit_the_models_is_refused_on_load():
    written(frame(), Path("mine.parquet"))
    run("--data", "mine.parquet", "--label", "bought", "--ignore", "euro", "--ignore", "kilo")
    manifest = Path("run/world_model.json")
    saved = json.loads(manifest.read_text())
    columns = saved["preparation"]["columns"]
    for broken in (
        {"columns": columns[1:]},
        {"columns": [columns[0] | {"scale": 0.0}, *columns[1:]]},
        {"columns": [columns[0] | {"kind": "colour"}, *columns[1:]]},
        {"classes": ["yes"]},
    ):
        manifest.write_text(json.dumps(saved | {"preparation": saved["preparation"] | broken}))
        with pytest.raises(ValueError, match="holds no readable world model"):
            WorldModel.load("run")


def test_plan_and_compare_take_the_same_options(capsys):
    written(frame(), Path("mine.csv"))
    own = ("--data", "mine.csv", "--label", "bought", "--ignore", "euro", "--ignore", "kilo")
    assert status("plan", *own, *flags(), "--json") == 0
    assert json.loads(capsys.readouterr().out)["clients"] == 5
    assert status("compare", *own, *flags(), "--methods", "world,central", "--out", "run", "--quiet") == 0
    assert json.loads(Path("run/comparison.json").read_text())["metric"] == "accuracy"


# --- bad input -------------------------------------------------------------------------------------------------------


def noise(rows=120):
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.normal(size=(rows, 4))
    return pd.DataFrame(x, columns=list("abcd")).assign(y=np.where(x[:, 0] + x[:, 1] > 0, "yes", "no"))


def refused(capsys, *arguments):
    """The one line with which a command ends that has left nothing behind."""
    assert status("simulate", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert not Path("runs").exists()
    return printed.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": np.arange(120) % 50}, "mine.parquet, column y holds whole numbers, 50 different ones in 120 rows"),
        (
            {"y": [0.5, np.nan, *np.arange(118) / 7]},
            "column 'y' is missing or NaN in 1 rows, the first is row 2; leave",
        ),
        ({"y": [0.5, np.inf, *np.arange(118) / 7]}, "column 'y', row 2 is infinite"),
        ({"y": "yes"}, "column y holds one class only"),
        ({"y": 2.5}, "the same for all samples"),
        ({"y": pd.Timestamp("2026-01-01")}, "column 'y' holds dates; expected classes or amounts"),
        ({"a": [0.5, np.inf, *np.arange(118)]}, "column 'a', row 2 is infinite; leave such cells empty"),
        (
            {"a": [[1.0]] * 120},
            "column 'a' holds list<element: double>; expected numbers, text, true or false, or dates",
        ),
    ],
)
def test_a_table_that_cannot_be_learned_is_refused_in_one_line(change, said, capsys):
    written(noise().assign(**change), Path("mine.parquet"))
    assert said in refused(capsys, "--data", "mine.parquet", "--label", "y")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("mine.csv", "", "mine.csv is empty; expected a table with a row of column names"),
        ("mine.csv", "x,y\n", "mine.csv has column names and no rows; expected 3 or more"),
        ("mine.csv", "x,y\n1,yes\n", "mine.csv has 1 rows; expected 3 or more, to train and to test"),
        ("mine.csv", "x,y\n1,yes\n2,no\n3,yes,4\n", "Row #4: Expected 2 columns, got 3"),
        ("mine.csv", "x,x,y\n1,2,yes\n", "mine.csv: CSV file contained multiple columns named x; mend that"),
        ("mine.csv", "y\nyes\nno\n", "mine.csv has no column beside y; nothing is there to learn from"),
        ("mine.csv", "x,z\n1,yes\n", "mine.csv has no column 'y'"),
        ("mine.npz", "x,y\n1,yes\n", "mine.npz is no readable npz file; a table of text needs the ending csv"),
        ("mine.parquet", "x,y\n1,yes\n", "mine.parquet: "),
        ("mine.jsonl", '{"x": 1, "y": 2}\n{"x": "a", "y": 3}\n', "Column(/x) changed from number to string in row 1"),
        ("mine.xls", "x,y\n", "mine.xls: unknown ending '.xls'; expected npz, .csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(file, text, said, capsys):
    Path(file).write_text(text, encoding="utf-8")
    line = refused(capsys, "--data", file, *(() if file.endswith("npz") else ("--label", "y")))
    assert said in line
    assert "pickle" not in line


def test_a_column_that_changes_its_kind_is_refused_with_its_row(capsys):
    Path("mine.csv").write_text("x,y\n" + "1,yes\n2,no\n" * 2**20 + "many,yes\n", encoding="utf-8")
    line = refused(capsys, "--data", "mine.csv", "--label", "y")
    assert "mine.csv: column 'x': Row #2097154: CSV conversion error to double: invalid value 'many'" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say by --label which column is to be learned: a, b, c, d, y"),
        (("--label", "yy"), "has no column 'yy'; did you mean 'y'?"),
        (("--label", "y", "--client", "who"), "has no column 'who'"),
        (("--label", "y", "--label", "a"), "y, a are not all numbers; one label of classes, or amounts only"),
        (("--label", "y", "--task", "regression"), "--task regression needs numbers"),
        (("--label", "y", "--test", "none.csv"), "none.csv; give the path of an existing file or folder"),
        (("--label", "y", "--test", "2"), "--test 2: expected a file, or a share between 0 and 1 such as 0.2"),
        (
            ("--label", "y", "--test", "strange.parquet"),
            "strange.parquet, column y holds class maybe, which no training sample has",
        ),
        (("--label", "y", "--test", "short.parquet"), "short.parquet has no column 'a'"),
        (("digits", "--label", "y"), "expected either SCENARIO, or --data"),
    ],
)
def test_options_that_do_not_fit_the_table_are_refused_in_one_line(arguments, said, capsys):
    written(noise(), Path("mine.parquet"))
    written(noise(9).assign(y="maybe"), Path("strange.parquet"))
    written(noise(9).drop(columns="a"), Path("short.parquet"))
    assert said in refused(capsys, "--data", "mine.parquet", *arguments)


def test_clients_that_are_all_too_small_are_refused(capsys):
    written(noise().assign(who=np.arange(120) // 2), Path("mine.parquet"))
    line = refused(capsys, "--data", "mine.parquet", "--label", "y", "--client", "who")
    assert "no client has 5 training samples of one kind, the largest number is 2; take larger clients" in line


WIDE = pd.DataFrame(np.random.Generator(np.random.PCG64(0)).normal(size=(50, 10_000)), columns=map(str, range(10_000)))


@pytest.mark.parametrize(
    "table",
    [
        noise().assign(who="me"),
        noise().assign(who=["solo", *["rest"] * 119]),
        noise().assign(who=np.arange(120) % 3, y=lambda f: f["y"].where(f["who"] > 0, "yes")),
        noise().assign(big=lambda f: 1e30 * f["a"], same=1e30, text="x", flag=True, none=None),
        noise().assign(y=lambda f: 1e30 * f["a"]),
        WIDE.assign(y=["yes", "no"] * 25),
    ],
    ids=[
        "one client",
        "a client of one row",
        "a client of one class",
        "wild columns",
        "wild amounts",
        "10,000 columns",
    ],
)
def test_what_can_run_runs(table):
    written(table, Path("mine.parquet"))
    told = ("--data", "mine.parquet", "--label", "y", *(("--client", "who") if "who" in table else ()))
    assert status("simulate", *told, *flags(prior__rounds=3), "--out", "run", "--quiet") == 0
    answers = WorldModel.load("run").predict(table)
    assert bool(answers.isfinite().all())
    assert len(answers) == len(table)
