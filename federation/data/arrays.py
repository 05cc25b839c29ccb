"""A data set of one's own from arrays or from torch data sets: images, or flat features."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from federation.data.npz import Arrays
from federation.data.preparation import Preparation
from federation.data.raw import Raw, Rows, prepared
from federation.data.samples import Dataset
from federation.data.spread import Spread
from federation.data.targets import Kind
from federation.rules import InputError
from federation.tasks import finite


@dataclass(frozen=True)
class ArrayRows(Raw):
    """Rows of `x_part` and `y_part`.

    Attributes:
        x: images or flat features. `y`: one class or value, or a row of values, each.
    """

    name: str
    label: str
    x: NDArray[Any]
    y: NDArray[Any]
    clients: NDArray[Any] | None = None

    @staticmethod
    def of(arrays: Arrays, name: str, part: str) -> "ArrayRows":
        """Those of one part of a file.

        Raises:
            InputError: they are of wrong shapes, or no numbers.
        """
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        check_inputs(x, f"{name} x_{part}")
        if y.shape[:1] != x.shape[:1] or y.ndim > 2:
            raise InputError(
                f"{name}: y_{part} is {y.dtype} {list(y.shape)}; "
                f"expected a class for each of {len(x)}, or one real value or row a sample"
            )
        groups = arrays.get(f"group_{part}")
        if groups is not None and (groups.ndim != 1 or len(groups) != len(y)):
            raise InputError(f"{name}: group_{part} has shape {list(groups.shape)}; expected one client name a sample")
        return ArrayRows(name, f"{name}: y_{part}", x, y, groups)

    @cached_property
    def labels(self) -> NDArray[Any]:
        return self.y

    def told(self, rows: Rows) -> dict[str, Any]:
        x, where = self.x[rows], f"{self.name}: inputs"
        if x.ndim == 2:
            return {"shape": x.shape[1:], "spread": Spread.of(x, where)}
        span = None if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
        return {"shape": x.shape[1:], "span": span}

    def inputs(self, preparation: Preparation, rows: Rows) -> Tensor:
        return preparation.inputs(self.x[rows])


def of_arrays(
    arrays: Arrays, name: str, task: Kind | None = None, share: float = 0.2, limit: int | None = None
) -> Dataset:
    """Samples of `x_train` and `y_train`, images or flat features; without `x_test` a share of them is held out.

    Raises:
        InputError: they are of wrong shapes, no numbers, or cannot be learned.
    """
    train = ArrayRows.of(arrays, name, "train")
    test = ArrayRows.of(arrays, name, "test") if "x_test" in arrays else None
    if test and test.x.shape[1:] != train.x.shape[1:]:
        shapes = (list(rows.x.shape[1:]) for rows in (test, train))
        raise InputError(f"{name}: x_test has samples of {next(shapes)}, x_train of {next(shapes)}; they must be alike")
    return prepared(train, test, task, share, limit)


def of_torch(train: "TorchDataset[Any]", test: "TorchDataset[Any] | None" = None, **options: Any) -> Dataset:
    """Samples of torch data sets whose items are (input, target); `options` are those of `of_arrays`."""
    arrays: dict[str, NDArray[Any]] = {}
    for part, items in (("train", train), ("test", test)):
        if items is not None:
            pairs = [items[number] for number in range(len(items))]  # type: ignore[arg-type]
            arrays[f"x_{part}"] = np.stack([np.asarray(pair[0]) for pair in pairs])
            arrays[f"y_{part}"] = np.stack([np.asarray(pair[1]) for pair in pairs])
    return of_arrays(arrays, "the data set", **options)


def check_inputs(values: NDArray[Any], where: str) -> None:
    """Whether they are images or flat features.

    Raises:
        InputError: they are neither, or NaN or infinity is among them.
    """
    if values.ndim not in (2, 3, 4) or len(values) == 0:
        raise InputError(
            f"{where}: shape {list(values.shape)}; expected [n, features], [n, h, w] or [n, c, h, w] with n > 0"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"{where}: {values.dtype} values; expected numbers")
    finite(torch.from_numpy(values), where)
