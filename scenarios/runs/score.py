"""How well a saved world model answers files of one's own: each site of a deployment asks for itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from federation.data.npz import read_npz
from federation.data.own import labels
from federation.data.preparation import Preparation
from federation.data.sites import read_test
from federation.data.tables import opened
from federation.data.targets import check, nameable
from federation.rules import InputError
from federation.world_model import WorldModel
from scenarios.runs.scoring import mean_of, worst_of


def scored(run: Path, files: Sequence[Path], label: Sequence[str]) -> dict[str, Any]:
    """Plain data: of each file the samples, the world model's score and measures, and the best constant answer's.

    Args:
        label: the columns of a table that hold what is asked.
    Raises:
        InputError: there is no world model, or a file does not hold what it should.
    """
    world = WorldModel.load(run)
    rows = [{"file": str(path), **_one(world, path, label)} for path in files]
    scores = [row["score"] for row in rows]
    metric = world.design.task.metric
    return {"metric": metric, "files": rows, "mean": mean_of(scores), "worst_decile": worst_of(scores)}


@torch.no_grad()
def _one(world: WorldModel, path: Path, label: Sequence[str]) -> dict[str, Any]:
    task, preparation = world.design.task, world.design.preparation
    inputs, targets = _asked(world, path, label)
    if not len(targets):
        raise InputError(f"{path} holds no samples to test on; expected x_test and y_test")
    answers, learned = world.predict(inputs), _learned(preparation, targets)
    scorable = task.scorable(targets)
    return {
        "samples": len(targets),
        "score": task.score(_learned(preparation, answers), learned) if scorable else None,
        "measures": task.measures(answers, targets, label),
        "floor": {
            "score": task.constant_score(learned) if scorable else None,
            **task.measures(task.constant(targets), targets, label),
        },
    }


def _asked(world: WorldModel, path: Path, label: Sequence[str]) -> tuple[Any, Tensor]:
    """Raw inputs, and the targets in their own units; those of a site as its file has them."""
    preparation = world.design.preparation
    if path.suffix.lower() == ".npz" and preparation == Preparation():
        samples = read_test(path, world.design.task)
        return samples.inputs, samples.targets
    if path.suffix.lower() == ".npz":
        arrays = read_npz(path, ("x_test", "y_test"))
        return arrays["x_test"], _targets(world, arrays["y_test"], f"{path}: y_test")
    if not preparation.columns or not label:
        raise InputError(
            f"{path}: expected an npz file with x_test and y_test, or, of a world model made of a table, a table and "
            "--label with its column"
        )
    table = opened(path, label)
    targets = _targets(world, labels(table, label), f"{path}: {', '.join(label)}")
    return pa.Table.from_batches(table.pieces([column.name for column in preparation.columns])), targets


def _targets(world: WorldModel, values: NDArray[Any], where: str) -> Tensor:
    """Raw targets as numbers: classes by their places, amounts as they are."""
    task, classes = world.design.task, world.design.preparation.classes
    check(values, where)
    if not task.classifies:
        amounts = torch.from_numpy(values.astype(np.float64).reshape(len(values), -1))
        if amounts.shape[1] != task.outputs:
            raise InputError(f"{where} has {amounts.shape[1]} values a sample; the world model answers {task.outputs}")
        return amounts
    places = {str(name): place for place, name in enumerate(classes or range(task.outputs))}
    asked = [str(value) for value in nameable(values, where).tolist()]
    if strange := sorted(set(asked) - places.keys()):
        raise InputError(f"{where} holds class {strange[0]}, which the world model does not know; leave it out")
    return torch.tensor([places[name] for name in asked], dtype=torch.int64)


def _learned(preparation: Preparation, values: Tensor) -> Tensor:
    """Amounts as the models learned them, all on one scale."""
    return preparation.targets(values.numpy()) if preparation.target_centre else values
