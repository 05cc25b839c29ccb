"""Checkpoints that somebody else has written: refused in one line, or they hold what checkpoints hold."""

import json
import random
import struct

import pytest
import torch
from safetensors.torch import save_file

from federation.opening import open_run, run_config
from federation.rules import InputError
from federation.world.reading import read_tensors
from server.checkpoint import Checkpoint, Checkpoints, _checksum
from tests.server.test_checkpoint import federated
from tests.small import ROUNDS
from tests.spoiling import spoil_manifest, spoil_weights

CASES = 150
CONFIG = run_config("digits", ROUNDS, 0)
SCENARIO = open_run(CONFIG).scenario


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The last checkpoints of a run."""
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run") / "checkpoints", SCENARIO)
    federated(CONFIG, checkpoints=checkpoints)
    return checkpoints.folder


@pytest.fixture
def copy(folder, tmp_path):
    """The same, to spoil."""
    found = Checkpoints(tmp_path, SCENARIO)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return found


def forged(path, header, body, tensors):
    """A file whose checksum is right."""
    save_file(tensors, path, header | {"body": body, "checksum": _checksum(body, tensors)})


def refusal(checkpoints):
    with pytest.raises(InputError) as caught:
        checkpoints.read()
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert said.endswith(f"the last good one is that of --round {checkpoints.rounds[-2]}")
    return said


def tried(checkpoints):
    """What comes of the last one."""
    try:
        checkpoint = checkpoints.read()
    except InputError as error:
        return "refused" if len(str(error).splitlines()) == 1 else "refused in many lines"
    return "read" if isinstance(checkpoint, Checkpoint) else "read as something else"


def test_of_many_spoilt_checkpoints_each_is_refused_or_is_one(copy):
    draw, found = random.Random(0), []
    path = copy.path(copy.rounds[-1])
    header, tensors = read_tensors(path)
    for _ in range(CASES):
        own, weights = json.loads(header["body"]), dict(tensors)
        for _ in range(draw.choice([1, 1, 2, 3])):
            spoil_manifest(draw, own["checkpoint"]) if draw.random() < 0.7 else spoil_weights(draw, weights)
        forged(path, header, json.dumps(own), weights)
        found.append(tried(copy))
    assert set(found) == {"refused", "read"}
    assert found.count("refused") > CASES / 2
    assert found.count("read") > 10


def test_one_that_is_cut_off_anywhere_is_refused(copy):
    path = copy.path(copy.rounds[-1])
    whole = path.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "damaged, it cannot be read" in refusal(copy)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: t.half(), "is of type F16"),
        (lambda t: torch.full_like(t, torch.nan), "holds NaN or infinity"),
        (lambda t: torch.full_like(t, torch.inf), "holds NaN or infinity"),
    ],
)
def test_tensors_that_no_run_has_are_refused(copy, spoil, said):
    path = copy.path(copy.rounds[-1])
    header, tensors = read_tensors(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    forged(path, header, header["body"], tensors | {name: spoil(tensors[name])})
    assert said in refusal(copy)


def test_tensors_larger_than_memory_are_refused_before_they_are_allocated(copy):
    path, size = copy.path(copy.rounds[-1]), 2**43
    shapes = {"0": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    header = json.dumps({"__metadata__": {"version": "5"}} | shapes).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)  # a file with a hole, which takes no room on the disk
    assert "of this machine's memory" in refusal(copy)


@pytest.mark.parametrize("shape", [[2**40], [2**62, 4], [-1], "x"])
def test_shapes_that_the_file_does_not_hold_are_refused(copy, shape):
    header = json.dumps({"0": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    copy.path(copy.rounds[-1]).write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    assert "damaged, it cannot be read" in refusal(copy)


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, "", "[]", "7", "null", '{"scenario": [], "checkpoint": 1}', '{"checkpoint": {}}'],
)
def test_a_body_that_is_no_run_is_refused(copy, body):
    path = copy.path(copy.rounds[-1])
    header, tensors = read_tensors(path)
    forged(path, header, body, tensors)
    assert "damaged, it cannot be read" in refusal(copy)


@pytest.mark.parametrize(
    "value",
    [{"kind": "Path", "value": "x"}, {"kind": "Size", "value": {}}, {"kind": "Checkpoint", "value": {}}, 7, None],
)
def test_a_value_of_another_type_than_its_field_s_is_refused(copy, value):
    path = copy.path(copy.rounds[-1])
    header, tensors = read_tensors(path)
    content = json.loads(header["body"])
    content["checkpoint"]["value"]["state"]["value"]["prior"] = value
    forged(path, header, json.dumps(content), tensors)
    assert "damaged, it cannot be read" in refusal(copy)


def test_one_of_another_round_than_its_name_says_is_refused(copy):
    *_, before, last = copy.rounds
    copy.path(last).write_bytes(copy.path(before).read_bytes())
    assert f"it holds {before} rounds" in refusal(copy)


def test_strays_are_neither_read_nor_in_the_way(copy):
    last = copy.rounds[-1]
    for name in ("round-abc", "round-", "round-²", f"round-{last + 1}"):
        (copy.folder / f"{name}.safetensors").write_text("x")
    (copy.folder / f"round-{last + 1:05d}.safetensors").mkdir()
    checkpoint = copy.read()
    assert len(checkpoint.history) == last
    copy.write(checkpoint)
