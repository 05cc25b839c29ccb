"""A user's raw rows: prepared alike for training and for a saved model, and values come back in their own units."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from federation.data.arrays import ArrayRows
from federation.data.preparation import Preparation
from federation.data.spread import Spread
from federation.opening import open_run, run_config
from federation.rules import InputError
from federation.world_model import WorldModel
from tests.commands import status
from tests.small import flags


def test_columns_are_centred_and_scaled_in_float64():
    times = 1.7e9 + np.arange(100.0)  # seconds since 1970: float32 would make one number of all of them
    tiny, constant = 1e-9 * np.arange(100.0), np.full(100, 1e30)
    centre, scale = Spread.of(np.stack([times, tiny, constant], 1), "mine").standard()
    found = Preparation(centre=centre, scale=scale).inputs(np.stack([times, tiny, constant], 1))
    expected = (torch.arange(100.0) - 49.5) / np.arange(100).std()
    torch.testing.assert_close(found, torch.stack([expected, expected, torch.zeros(100)], 1), rtol=1e-4, atol=1e-4)


def test_a_column_that_is_constant_in_training_and_a_little_off_in_the_test_stays_small():
    centre, scale = Spread.of(np.full((50, 1), 7.0), "mine").standard()
    assert Preparation(centre=centre, scale=scale).inputs(np.array([[7.001]])).item() == pytest.approx(0.001, rel=1e-3)


@pytest.mark.parametrize(
    ("pixels", "least", "most"),
    [
        (np.array([[[0, 255]]], np.uint8), -1, 1),
        (np.array([[[0.0, 255.0]]]), -1, 1),
        (np.array([[[0.0, 1.0]]], np.float32), -1, 1),
        (np.array([[[100, 900]]], np.int32), -1, 1),
        (np.array([[[3.0, 3.0]]]), 0, 0),
    ],
)
def test_images_of_any_type_span_the_same_range(pixels, least, most):
    rows = ArrayRows("mine", "y", np.repeat(pixels, 2, 0), np.array([0, 1]))
    found = rows.summary("classification", rows.all).preparation("mine").inputs(pixels)
    assert found.shape == (1, 1, 1, 2)
    assert found.flatten().tolist() == pytest.approx([least, most])


def test_rows_of_another_width_are_refused():
    with pytest.raises(InputError, match="have 3 columns, expected 2"):
        Preparation(centre=(0.0, 1.0), scale=(1.0, 1.0)).inputs(np.ones((4, 3)))


def table(path, kind, draw):
    """A file of raw rows: two columns of very different sizes."""
    x = np.stack([draw.normal(1e6, 1e3, 240), draw.normal(0, 1e-3, 240)], 1)
    side = (x[:, 0] - 1e6) / 1e3 + x[:, 1] / 1e-3
    if kind == "names":
        y = np.where(side > 0, "yes", "no")
    elif kind == "codes":
        y = np.where(side > 0, 30_000, 7)
    elif kind == "amounts":
        y = np.stack([5000 + 300 * side, 1e-9 * side], 1)
    else:
        x, y = draw.integers(0, 4096, (240, 8, 8)).astype(np.int32), (side > 0).astype(int)
        x[:, :, 4:] += (4000 * y)[:, None, None].astype(np.int32)
    parts = {"x_train": x[:200], "y_train": y[:200], "x_test": x[200:], "y_test": y[200:]}
    np.savez(path, **parts)
    return parts


def in_a_new_process(out, file):
    """What the saved world model answers to the test's raw rows, where nothing is known of the run."""
    script = (
        "import sys, numpy as np; from federation.world_model import WorldModel; "
        "world = WorldModel.load(sys.argv[1]); rows = np.load(sys.argv[2])['x_test']; "
        "np.save(sys.argv[3], world.predict(rows).numpy())"
    )
    subprocess.run([sys.executable, "-c", script, out, file, out / "answers.npy"], check=True)
    return np.load(out / "answers.npy")


@pytest.mark.parametrize("kind", ["names", "codes", "amounts", "images"])
def test_a_saved_world_model_answers_raw_rows_as_it_did_in_the_run(kind, tmp_path):
    file, out = tmp_path / "mine.npz", tmp_path / "run"
    parts = table(file, kind, np.random.default_rng(0))
    assert status("simulate", "npz", "--set", f"data.path={file}", *flags(), "--out", str(out), "--quiet") == 0
    answers = in_a_new_process(out, file) if kind == "names" else WorldModel.load(out).predict(parts["x_test"]).numpy()
    data = open_run(run_config("npz", {"data.path": str(file)}, 0)).federation()
    preparation = data.preparation
    inside = preparation.targets(answers) if kind == "amounts" else torch.from_numpy(answers)
    score = data.task.score(inside, data.union_test.targets)
    told = json.loads((out / "simulation.json").read_text())["union"]
    assert score == pytest.approx(told, abs=1e-6)
    if kind in ("names", "codes"):
        named = np.array(preparation.classes)[answers.argmax(1)]
        assert (named == parts["y_test"]).mean() == pytest.approx(told, abs=1e-6)
        assert told > 0.8
    world = WorldModel.load(out)
    assert world.design.preparation == preparation


@pytest.mark.parametrize(
    ("y_train", "y_test", "said"),
    [
        (np.array(["a", "b"] * 20), np.array(["a", "c"]), "y_test holds class c"),
        (np.array(["a"] * 40), np.array(["a", "a"]), "one class only"),
        (np.full(40, 2.5), np.array([1.0, 2.0]), "the same for all samples"),
        (np.arange(40.0), np.array([1.0, 1.0]), "the same for all samples"),
        (np.arange(39.0), np.array([1.0, 2.0]), "one real value or row a sample"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused_in_one_line(y_train, y_test, said, tmp_path, capsys):
    file = tmp_path / "mine.npz"
    np.savez(file, x_train=np.eye(40, 3), y_train=y_train, x_test=np.eye(2, 3), y_test=y_test)
    assert status("simulate", "npz", "--set", f"data.path={file}") == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
