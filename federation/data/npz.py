"""Arrays of npz files, and what makes checked samples of them. Nothing in such a file is ever executed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.samples import Samples
from federation.rules import InputError
from federation.tasks import finite

Arrays = Mapping[str, NDArray[Any]]


def read_npz(path: Path, names: tuple[str, ...]) -> Arrays:
    """The arrays of an npz file.

    Raises:
        InputError: the file is missing, unreadable, or lacks one of the names.
    """
    if not path.is_file():
        raise InputError(f"no data file {path}; name its folder by --data-dir or MANIFOLD_DATA")
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path} is no readable npz file; a table of text needs the ending csv, or save it by numpy.savez"
        )
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError:
        raise InputError(
            f"{path} is no readable npz file: it holds Python objects; save numbers, or text by astype(str)"
        ) from None
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no readable npz file ({error}); fetch it again") from error
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(sorted(arrays))}")
    return arrays


def shape_in(path: Path, name: str) -> tuple[int, ...]:
    """The shape of one array of an npz file, from its header; empty where there is none."""
    try:
        with zipfile.ZipFile(path) as file, file.open(f"{name}.npy") as array:
            major, _ = np.lib.format.read_magic(array)
            read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            return read(array)[0]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return ()


def images(pixels: NDArray[Any], invert: bool = False) -> Tensor:
    """uint8 pixels [n, h, w] or [n, c, h, w] as float32 [n, c, h, w] in -1..1; `invert` swaps ink and paper."""
    planes = pixels[:, None] if pixels.ndim == 3 else pixels
    scaled = torch.from_numpy(planes.astype(np.float32)) / 127.5 - 1
    return -scaled if invert else scaled


def labelled(inputs: Tensor, labels: NDArray[Any], where: str) -> Samples:
    """Checked samples of a classification.

    Raises:
        InputError: lengths differ, labels are no class numbers, or inputs hold NaN.
    """
    if len(inputs) != len(labels) or labels.ndim != 1:
        raise InputError(
            f"{where}: {len(inputs)} inputs and labels of shape {list(labels.shape)}; expected one class each"
        )
    if not np.issubdtype(labels.dtype, np.integer) or (len(labels) and labels.min() < 0):
        raise InputError(
            f"{where}: labels must be whole numbers from 0, got {labels.dtype} with minimum {labels.min()}"
        )
    finite(inputs, where)
    return Samples(inputs, torch.from_numpy(labels.astype(np.int64)))
