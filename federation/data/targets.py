"""What is to be learned: classes by number or name, or amounts in units of their own."""

import warnings
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from federation.data.preparation import Preparation
from federation.rules import InputError

Kind = Literal["classification", "regression"]

FEW = 20
"""Different whole numbers up to which they are taken as classes, where each stands for three samples on average."""


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


def classes_of(values: NDArray[Any], name: str) -> tuple[str | int, ...]:
    """All classes that there are, in order.

    Raises:
        InputError: they are no whole numbers or names.
    """
    return tuple(np.unique(nameable(values, name)).tolist())


def amounts_of(values: NDArray[Any], name: str) -> Float[np.ndarray, "samples values"]:
    """Real values, a row a sample.

    Raises:
        InputError: they are no numbers.
    """
    if values.dtype.kind not in "fiu":
        raise InputError(f"{name} is {values.dtype}; --task regression needs numbers")
    return values.reshape(len(values), -1).astype(np.float64)


def learned(values: NDArray[Any], preparation: Preparation, name: str) -> Tensor:
    """Targets as models learn them: classes by their place among all that training samples have, amounts scaled.

    Raises:
        InputError: one is missing, or no training sample has such a target.
    """
    check(values, name)
    if not preparation.classes:
        rows = amounts_of(values, name)
        if rows.shape[1] != (expected := len(preparation.target_centre)):
            raise InputError(f"{name} has {rows.shape[1]} values a sample, expected {expected}")
        return preparation.targets(rows)
    found, places = np.unique(nameable(values, name), return_inverse=True)
    place = {str(known): number for number, known in enumerate(preparation.classes)}
    if strange := [each for each in found.tolist() if str(each) not in place]:
        raise InputError(
            f"{name} holds class {strange[0]}, which no training sample has; add such samples, or leave it out"
        )
    return torch.tensor([place[str(each)] for each in found.tolist()], dtype=torch.int64)[places]


def check_varied(values: NDArray[Any], name: str) -> None:
    """Whether amounts differ, without which nothing is told by how well they are answered.

    Raises:
        InputError: they are all the same.
    """
    rows = values.reshape(len(values), -1)
    if bool((rows.max(0) == rows.min(0)).any()):
        raise InputError(f"{name} holds a value that is the same for all samples; nothing is to be learned")


def nameable(labels: NDArray[Any], name: str) -> NDArray[Any]:
    if labels.ndim != 1 or (labels.dtype.kind == "f" and (labels != np.floor(labels)).any()):
        raise InputError(f"{name} is {labels.dtype} {list(labels.shape)}; expected one whole number or name a sample")
    if labels.dtype.kind == "b":
        return np.where(labels, "true", "false")
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels
