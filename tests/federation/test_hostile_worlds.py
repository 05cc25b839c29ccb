"""A world model's files that somebody else has written: refused in one line, or they answer; always at once."""

import json
import random
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.rules import InputError
from federation.world_model import MANIFEST, WEIGHTS, WorldModel
from tests.commands import status
from tests.small import flags
from tests.spoiling import spoil_manifest, spoil_weights

CASES = 500


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The folder of a world model."""
    out = tmp_path_factory.mktemp("good") / "run"
    assert status("simulate", "digits", *flags(), "--out", str(out), "--quiet") == 0
    return out


def tried(folder):
    """What comes of a folder: refused in one line, or finite answers."""
    try:
        world = WorldModel.load(folder)
    except InputError as error:
        return "refused" if len(str(error).splitlines()) == 1 else "refused in many lines"
    answers = world.predict(torch.rand(20, *world.design.task.input_shape))
    assert bool(answers.isfinite().all())
    return "answers"


def test_of_many_spoilt_world_models_each_is_refused_or_answers_within_two_seconds(good, tmp_path):
    draw, found = random.Random(0), []
    manifest, tensors = json.loads((good / MANIFEST).read_text()), load_file(good / WEIGHTS)
    for case in range(CASES):
        folder = tmp_path / str(case)
        folder.mkdir()
        own, weights = json.loads(json.dumps(manifest)), dict(tensors)
        for _ in range(draw.choice([1, 1, 2, 3])):
            spoil_manifest(draw, own) if draw.random() < 0.5 else spoil_weights(draw, weights)
        (folder / MANIFEST).write_text(json.dumps(own))
        save_file(weights, folder / WEIGHTS)
        began = time.monotonic()
        found.append(tried(folder))
        assert time.monotonic() - began < 10, own  # two seconds on a machine that does nothing else
        shutil.rmtree(folder)
    assert set(found) == {"refused", "answers"}
    assert found.count("refused") > CASES / 2
    assert found.count("answers") > 10


@pytest.mark.parametrize(
    ("version", "said"),
    [("3", "expected a whole number"), (99, "update the package"), (None, "expected a whole number")],
)
def test_a_version_says_what_it_is(good, tmp_path, version, said):
    shutil.copytree(good, tmp_path / "x")
    manifest = json.loads((good / MANIFEST).read_text()) | {"version": version}
    (tmp_path / "x" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=said):
        WorldModel.load(tmp_path / "x")


@pytest.mark.parametrize("text", ["[" * 100_000, "", "[]", "7", '{"version": 1' + "0" * 5000 + "}", "\x00"])
def test_a_manifest_that_is_no_object_is_refused(good, tmp_path, text):
    shutil.copytree(good, tmp_path / "x")
    (tmp_path / "x" / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="no readable world model"):
        WorldModel.load(tmp_path / "x")
