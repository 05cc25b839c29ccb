"""A user's own data on the command line: it runs, it answers in the user's units, and bad input gets one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
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
