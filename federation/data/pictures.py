"""Columns of images, as tables and folders have them, and the order of an image's axes."""

from io import BytesIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from federation.rules import InputError

CHANNELS = (1, 3, 4)
"""Numbers of channels by which an image is known to have them last."""


def is_image(kind: pa.DataType) -> bool:
    """Whether a column holds images, as `datasets` stores them: bytes, or the path of a file."""
    return bool(pa.types.is_struct(kind)) and {field.name for field in kind} == {"bytes", "path"}


def pictures(cells: pa.ChunkedArray, rows: NDArray[np.int64], where: str) -> NDArray[np.uint8]:
    """Images as bytes [n, height, width], or [n, height, width, 3] where the first is in colour.

    Args:
        rows: the number of each in its table, from 0, for messages.
    Raises:
        InputError: one cannot be read, or is of another size than the first.
    """
    found: list[NDArray[np.uint8]] = []
    mode = ""
    for row, cell in zip(rows, cells.to_pylist(), strict=True):
        place = f"{where}, row {row + 1} ({cell['path'] if cell else 'empty'})"
        try:
            with Image.open(BytesIO(cell["bytes"]) if cell["bytes"] else cell["path"]) as image:
                mode = mode or ("L" if image.mode in ("1", "L") else "RGB")
                found.append(np.asarray(image.convert(mode)))
        except (OSError, TypeError) as error:
            raise InputError(f"{place}: the image cannot be read ({error}); leave it out") from None
        if found[-1].shape != found[0].shape:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (found[-1].shape, found[0].shape)]
            raise InputError(f"{place}: an image of {sizes[0]}, the first is {sizes[1]}; bring all to one size")
    return np.stack(found)


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether images of this shape [n, ...] have their channels last.

    A last axis of one is taken for channels only where the others can be sides of an image, for signals are
    [n, channels, time, 1].
    """
    if len(shape) != 4 or shape[3] not in CHANNELS or shape[1] in CHANNELS:
        return False
    return shape[3] > 1 or max(shape[1:3]) <= 3 * min(shape[1:3])
