"""A data set of one's own from arrays or from torch data sets: images, or flat features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from federation.data.npz import Arrays
from federation.data.pictures import channels_last
from federation.data.preparation import Preparation, spanning, standard
from federation.data.samples import Dataset, Samples
from federation.data.targets import Kind, Targets, prepared, task_of
from federation.randomness import generator
from federation.rules import InputError
from federation.tasks import finite

Rows = NDArray[np.int64]

FEWEST = 3
"""Rows of a table, at least: two to train on and one to test."""


def of_arrays(
    arrays: Arrays, name: str, task: Kind | None = None, share: float = 0.2, limit: int | None = None
) -> Dataset:
    """Samples of `x_train` and `y_train`, images or flat features; without `x_test` a share of them is held out.

    Raises:
        InputError: they are of wrong shapes, no numbers, or cannot be learned.
    """
    for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
        if x in arrays:
            check_inputs(arrays[x], f"{name} {x}")
            if arrays[y].shape[:1] != arrays[x].shape[:1] or arrays[y].ndim > 2:
                raise InputError(
                    f"{name}: {y} is {arrays[y].dtype} {list(arrays[y].shape)}; "
                    f"expected a class for each of {len(arrays[x])}, or one real value or row a sample"
                )
    kind = task_of(arrays["y_train"], task, f"{name}: y_train")
    arrays = arrays if "x_test" in arrays else _with_test(arrays, name, kind, share)
    train, test = arrays["x_train"], arrays["x_test"]
    if train.shape[1:] != test.shape[1:]:
        raise InputError(f"{name}: x_test has samples of {list(test.shape[1:])}, x_train of {list(train.shape[1:])}")
    keep = len(train) if limit is None else min(limit, len(train))
    targets = prepared(arrays["y_train"], arrays["y_test"], kind, (f"{name}: y_train", f"{name}: y_test"), keep)
    preparation = preparation_of(train[:keep])
    inputs = (preparation.inputs(train[:keep]), preparation.inputs(test))
    return assembled(preparation, inputs, targets, _groups(arrays, keep, name))


def of_torch(train: "TorchDataset[Any]", test: "TorchDataset[Any] | None" = None, **options: Any) -> Dataset:
    """Samples of torch data sets whose items are (input, target); `options` are those of `of_arrays`."""
    arrays: dict[str, NDArray[Any]] = {}
    for part, items in (("train", train), ("test", test)):
        if items is not None:
            pairs = [items[number] for number in range(len(items))]  # type: ignore[arg-type]
            arrays[f"x_{part}"] = np.stack([np.asarray(pair[0]) for pair in pairs])
            arrays[f"y_{part}"] = np.stack([np.asarray(pair[1]) for pair in pairs])
    return of_arrays(arrays, "the data set", **options)


def apart(classes: NDArray[Any] | None, rows: int, share: float, name: str) -> tuple[Rows, Rows]:
    """Rows to train on, and those held out to test, in their order; the first row of each class is trained on.

    Raises:
        InputError: there are too few.
    """
    if rows < FEWEST:
        raise InputError(f"{name} has {rows} rows; expected {FEWEST} or more, to train and to test")
    order = generator(0, "own test").permutation(rows)
    first = np.zeros(0, dtype=np.int64) if classes is None else np.unique(classes[order], return_index=True)[1]
    free = np.delete(order, first)
    tested = free[: max(1, round(share * rows))] if len(free) else order[:1]
    return np.setdiff1d(np.arange(rows), tested), np.sort(tested)


def assembled(
    preparation: Preparation,
    inputs: tuple[Tensor, Tensor],
    targets: Targets,
    group: Rows | None,
    test_group: Rows | None = None,
) -> Dataset:
    """The data set of prepared inputs and targets, of training and test samples each."""
    return Dataset(
        task=targets.task(tuple(inputs[0].shape[1:])),
        train=Samples(inputs[0], targets.train),
        test=Samples(inputs[1], targets.test),
        group=group,
        test_group=test_group,
        unit=_neighbours(len(inputs[0]), 10 if group is None else len(np.unique(group))),
        preparation=preparation.model_copy(update=targets.found),
    )


def _neighbours(rows: int, clients: int) -> Rows:
    """Pieces of rows that follow one another, some twenty a client: they are held out together, since neighbours in a
    file are often neighbours in time, and one tells what the other is."""
    return np.arange(rows) // max(1, rows // (20 * clients))


def preparation_of(train: NDArray[Any]) -> Preparation:
    """How arrays like these are prepared: columns are standardised, images brought to -1..1."""
    centre, scale = standard(train) if train.ndim == 2 else spanning(train)
    return Preparation(channel=train.ndim == 3, channels_last=channels_last(train.shape), centre=centre, scale=scale)


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


def _with_test(arrays: Arrays, name: str, kind: Kind, share: float) -> Mapping[str, NDArray[Any]]:
    """The same with a share of the training samples as those of the test."""
    y = arrays["y_train"]
    train, test = apart(y if kind == "classification" else None, len(y), share, name)
    split = {
        f"{axis}_{part}": arrays[f"{axis}_train"][rows]
        for axis in "xy"
        for part, rows in (("train", train), ("test", test))
    }
    return split | ({"group_train": arrays["group_train"][train]} if "group_train" in arrays else {})


def _groups(arrays: Arrays, keep: int, name: str) -> Rows | None:
    if "group_train" not in arrays:
        return None
    groups = arrays["group_train"]
    if groups.ndim != 1 or len(groups) != len(arrays["y_train"]):
        raise InputError(
            f"{name}: group_train has shape {list(groups.shape)}; expected one client name a training sample"
        )
    return np.unique(groups[:keep], return_inverse=True)[1].astype(np.int64)
