"""From raw rows in a user's units to what models are trained on, and from their answers back."""

from math import inf
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from federation.data.columns import Column, encode
from federation.data.tables import as_arrow
from federation.rules import Frozen, InputError, Several


class Preparation(Frozen):
    """Inputs less `centre` over `scale`, one number a column, or one for all; the same of real-valued targets.

    Attributes:
        columns: of a table, how each is encoded; then `centre` and `scale` are not used.
        channel: whether images [samples, height, width] get an axis of one channel.
        channels_last: whether images are [samples, height, width, channels], and are turned.
        target_centre, target_scale: of each real value that is answered.
        classes: the name of each class, in the order of the outputs; none where they are numbered from zero.
    """

    columns: Several[Column] = ()
    channel: bool = False
    channels_last: bool = False
    centre: Several[float] = ()
    scale: Several[float] = ()
    target_centre: Several[float] = ()
    target_scale: Several[float] = ()
    classes: Several[str | int] = ()

    def inputs(self, rows: Any) -> Float[Tensor, "samples *shape"]:
        """Raw rows as the models take them: prepared in float64, in float32.

        Args:
            rows: an array or tensor; of a table also a frame, a dict of columns, or a list of dicts, and then an array
                has its columns in order.
        Raises:
            InputError: a column is missing, or they are no numbers where numbers are expected.
        """
        if self.columns:
            table = as_arrow(rows, "inputs", [column.name for column in self.columns])
            return torch.from_numpy(encode(self.columns, table, "inputs"))
        rows = rows if isinstance(rows, Tensor) else np.asarray(rows)
        if isinstance(rows, np.ndarray) and rows.dtype.kind not in "fiub":
            raise InputError(f"inputs are of {rows.dtype}, expected numbers")
        raw = torch.as_tensor(rows)
        raw = raw.unsqueeze(1) if self.channel and raw.dim() == 3 else raw
        raw = raw.permute(0, 3, 1, 2) if self.channels_last and raw.dim() == 4 else raw
        if not self.centre:
            return raw.float()
        if len(self.centre) not in (1, raw.shape[-1] if raw.dim() == 2 else 1):
            raise InputError(f"inputs have {raw.shape[-1]} columns, expected {len(self.centre)}")
        return _moved(raw, self.centre, self.scale)

    def shape(self, raw: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a prepared sample.

        Args:
            raw: that of a raw one; empty for a row of a table.
        """
        if self.columns:
            return (sum(column.width for column in self.columns),)
        if self.channels_last and len(raw) == 3:
            return (raw[2], *raw[:2])
        return (1, *raw) if self.channel else raw

    def targets(self, values: NDArray[Any]) -> Float[Tensor, "samples outputs"]:
        """Raw values as the models learn them."""
        return _moved(torch.from_numpy(np.array(values, dtype=np.float64)), self.target_centre, self.target_scale)

    def answers(self, outputs: Float[Tensor, "samples outputs"]) -> Float[Tensor, "samples outputs"]:
        """Answers in the units of the targets; probabilities stay as they are."""
        if not self.target_centre:
            return outputs
        centre, scale = (torch.tensor(each, dtype=torch.float64) for each in (self.target_centre, self.target_scale))
        return (outputs.double() * scale + centre).to(outputs.dtype)

    def check(self, inputs: tuple[int, ...], outputs: int) -> None:
        """Whether it fits models of such inputs and so many outputs.

        Raises:
            ValueError: it does not.
        """
        width = sum(column.width for column in self.columns) or (len(self.centre) if len(self.centre) > 1 else 0)
        if width and inputs != (width,):
            raise ValueError(f"its preparation gives rows of {width} numbers, its models take {list(inputs)}")
        if len(self.scale) != len(self.centre) or len(self.target_scale) != len(self.target_centre):
            raise ValueError("its preparation has not one scale for each centre")
        if {len(self.classes), len(self.target_centre)} - {0, outputs}:
            raise ValueError(f"its preparation does not name the {outputs} outputs of its models")
        if not all(0 < size < inf for size in (*self.scale, *self.target_scale)):
            raise ValueError("its preparation has a scale that is not above zero and finite")


def _moved(raw: Tensor, centre: tuple[float, ...], scale: tuple[float, ...]) -> Tensor:
    middle, size = (torch.tensor(each, dtype=torch.float64) for each in (centre, scale))
    return ((raw.double() - middle) / size).float()
