"""Data from the hub's loader, read from a folder that is laid out as a hub dataset is."""

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as Picture

from federation.rules import InputError
from scenarios.library.sources import from_hub

PIXELS = np.random.default_rng(0).integers(256, size=(6, 5, 5), dtype=np.uint8)
LABELS = np.arange(6)


@pytest.fixture
def dataset(tmp_path):
    """Four training and two test pictures, as parquet."""
    folder = tmp_path / "pictures"
    (folder / "data").mkdir(parents=True)
    features = Features({"image": Image(), "label": Value("int64")})
    for split, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        pictures = [Picture.fromarray(pixels) for pixels in PIXELS[rows]]
        table = Dataset.from_dict({"image": pictures, "label": LABELS[rows].tolist()}, features=features)
        table.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def test_a_hub_dataset_becomes_the_arrays_of_an_npz_file(dataset):
    arrays = from_hub(str(dataset), "image", "label")
    assert np.array_equal(arrays["x_train"], PIXELS[:4])
    assert np.array_equal(arrays["x_test"], PIXELS[4:])
    assert arrays["y_train"].tolist() == [0, 1, 2, 3]
    assert arrays["y_test"].tolist() == [4, 5]


def test_a_dataset_without_the_named_column_is_refused(dataset):
    with pytest.raises(InputError, match="cannot be loaded from the hub .*; use npz files and --data-dir"):
        from_hub(str(dataset), "picture", "label")
