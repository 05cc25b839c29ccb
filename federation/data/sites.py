"""A site's own samples: one npz file in a folder that no other place reads, checked against what all sites agree on.

| array | shape | dtype |
|---|---|---|
| `x_train` | [n, *input_shape], n > 0; [n, h, w] where that is [1, h, w] | numbers; uint8 images become -1..1 |
| `y_train` | [n] classes from 0 to outputs - 1; or [n, outputs] values, [n] where that is 1 | whole, or real numbers |
| `x_held_out`, `y_held_out` | the same; optional: without them a share of the training samples is held out | the same |
| `x_test`, `y_test` | the same; optional: the site's local test | the same |

The server's own file has `x_test` and `y_test` alone. A file of any other name there may hold `x_public`, inputs
without labels, for phases in which the server learns from such.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from federation.data.distribution import divided
from federation.data.npz import Arrays, images, labelled, read_npz
from federation.data.samples import ClientData, Pool, Samples
from federation.rules import Frozen, InputError
from federation.tasks import Task, finite

OWN, TEST = "client.npz", "test.npz"
"""The file of a site, and that of the server."""


class Sites(Frozen):
    """What all sites agree on without seeing each other's samples.

    Attributes:
        clients: how many there are.
        task: of each sample.
    """

    clients: int = Field(ge=1)
    task: Task

    def pool(self, folder: Path | None, held_out: float, seed: int) -> Pool:
        """The clients, each of which is read where it is asked for; and the test set, where there is one here.

        Args:
            folder: of this place's own file.
            held_out: share of the training samples, where the file holds none out itself.
        """
        test = folder / TEST if folder is not None else None
        union = read_test(test, self.task) if test is not None and test.exists() else Samples.none(self.task)
        return Pool(self.task, partial(self._client, folder, held_out, seed), union)

    def _client(self, folder: Path | None, held_out: float, seed: int, number: int) -> ClientData:
        if folder is None:
            raise InputError(f"a site's own {OWN} is needed; name its folder by MANIFOLD_DATA")
        return read_client(folder / OWN, self.task, held_out, seed, number)


def read_client(path: Path, task: Task, held_out: float, seed: int, number: int) -> ClientData:
    """A site's samples.

    Raises:
        InputError: the file is missing, or does not hold what the module says.
    """
    arrays = read_npz(path, ("x_train", "y_train"))
    train, test = (_samples(arrays, piece, task, path) for piece in ("train", "test"))
    if not len(train):
        raise InputError(f"{path}: x_train holds no samples; expected one or more")
    if "x_held_out" in arrays or "y_held_out" in arrays:
        return ClientData(train, _samples(arrays, "held_out", task, path), test)
    kept, aside = divided(np.arange(len(train)), None, held_out, seed, number)
    return ClientData(train.take(kept), train.take(aside), test)


def read_test(path: Path, task: Task) -> Samples:
    """The server's own test set.

    Raises:
        InputError: the file is missing, or does not hold what the module says.
    """
    return _samples(read_npz(path, ("x_test", "y_test")), "test", task, path)


def read_public(path: Path, task: Task) -> Float[Tensor, "samples *shape"]:
    """Inputs without labels, at the server.

    Raises:
        InputError: the file is missing, holds none, or holds some of another shape.
    """
    inputs = _inputs(read_npz(path, ("x_public",))["x_public"], task, f"{path}: x_public")
    if not len(inputs):
        raise InputError(f"{path}: x_public holds no inputs; expected one or more")
    return inputs


def write_client(folder: Path, data: ClientData) -> None:
    """Write a site's file, whole or not at all."""
    pieces = {"train": data.train, "held_out": data.held_out, "test": data.test}
    _write(folder / OWN, {name: array for piece, own in pieces.items() for name, array in _arrays(piece, own).items()})


def write_test(folder: Path, test: Samples) -> None:
    """Write the server's file, whole or not at all."""
    _write(folder / TEST, _arrays("test", test))


def _arrays(piece: str, samples: Samples) -> dict[str, NDArray[np.generic]]:
    return {f"x_{piece}": samples.inputs.numpy(), f"y_{piece}": samples.targets.numpy()}


def _write(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    partial_path = path.with_suffix(".partial")
    with partial_path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial_path, path)


def _samples(arrays: Arrays, piece: str, task: Task, path: Path) -> Samples:
    """One piece of a file; none where it has neither array."""
    x, y = f"x_{piece}", f"y_{piece}"
    if x not in arrays and y not in arrays:
        return Samples.none(task)
    if missing := {x, y} - set(arrays):
        raise InputError(f"{path} lacks {missing.pop()}; {x} and {y} belong together")
    inputs = _inputs(arrays[x], task, f"{path}: {x}")
    if not task.classifies:
        return Samples(inputs, _values(arrays[y], len(inputs), task, f"{path}: {y}"))
    samples = labelled(inputs, arrays[y], f"{path}: {piece}")
    if len(samples) and int(samples.targets.max()) >= task.outputs:
        raise InputError(f"{path}: {y} holds class {int(samples.targets.max())}; expected 0 to {task.outputs - 1}")
    return samples


def _inputs(values: NDArray[np.generic], task: Task, where: str) -> Tensor:
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise InputError(f"{where}: {values.dtype} values; expected real numbers")
    planes = values[:, None] if values.ndim == 3 and task.input_shape[:1] == (1,) else values
    if planes.shape[1:] != task.input_shape:
        raise InputError(f"{where}: shape {list(values.shape)}; expected [n, {', '.join(map(str, task.input_shape))}]")
    if planes.dtype == np.uint8 and planes.ndim == 4:
        return images(planes)
    inputs = torch.from_numpy(planes.astype(np.float32))
    finite(inputs, where)
    return inputs


def _values(values: NDArray[np.generic], samples: int, task: Task, where: str) -> Tensor:
    rows = values[:, None] if values.ndim == 1 else values
    if not np.issubdtype(values.dtype, np.floating) or rows.shape != (samples, task.outputs):
        raise InputError(
            f"{where}: {values.dtype} {list(values.shape)}; expected real values [{samples}, {task.outputs}]"
        )
    targets = torch.from_numpy(rows.astype(np.float32))
    finite(targets, where)
    return targets
