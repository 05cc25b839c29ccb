"""A site's own file holds what its client would hold, and is checked against what all sites agree on."""

import numpy as np
import pytest
import torch

from federation.data.samples import ClientData, Samples
from federation.data.sites import OWN, Sites, read_client, read_test, write_client, write_test
from federation.rules import InputError
from federation.tasks import Classification, Regression, Task

CLASSES = Classification(input_shape=(1, 2, 2), outputs=3)
VALUES = Regression(input_shape=(4,), outputs=2)
X = np.arange(40, dtype=np.float32).reshape(10, 1, 2, 2)
Y = np.arange(10) % 3


def samples(task: Task, count: int) -> Samples:
    draw = torch.Generator().manual_seed(count)
    inputs = torch.randn(count, *task.input_shape, generator=draw)
    targets = torch.arange(count) % 3 if task.classifies else torch.randn(count, task.outputs, generator=draw)
    return Samples(inputs, targets)


def client(tmp_path, task: Task = CLASSES, number: int = 0, **arrays: object) -> ClientData:
    np.savez(tmp_path / OWN, **arrays)
    return read_client(tmp_path / OWN, task, 0.3, 0, number)


def test_the_format_s_document_names_the_optional_pieces_as_they_are_read(tmp_path):
    found = client(tmp_path, x_train=X, y_train=Y, x_held_out=X[:4], y_held_out=Y[:4], x_test=X[:2], y_test=Y[:2])
    assert [len(piece) for piece in (found.train, found.held_out, found.test)] == [10, 4, 2]


@pytest.mark.parametrize("task", [CLASSES, VALUES])
def test_what_was_written_is_read_again_bit_for_bit(tmp_path, task):
    written = ClientData(samples(task, 7), samples(task, 3), samples(task, 2))
    write_client(tmp_path, written)
    read = read_client(tmp_path / OWN, task, 0.5, 1, 0)
    for piece in ("train", "held_out", "test"):
        one, other = getattr(written, piece), getattr(read, piece)
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
    assert [file.name for file in tmp_path.iterdir()] == [OWN]


def test_a_share_is_held_out_where_the_file_holds_none_out_and_the_same_each_time(tmp_path):
    first, again = (client(tmp_path, x_train=X, y_train=Y) for _ in range(2))
    assert (len(first.train), len(first.held_out), len(first.test)) == (7, 3, 0)
    assert torch.equal(first.held_out.inputs, again.held_out.inputs)
    whole = torch.cat([first.train.inputs, first.held_out.inputs])
    assert sorted(whole.flatten().tolist()) == list(range(40))


def test_images_of_bytes_are_scaled_and_need_no_axis_for_their_one_channel(tmp_path):
    pixels = np.array([[[0, 255], [0, 255]]], dtype=np.uint8)
    found = client(tmp_path, x_train=pixels, y_train=[1]).train
    assert found.inputs.tolist() == [[[[-1.0, 1.0], [-1.0, 1.0]]]]


@pytest.mark.parametrize(
    ("task", "arrays", "said"),
    [
        (CLASSES, {"x_train": X}, "lacks y_train"),
        (CLASSES, {"x_train": X, "y_train": Y, "x_test": X}, "lacks y_test; x_test and y_test belong together"),
        (CLASSES, {"x_train": X[:0], "y_train": Y[:0]}, "holds no samples"),
        (CLASSES, {"x_train": X[:, :, :1], "y_train": Y}, r"shape \[10, 1, 1, 2\]; expected \[n, 1, 2, 2\]"),
        (CLASSES, {"x_train": X.astype(str), "y_train": Y}, "expected real numbers"),
        (CLASSES, {"x_train": X * np.nan, "y_train": Y}, "40 values are NaN or infinite"),
        (CLASSES, {"x_train": X, "y_train": Y[:9]}, "expected one class each"),
        (CLASSES, {"x_train": X, "y_train": Y - 1}, "whole numbers from 0"),
        (CLASSES, {"x_train": X, "y_train": Y + 1}, "y_train holds class 3; expected 0 to 2"),
        (VALUES, {"x_train": X.reshape(10, 4), "y_train": Y}, r"int64 \[10\]; expected real values \[10, 2\]"),
        (VALUES, {"x_train": X.reshape(10, 4), "y_train": np.full((10, 2), np.inf)}, "20 values are NaN or infinite"),
        (CLASSES, {"x_train": np.array([{}]), "y_train": Y}, "no readable npz file"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_names_the_file(tmp_path, task, arrays, said):
    with pytest.raises(InputError, match=said) as refused:
        client(tmp_path, task, **arrays)
    assert OWN in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_server_s_file_holds_a_test_set_alone(tmp_path):
    write_test(tmp_path, samples(CLASSES, 5))
    assert len(read_test(tmp_path / "test.npz", CLASSES)) == 5
    pool = Sites(clients=3, task=CLASSES).pool(tmp_path, 0.1, 0)
    assert len(pool.union_test) == 5
    with pytest.raises(InputError, match="no data file"):
        pool.client(0)


def test_a_place_without_a_test_set_has_an_empty_one(tmp_path):
    pool = Sites(clients=3, task=CLASSES).pool(tmp_path, 0.1, 0)
    assert len(pool.union_test) == 0
    with pytest.raises(InputError, match="name its folder by MANIFOLD_DATA"):
        Sites(clients=3, task=CLASSES).pool(None, 0.1, 0).client(0)
