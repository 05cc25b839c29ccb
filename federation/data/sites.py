"""A site's own samples: one file in a folder that no other place reads, checked against what all sites agree on.

Either it holds raw rows (`client.csv`, or any table, or npz) that are prepared as the sums of all sites say, or an npz
file of samples as models take them:

| array | shape | dtype |
|---|---|---|
| `x_train` | [n, *input_shape], n > 0; [n, h, w] where that is [1, h, w] | numbers; uint8 images become -1..1 |
| `y_train` | [n] classes from 0 to outputs - 1; or [n, outputs] values, [n] where that is 1 | whole, or real numbers |
| `x_held_out`, `y_held_out` | the same; optional: without them a share of the training samples is held out | the same |
| `x_test`, `y_test` | the same; optional: the site's local test | the same |

The server's own file has `x_test` and `y_test` alone; of raw rows it is `test.csv`, or the like. A file of any other
name there may hold `x_public`, inputs without labels, for phases in which the server learns from such.
"""

import os
from functools import partial
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from federation.data.distribution import divided
from federation.data.npz import Arrays, images, labelled, read_npz
from federation.data.own import Meaning, opened_rows
from federation.data.preparation import Preparation
from federation.data.raw import neighbours
from federation.data.samples import ClientData, Pool, Samples
from federation.data.summary import Summary
from federation.data.tables import FORMATS
from federation.rules import Frozen, InputError
from federation.tasks import Task, finite

OWN, TEST = "client.npz", "test.npz"
"""The file of a site, and that of the server; raw rows may have another ending."""


class Sites(Frozen):
    """What all sites agree on without seeing each other's samples.

    Attributes:
        clients: how many there are.
        task: of each sample; None as long as it is not known how raw rows are prepared.
        meaning: of the columns of raw rows; None where files hold samples as models take them.
        preparation: of raw rows.
    """

    clients: int = Field(ge=1)
    task: Task | None = None
    meaning: Meaning | None = None
    preparation: Preparation = Preparation()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.task is None and self.meaning is None:
            raise ValueError("sites agree on a task, or on the meaning of columns")
        return self

    def summary(self, folder: Path | None, least: int) -> Summary:
        """What the place of this folder tells of its raw rows, so that those of all can be prepared alike.

        Args:
            least: rows of which anything is told.
        Raises:
            InputError: its file is missing, cannot be read, or has too few rows.
        """
        assert self.meaning is not None
        rows = opened_rows(_file(folder), self.meaning)
        if len(rows) < least:
            raise InputError(f"{rows.name} has {len(rows)} rows; a site tells nothing of fewer than {least}")
        return rows.summary(rows.kind(self.meaning.task), rows.all).discreet

    def prepared(self, summary: Summary) -> "Sites":
        """The same once all have told of their rows.

        Raises:
            InputError: there is nothing to learn, or nothing to learn from.
        """
        preparation = summary.preparation("the sites' rows")
        return self.model_copy(update={"preparation": preparation, "task": summary.task(preparation)})

    def pool(self, folder: Path | None, held_out: float, seed: int) -> Pool:
        """The clients, each of which is read where it is asked for; and the test set, where there is one here.

        Args:
            folder: of this place's own file.
            held_out: share of the training samples, where the file holds none out itself.
        """
        if self.task is None:
            raise InputError(
                "it is not known yet how the sites' rows are prepared; all sites must tell of theirs first"
            )
        test = own_file(folder, TEST) if folder is not None else None
        union = Samples.none(self.task) if test is None else self._samples(test, "test")
        return Pool(self.task, partial(self._client, folder, held_out, seed), union, self.preparation)

    def _client(self, folder: Path | None, held_out: float, seed: int, number: int) -> ClientData:
        assert self.task is not None
        if self.meaning is None:
            return read_client(_file(folder), self.task, held_out, seed, number)
        samples = self._samples(_file(folder), "train")
        kept, aside = divided(np.arange(len(samples)), neighbours(len(samples)), held_out, seed, number)
        return ClientData(samples.take(kept), samples.take(aside), Samples.none(self.task))

    def _samples(self, path: Path, part: Literal["train", "test"]) -> Samples:
        assert self.task is not None
        if self.meaning is None:
            return read_test(path, self.task)
        rows = opened_rows(path, self.meaning, part)
        return rows.samples(self.preparation, self.task, rows.all)


def own_file(folder: Path, name: str) -> Path | None:
    """The file of this name in a folder, whatever its ending; None where there is none.

    Raises:
        InputError: there are two.
    """
    found = sorted(file for file in folder.glob(f"{Path(name).stem}.*") if file.suffix.lower() in (".npz", *FORMATS))
    if len(found) > 1:
        raise InputError(f"{folder} holds {found[0].name} and {found[1].name}; leave one of them")
    return found[0] if found else None


def _file(folder: Path | None) -> Path:
    """A site's own file.

    Raises:
        InputError: nobody said where it is.
    """
    if folder is None:
        raise InputError(f"a site's own {OWN} is needed; name its folder by MANIFOLD_DATA")
    return own_file(folder, OWN) or folder / OWN


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
