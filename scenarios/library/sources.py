"""Finding data: npz files in a folder that the user names, or the Hugging Face hub."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.data.npz import Arrays, read_npz
from federation.randomness import generator
from federation.rules import InputError
from federation.settings import DataSettings


def from_folder(settings: DataSettings, file: str, names: tuple[str, ...]) -> Arrays:
    """The arrays of a file in the user's data folder."""
    if settings.folder is None:
        raise InputError(f"{file} is needed; name its folder by --data-dir or MANIFOLD_DATA, or --set data.source=hub")
    return read_npz(settings.folder / file, names)


def from_hub(dataset: str, image: str, label: str) -> dict[str, NDArray[Any]]:
    """Training and test images of a dataset on the Hugging Face hub (or in a local folder), through flwr-datasets."""
    from flwr_datasets import FederatedDataset
    from flwr_datasets.partitioner import IidPartitioner

    arrays = {}
    try:
        source = FederatedDataset(dataset=dataset, partitioners={"train": IidPartitioner(1)}, shuffle=False)
        for split in ("train", "test"):
            table = source.load_split(split)
            arrays[f"x_{split}"] = np.stack([np.asarray(picture, dtype=np.uint8) for picture in table[image]])
            arrays[f"y_{split}"] = np.asarray(table[label], dtype=np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"dataset {dataset!r} cannot be loaded from the hub ({error}); use npz files and --data-dir"
        ) from error
    return arrays


def limited(rows: int, limit: int | None, purpose: str) -> NDArray[np.int64]:
    """A fixed draw of at most `limit` rows, in their order; the same for all seeds."""
    order = generator(0, purpose).permutation(rows)[:limit]
    return np.sort(order)
