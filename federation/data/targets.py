"""What is to be learned: classes by number or name, or amounts in units of their own."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.preparation import Preparation, standard
from federation.rules import InputError
from federation.tasks import Task

Kind = Literal["classification", "regression"]

FEW = 20
"""Different whole numbers up to which they are taken as classes, where each stands for three samples on average."""


@dataclass(frozen=True)
class Targets:
    """Prepared targets of training and test samples.

    Attributes:
        kind, outputs: as `Task` has them.
        found: the fields of `Preparation` that bring answers back.
    """

    kind: Kind
    outputs: int
    train: Tensor
    test: Tensor
    found: dict[str, Any]

    def task(self, shape: tuple[int, ...]) -> Task:
        """The task of samples of this shape."""
        return Task.kinds()[self.kind](input_shape=shape, outputs=self.outputs)


def prepared(
    train: NDArray[Any], test: NDArray[Any], kind: Kind, names: tuple[str, str], kept: int | None = None
) -> Targets:
    """Targets as models learn them.

    Args:
        train, test: [n] classes or amounts, or [n, values] amounts.
        kind: what they are; the training targets' own by `task_of`, which checks them.
        names: what messages call the two.
        kept: the training samples that are used, the first ones; all without it.
    Raises:
        InputError: a test target is missing; an unknown class; nothing that could be learned.
    """
    check(test, names[1])
    if kind == "classification":
        return _classes(train[:kept], test, names)
    return _amounts(train, test, names, kept)


def check(values: NDArray[Any], name: str) -> None:
    """Whether each sample has a target.

    Raises:
        InputError: one is missing, infinite, or of no kind that can be learned.
    """
    if values.dtype.kind not in "fiubU" or values.ndim not in (1, 2):
        raise InputError(
            f"{name} is {values.dtype} {list(values.shape)}; expected one class or value, or row, a sample"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        wrong = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
        raise InputError(
            f"{name}: {len(wrong)} targets are NaN or infinite, the first in row {wrong[0] + 1}; leave such rows out"
        )


def task_of(values: NDArray[Any], wanted: Kind | None, name: str) -> Kind:
    """What targets are, or, where nothing is wanted, look like; with a warning where amounts could be classes.

    Raises:
        InputError: one is missing, or they may be either.
    """
    check(values, name)
    if wanted:
        return wanted
    if doubt := _maybe_classes(values, name):
        warnings.warn(doubt, stacklevel=2)
    return _looks_like(values, name)


def _looks_like(values: NDArray[Any], name: str) -> Kind:
    """Classes or amounts? Real numbers are amounts.

    Raises:
        InputError: they may be either.
    """
    if values.dtype.kind in "Ub":
        return "classification"
    if values.ndim == 2 or values.dtype.kind == "f":
        return "regression"
    different = len(np.unique(values))
    if different <= FEW and 3 * different <= len(values):
        return "classification"
    raise InputError(
        f"{name} holds whole numbers, {different} different ones in {len(values)} rows: classes or amounts? "
        "say --task classification or --task regression"
    )


def _maybe_classes(values: NDArray[Any], name: str) -> str:
    """What to say of real numbers that could name classes; empty where they could not."""
    different = len(np.unique(values)) if values.dtype.kind == "f" and values.ndim == 1 else FEW + 1
    if different > FEW or not (values == np.floor(values)).all():
        return ""
    return (
        f"{name} holds real numbers that are all whole, {different} different ones: taken as amounts; "
        "say --task classification if they are classes"
    )


def _classes(train: NDArray[Any], test: NDArray[Any], names: tuple[str, str]) -> Targets:
    """Classes by their place in the sorted set of all that training samples have; gaps in their numbers are closed."""
    train, test = (nameable(values, name) for values, name in zip((train, test), names, strict=True))
    known = np.unique(train)
    if len(known) < 2:
        raise InputError(f"{names[0]} holds one class only; expected at least two")
    if train.dtype.kind == "U" and test.dtype.kind != "U":
        test = test.astype(str)
    strange = np.setdiff1d(test, known)
    if len(strange):
        raise InputError(
            f"{names[1]} holds class {strange[0]}, which no training sample has; add such samples, or leave it out"
        )
    places = [torch.from_numpy(np.searchsorted(known, labels).astype(np.int64)) for labels in (train, test)]
    return Targets("classification", len(known), places[0], places[1], {"classes": tuple(known.tolist())})


def nameable(labels: NDArray[Any], name: str) -> NDArray[Any]:
    if labels.ndim != 1 or (labels.dtype.kind == "f" and (labels != np.floor(labels)).any()):
        raise InputError(f"{name} is {labels.dtype} {list(labels.shape)}; expected one whole number or name a sample")
    if labels.dtype.kind == "b":
        return np.where(labels, "true", "false")
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels


def _amounts(train: NDArray[Any], test: NDArray[Any], names: tuple[str, str], kept: int | None) -> Targets:
    """Real values, scaled to mean zero and variance one of the training targets."""
    if train.dtype.kind not in "fiu" or test.dtype.kind not in "fiu":
        raise InputError(f"{names[0]} is {train.dtype}; --task regression needs numbers")
    rows = [values.reshape(len(values), -1) for values in (train, test)]
    if rows[0].shape[1] != rows[1].shape[1]:
        raise InputError(f"{names[0]} has {rows[0].shape[1]} values a sample, {names[1]} {rows[1].shape[1]}")
    for values, name in zip(rows, names, strict=True):
        if bool((values.max(0) == values.min(0)).any()):
            raise InputError(f"{name} holds a value that is the same for all samples; nothing is to be learned")
    centre, scale = standard(rows[0][:kept])
    moved = Preparation(target_centre=centre, target_scale=scale)
    found = {"target_centre": centre, "target_scale": scale}
    return Targets("regression", len(centre), moved.targets(rows[0][:kept]), moved.targets(rows[1]), found)
