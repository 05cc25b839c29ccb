"""One's own data: an npz file with x_train, y_train, x_test, y_test, optionally group_train (the natural client)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.npz import read_npz
from federation.data.partition import Automatic
from federation.data.preparation import Preparation, spanning, standard
from federation.data.samples import Dataset, Samples
from federation.manifold import FourierFeatures, PrincipalComponents
from federation.models import Mlp
from federation.rules import InputError
from federation.scenario import Scenario
from federation.settings import (
    CompositionSettings,
    DataSettings,
    ExpertSettings,
    HeadSettings,
    LocalTraining,
    ReadoutSettings,
    RouterSettings,
    TrainingPhase,
)
from federation.task import Task, finite
from server.aggregation import Mean

FEATURES = FourierFeatures()

SCENARIO = Scenario(
    name="npz",
    title="Your own npz file",
    partition=Automatic(clients=10),
    model=Mlp(width=64, blocks=1),
    local=LocalTraining(learning_rate=0.05, batch_size=20, epochs=1, clip=10.0, schedule="cosine"),
    aggregation=Mean(),
    encoder=PrincipalComponents(dimensions=16),
    prior=TrainingPhase(rounds=20),
    experts=ExpertSettings(
        rounds=10, readout=ReadoutSettings(features=FEATURES, ridges=(0.03, 0.3), borrowed=(300.0, 3000.0))
    ),
    head=HeadSettings(features=FEATURES, hidden=0, ridge=0.1, rounds=0),
    composition=CompositionSettings(weights=(0.25, 0.5, 1.0)),
    router=RouterSettings(local=LocalTraining(learning_rate=0.1, clip=10.0)),
)


def load(settings: DataSettings, seed: int) -> Dataset:
    """Images [n, h, w] or [n, c, h, w], or flat features [n, d]; classes by number or name, or real-valued targets."""
    if settings.path is None:
        raise InputError("scenario npz needs a file: --set data.path=mine.npz")
    path = Path(settings.path).expanduser()
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    for part in ("train", "test"):
        _check_inputs(arrays[f"x_{part}"], f"{path.name} x_{part}")
    train, test = arrays["x_train"], arrays["x_test"]
    if train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"{path.name}: x_test has samples of {list(test.shape[1:])}, x_train of {list(train.shape[1:])}"
        )
    keep = len(train) if settings.limit is None else min(settings.limit, len(train))
    centre, scale = standard(train[:keep]) if train.ndim == 2 else spanning(train[:keep])
    classes = arrays["y_train"].dtype.kind in "iuU"
    targets, found = (_classified if classes else _valued)(arrays, keep, path.name)
    preparation = Preparation(channel=train.ndim == 3, centre=centre, scale=scale, **found)
    inputs = preparation.inputs(train[:keep]), preparation.inputs(test)
    task = Task(
        kind="classification" if classes else "regression",
        input_shape=tuple(inputs[0].shape[1:]),
        outputs=len(found["classes"] if classes else found["target_centre"]),
    )
    group = _groups(arrays, keep, path.name)
    return Dataset(
        task=task,
        train=Samples(inputs[0], targets[0]),
        test=Samples(inputs[1], targets[1]),
        group=group,
        unit=_neighbours(keep, 10 if group is None else int(group.max()) + 1),
        preparation=preparation,
    )


def _neighbours(rows: int, clients: int) -> NDArray[np.int64]:
    """Pieces of rows that follow one another, some twenty a client: they are held out together, since neighbours in a
    file are often neighbours in time, and one tells what the other is."""
    return np.arange(rows) // max(1, rows // (20 * clients))


def _check_inputs(values: NDArray[Any], where: str) -> None:
    if values.ndim not in (2, 3, 4) or len(values) == 0:
        raise InputError(
            f"{where}: shape {list(values.shape)}; expected [n, features], [n, h, w] or [n, c, h, w] with n > 0"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"{where}: {values.dtype} values; expected numbers")
    finite(torch.from_numpy(values), where)


def _classified(arrays: Any, keep: int, name: str) -> tuple[tuple[Tensor, Tensor], dict[str, Any]]:
    """Classes by their place in the sorted set of all that training samples have; gaps in their numbers are closed."""
    for part in ("train", "test"):
        labels, inputs = arrays[f"y_{part}"], arrays[f"x_{part}"]
        if labels.shape != (len(inputs),) or labels.dtype.kind not in "iuU":
            raise InputError(
                f"{name}: y_{part} is {labels.dtype} {list(labels.shape)}; expected a class for each of {len(inputs)}"
            )
    known = np.unique(arrays["y_train"][:keep])
    if len(known) < 2:
        raise InputError(f"{name}: y_train holds one class only; expected at least two")
    strange = np.setdiff1d(arrays["y_test"], known)
    if len(strange):
        raise InputError(f"{name}: y_test holds class {strange[0]}, which no training sample has")
    train, test = (
        torch.from_numpy(np.searchsorted(known, labels).astype(np.int64))
        for labels in (arrays["y_train"][:keep], arrays["y_test"])
    )
    return (train, test), {"classes": tuple(known.tolist())}


def _valued(arrays: Any, keep: int, name: str) -> tuple[tuple[Tensor, Tensor], dict[str, Any]]:
    """Real-valued targets, scaled to mean zero and variance one of the training targets."""
    raw = {}
    for part in ("train", "test"):
        values, inputs = arrays[f"y_{part}"], arrays[f"x_{part}"]
        if values.dtype.kind != "f" or values.ndim not in (1, 2) or len(values) != len(inputs):
            raise InputError(
                f"{name}: y_{part} is {values.dtype} {list(values.shape)}; expected one real value or row a sample"
            )
        raw[part] = values.reshape(len(values), -1)
        finite(torch.from_numpy(raw[part]), f"{name} y_{part}")
    if raw["train"].shape[1] != raw["test"].shape[1]:
        raise InputError(f"{name}: y_train has {raw['train'].shape[1]} values a sample, y_test {raw['test'].shape[1]}")
    for part, values in raw.items():
        if bool((values.max(0) == values.min(0)).any()):
            raise InputError(
                f"{name}: y_{part} holds a value that is the same for all samples; nothing is to be learned"
            )
    centre, scale = standard(raw["train"][:keep])
    prepared = Preparation(target_centre=centre, target_scale=scale)
    return (prepared.targets(raw["train"][:keep]), prepared.targets(raw["test"])), {
        "target_centre": centre,
        "target_scale": scale,
    }


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
