"""One's own data in any format: the same rows become the same samples."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from federation.data.arrays import of_arrays, of_torch
from federation.data.own import Meaning, of_table
from federation.data.pictures import channels_last
from federation.data.tables import PIECE, opened
from federation.rules import InputError
from tests.raw import frame, written

BOUGHT = Meaning(["bought"], client="shop", ignore=["euro", "kilo"])


def same(one, other):
    torch.testing.assert_close(one.train.inputs, other.train.inputs)
    assert torch.equal(one.train.targets, other.train.targets)
    assert torch.equal(one.test.targets, other.test.targets)
    assert (one.group == other.group).all()
    assert one.preparation.classes == other.preparation.classes


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "feather"])
def test_a_file_of_any_format_gives_the_same_samples(ending, tmp_path):
    file = written(frame(), tmp_path / f"mine.{ending}")
    same(of_table(opened(file), BOUGHT), of_table(opened(frame()), BOUGHT))


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    for number, part in enumerate(np.array_split(np.arange(240), 3)):
        written(frame().iloc[part], tmp_path / f"{number}.parquet")
    same(of_table(opened(tmp_path), BOUGHT), of_table(opened(frame()), BOUGHT))


def test_a_data_set_of_hugging_face_is_read_from_memory_and_from_its_folder(tmp_path):
    held = datasets.Dataset.from_pandas(frame(), preserve_index=False)
    held = held.class_encode_column("bought").select(range(239, -1, -1))
    plain = frame()[::-1]
    same(of_table(opened(held), BOUGHT), of_table(opened(plain), BOUGHT))
    held.save_to_disk(tmp_path / "saved")
    same(of_table(opened(tmp_path / "saved"), BOUGHT), of_table(opened(plain), BOUGHT))


def test_rows_are_read_by_pieces_in_their_order(tmp_path):
    rows = 2 * PIECE + 5
    table = pd.DataFrame({"x": np.arange(rows, dtype=float), "y": np.arange(rows) % 2})
    source = opened(written(table, tmp_path / "long.parquet"))
    assert max(piece.num_rows for piece in source.pieces(["x"])) == PIECE
    data = of_table(source, Meaning(["y"]))
    assert bool((data.train.inputs[1:] > data.train.inputs[:-1]).all())
    assert len(data.train) + len(data.test) == rows


def test_whole_numbers_at_first_do_not_forbid_others_later(tmp_path):
    text = "x,y\n" + "1,0\n2,1\n" * 2**21 + "2.5,1\n"
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    assert next(iter(opened(tmp_path / "mine.csv", ["y"]).pieces(["x", "y"]))).schema.field("x").type == "double"
    assert len(of_table(opened(tmp_path / "mine.csv", ["y"]), Meaning(["y"]), limit=10).train) == 10


def test_a_test_file_is_prepared_as_the_training_rows_were(tmp_path):
    test = frame(40).assign(price=1e6, city="Rome", shop="d")
    data = of_table(opened(frame()), BOUGHT, opened(test))
    assert data.preparation == of_table(opened(frame()), BOUGHT, opened(frame())).preparation
    assert (len(data.train), len(data.test)) == (240, 40)
    assert set(data.test_group) - set(data.group) == set(data.test_group)


def test_the_held_out_share_leaves_each_class_to_training():
    table = pd.DataFrame({"x": np.arange(50.0), "y": ["rare", *["often"] * 49]})
    data = of_table(opened(table), Meaning(["y"]), share=0.9)
    assert set(data.train.targets.tolist()) == {0, 1}
    assert len(data.test) == 45


def test_several_amounts_have_each_their_unit():
    data = of_table(opened(frame()), Meaning(["euro", "kilo"], ignore=["bought"]))
    assert data.train.targets.mean(0).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert data.train.targets.std(0, correction=0).tolist() == pytest.approx([1, 1], rel=1e-4)
    back = data.preparation.answers(data.train.targets)
    assert float(back[:, 0].mean()) == pytest.approx(frame()["euro"].mean(), rel=0.01)
    assert float(back[:, 1].abs().max()) < 1e-5


def test_labels_from_one_leave_no_empty_class():
    data = of_table(opened(pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60) % 3 + 1})), Meaning(["y"]))
    assert (data.task.outputs, data.preparation.classes) == (3, (1, 2, 3))


def pictures(folder, sizes):
    for number, size in enumerate(sizes):
        place = folder / ("cat" if number % 2 else "dog")
        place.mkdir(exist_ok=True)
        Image.fromarray(np.full((*size, 3), 100 * (number % 2), np.uint8)).save(place / f"{number:02}.png")
    return folder


def test_a_folder_of_images_has_its_classes_by_the_names_of_folders(tmp_path):
    data = of_table(opened(pictures(tmp_path, [(6, 8)] * 20)), Meaning(["label"]))
    assert data.task.input_shape == (3, 6, 8)
    assert data.preparation.classes == ("cat", "dog")
    for image, label in zip(data.train.inputs, data.train.targets, strict=True):
        assert float(image.mean()) == pytest.approx(100 / 127.5 - 1 if label == 0 else -1)


def test_images_of_different_sizes_are_refused(tmp_path):
    with pytest.raises(InputError, match="png.: an image of 9x6, the first is 8x6; bring all to one size"):
        of_table(opened(pictures(tmp_path, [(6, 8), (6, 8), (6, 9), (6, 8)])), Meaning(["label"]))


def test_channels_that_come_last_are_turned():
    x, y = np.random.Generator(np.random.PCG64(0)).integers(0, 255, (30, 6, 8, 3)).astype(np.uint8), np.arange(30) % 2
    last, first = (of_arrays({"x_train": each, "y_train": y}, "mine") for each in (x, x.transpose(0, 3, 1, 2)))
    assert last.task.input_shape == (3, 6, 8)
    assert last.preparation.channels_last
    assert not first.preparation.channels_last
    assert torch.equal(last.train.inputs, first.train.inputs)
    assert torch.equal(last.preparation.inputs(x), first.preparation.inputs(x.transpose(0, 3, 1, 2)))


def test_a_torch_data_set_gives_the_same_samples_as_its_arrays():
    x, y = np.random.Generator(np.random.PCG64(0)).normal(size=(30, 4)), np.arange(30) % 2
    items = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    one, other = of_torch(items), of_arrays({"x_train": x, "y_train": y}, "mine")
    assert torch.equal(one.train.inputs, other.train.inputs)
    assert torch.equal(one.test.targets, other.test.targets)


def test_real_numbers_that_are_all_whole_are_amounts_and_that_is_said():
    arrays = {"x_train": np.eye(30), "y_train": (np.arange(30) % 3).astype(float)}
    with pytest.warns(UserWarning, match="y_train holds real numbers that are all whole, 3 different ones: taken as"):
        assert of_arrays(arrays, "mine.npz").task.kind() == "regression"


def test_signals_keep_their_channels_first_and_gray_images_are_turned():
    assert [channels_last(shape) for shape in ((5, 9, 64, 1), (5, 28, 28, 1), (5, 3, 32, 32), (5, 32, 48, 3))] == [
        False,
        True,
        False,
        True,
    ]
