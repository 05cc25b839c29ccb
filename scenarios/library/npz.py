"""One's own data: an npz file with x_train, y_train, x_test, y_test, optionally group_train (the natural client)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.npz import images, labelled, read_npz
from federation.data.partition import Automatic
from federation.data.samples import Dataset, Samples
from federation.manifold import PrincipalComponents
from federation.models import Mlp
from federation.rules import InputError
from federation.scenario import DataSettings, LocalTraining, Scenario
from federation.task import Task, finite
from server.aggregation import Mean

SCENARIO = Scenario(
    name="npz",
    title="Your own npz file",
    partition=Automatic(clients=10),
    model=Mlp(width=64, blocks=1),
    local=LocalTraining(learning_rate=0.05, batch_size=20, epochs=1),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=16),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """Images [n, h, w] or [n, c, h, w], or flat features [n, d]; whole-number classes, or real-valued targets."""
    if settings.path is None:
        raise InputError("scenario npz needs a file: --set data.path=mine.npz")
    path = Path(settings.path).expanduser()
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    x_train, x_test = (_inputs(arrays[name], f"{path.name} {name}") for name in ("x_train", "x_test"))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise InputError(
            f"{path.name}: x_test has samples of {list(x_test.shape[1:])}, x_train of {list(x_train.shape[1:])}"
        )
    classes = np.issubdtype(arrays["y_train"].dtype, np.integer)
    if classes:
        outputs, train, test = _classified(x_train, x_test, arrays, path.name)
    else:
        outputs, train, test = _valued(x_train, x_test, arrays, path.name)
    keep = len(train) if settings.limit is None else min(settings.limit, len(train))
    train = train.take(np.arange(keep))
    inputs = _standardised(train.inputs, [train.inputs, test.inputs])
    task = Task(
        kind="classification" if classes else "regression", input_shape=tuple(x_train.shape[1:]), outputs=outputs
    )
    return Dataset(
        task=task,
        train=Samples(inputs[0], train.targets),
        test=Samples(inputs[1], test.targets),
        group=_groups(arrays, keep, path.name),
    )


def _inputs(values: NDArray[Any], where: str) -> Tensor:
    if values.ndim not in (2, 3, 4) or len(values) == 0:
        raise InputError(
            f"{where}: shape {list(values.shape)}; expected [n, features], [n, h, w] or [n, c, h, w] with n > 0"
        )
    if not np.issubdtype(values.dtype, np.number):
        raise InputError(f"{where}: {values.dtype} values; expected numbers")
    if values.dtype == np.uint8 and values.ndim > 2:
        return images(values)
    inputs = torch.from_numpy(values.astype(np.float32))
    finite(inputs, where)
    return inputs.unsqueeze(1) if values.ndim == 3 else inputs


def _classified(x_train: Tensor, x_test: Tensor, arrays: Any, name: str) -> tuple[int, Samples, Samples]:
    train = labelled(x_train, arrays["y_train"], f"{name} training set")
    test = labelled(x_test, arrays["y_test"], f"{name} test set")
    outputs = int(train.targets.max()) + 1
    if outputs < 2:
        raise InputError(f"{name}: y_train holds one class only; expected at least two")
    if len(test) and int(test.targets.max()) >= outputs:
        raise InputError(
            f"{name}: y_test holds class {int(test.targets.max())}, but training classes end at {outputs - 1}"
        )
    return outputs, train, test


def _valued(x_train: Tensor, x_test: Tensor, arrays: Any, name: str) -> tuple[int, Samples, Samples]:
    """Real-valued targets, scaled to mean zero and variance one of the training targets."""
    values = []
    for split, inputs in (("train", x_train), ("test", x_test)):
        raw = arrays[f"y_{split}"]
        if not np.issubdtype(raw.dtype, np.floating) or raw.ndim not in (1, 2) or len(raw) != len(inputs):
            raise InputError(
                f"{name}: y_{split} is {raw.dtype} {list(raw.shape)}; expected one real value or row a sample"
            )
        targets = torch.from_numpy(raw.astype(np.float32)).reshape(len(raw), -1)
        finite(targets, f"{name} y_{split}")
        values.append(targets)
    if values[0].shape[1] != values[1].shape[1]:
        raise InputError(f"{name}: y_train has {values[0].shape[1]} values a sample, y_test {values[1].shape[1]}")
    y_train, y_test = _standardised(values[0], values)
    return y_train.shape[1], Samples(x_train, y_train), Samples(x_test, y_test)


def _standardised(reference: Tensor, values: list[Tensor]) -> list[Tensor]:
    """Each feature of flat rows less the reference's mean, over its deviation; images are scaled already."""
    if reference.dim() > 2:
        return values
    mean, deviation = reference.mean(0), reference.std(0).clamp_min(1e-6)
    return [(rows - mean) / deviation for rows in values]


def _groups(arrays: Any, keep: int, name: str) -> NDArray[np.int64] | None:
    if "group_train" not in arrays:
        return None
    groups = arrays["group_train"]
    if groups.ndim != 1 or len(groups) != len(arrays["y_train"]):
        raise InputError(
            f"{name}: group_train has shape {list(groups.shape)}; expected one client name a training sample"
        )
    _, numbers = np.unique(groups[:keep], return_inverse=True)
    return numbers.astype(np.int64)
