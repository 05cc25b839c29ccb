"""What is understood of a user's own table before anything is trained, and what looks suspicious in it."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from federation.data.arrays import check_inputs
from federation.data.columns import MOST_CATEGORIES, Sums, encode, numbers, summed
from federation.data.npz import read_npz
from federation.data.own import Meaning, client_names, labels
from federation.data.pictures import channels_last, is_image
from federation.data.tables import Table, as_arrow, opened
from federation.data.targets import Kind, task_of
from federation.rules import InputError

SAMPLE = 4_000
"""Rows on which it is tried whether a column gives the label away."""

TELLING = 0.999
"""Share of the label that such a column explains by itself, on rows that the rule was not made from."""

WILD = 1_000
"""Median absolute deviations from the median beyond which a target is an outlier."""

FEW = 5
"""Rows below which a class, or a client, is small."""


@dataclass(frozen=True)
class Understood:
    """A table as a run would take it.

    Attributes:
        columns: of each its name, kind, missing values, and what else is known.
        task: None where labels may be either; then `problems` says so.
        classes: rows of each. `amounts`: of each label its mean, std, min and max.
        clients: rows of each; empty where rows are dealt out.
        problems: what a run would refuse. `suspicious`: what it would take, and what may be meant otherwise.
    """

    name: str
    rows: int
    columns: Sequence[dict[str, Any]] = ()
    task: Kind | None = None
    classes: dict[str, int] = field(default_factory=dict)
    amounts: dict[str, dict[str, float]] = field(default_factory=dict)
    clients: dict[str, int] = field(default_factory=dict)
    problems: Sequence[str] = ()
    suspicious: Sequence[str] = ()

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def checked(
    file: Path, label: Sequence[str], client: str | None, task: Kind | None, ignore: Sequence[str]
) -> Understood:
    """Say what a user's file holds; the other arguments are those of `Meaning`.

    Raises:
        InputError: it cannot be read, or has no such columns.
    """
    if file.suffix.lower() == ".npz":
        return _arrays(file, task)
    return understood(opened(file, [*label, *([client] if client else [])]), Meaning(label, client, task, ignore))


def _arrays(file: Path, task: Kind | None) -> Understood:
    """The training samples of an npz file as a table; images by their shape alone."""
    arrays = read_npz(file, ("x_train", "y_train"))
    x, y = arrays["x_train"], arrays["y_train"]
    check_inputs(x, f"{file.name} x_train")
    if y.shape[:1] != x.shape[:1] or y.ndim > 2:
        raise InputError(f"{file.name}: y_train is {list(y.shape)}; expected a target for each of {len(x)}")
    targets = {f"y{place}": column for place, column in enumerate(y.reshape(len(y), -1).T)}
    clients = {"client": arrays["group_train"]} if "group_train" in arrays else {}
    meaning = Meaning(list(targets), next(iter(clients), None), task)
    if x.ndim == 2:
        columns = {f"x{place}": column for place, column in enumerate(x.T)}
        return understood(opened({**columns, **targets, **clients}, name=file.name), meaning)
    turned = ["images have their channels last; they are turned"] if channels_last(x.shape) else []
    about = f"{len(x)} images {list(x.shape[1:])}, {x.dtype}, {np.min(x):g} to {np.max(x):g}"
    images = pa.nulls(len(x), pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = as_arrow({**targets, **clients}).append_column("image", images)
    return understood(opened(table, name=file.name), meaning, [about, *turned])


def understood(table: Table, meaning: Meaning, remarks: Sequence[str] = ()) -> Understood:
    """Say what a table holds; `remarks` were found suspicious while it was opened.

    Raises:
        InputError: it cannot be read, or has no such columns.
    """
    inputs = meaning.inputs(table)
    problems: list[str] = []

    def tried(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except InputError as error:
            problems.append(str(error))
            return None

    name = f"{table.name}, column {', '.join(meaning.label)}"
    y = tried(lambda: labels(table, meaning.label))
    kind, doubts = (None if y is None else tried(lambda: _task(y, meaning.task, name))) or (None, [])
    clients = tried(lambda: _counts(client_names(table, str(meaning.client)))) if meaning.client else None
    images = is_image(table.columns[inputs[0]])
    sums = None if images else tried(lambda: summed(inputs, table.numbered(inputs), table.name))
    ranges = _ranges(table, sums or {})
    told = [_column(name, each, ranges.get(name)) for name, each in (sums or {}).items()]
    suspicious = [*remarks, *_of_columns(sums or {}), *_of_counts(clients or {}, "client")]
    if sums:
        suspicious += [*_repeated(table, [*inputs, *meaning.label]), *_identifiers(table, sums, ranges)]
    if kind is not None:
        suspicious += [*doubts, *_of_labels(y, kind, meaning.label), *_telling(table, sums or {}, y, kind)]
    return Understood(
        table.name,
        len(table),
        [{"name": inputs[0], "kind": "image"}] if images else told,
        kind,
        classes=_counts(y) if kind == "classification" else {},
        amounts=_amounts(y, meaning.label) if kind == "regression" else {},
        clients=clients or {},
        problems=problems,
        suspicious=suspicious,
    )


def _task(y: NDArray[Any], wanted: Kind | None, name: str) -> tuple[Kind, list[str]]:
    """What labels are taken as, and what a run would warn of."""
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        kind = task_of(y, wanted, name)
    return kind, [str(doubt.message) for doubt in doubts]


def _ranges(table: Table, sums: dict[str, Sums]) -> dict[str, tuple[float, float]]:
    """The least and the largest number of each column of them."""
    names = [name for name, each in sums.items() if each.spread]
    ends: dict[str, list[float]] = {name: [] for name in names}
    for piece in table.pieces(names):
        for name in names:
            present = numbers(piece.column(name), name, table.name)
            present = present[~np.isnan(present)]
            ends[name] += [float(present.min()), float(present.max())] if len(present) else []
    return {name: (min(found), max(found)) for name, found in ends.items()}


def _column(name: str, sums: Sums, ends: tuple[float, float] | None) -> dict[str, Any]:
    """One line of the table."""
    row: dict[str, Any] = {"name": name, "kind": sums.kind or "empty", "missing": sums.missing}
    if sums.kind == "category":
        return row | {
            "values": None if sums.counts is None else len(sums.counts),
            "used": sums.column(name) is not None,
        }
    if sums.spread and ends:
        std = float(np.sqrt(sums.spread.squares[0] / sums.count))
        found = {"mean": sums.spread.mean[0], "std": std, "min": ends[0], "max": ends[1]}
        day = sums.kind == "date"
        row |= {key: str(np.datetime64(int(v), "s")) if day and key != "std" else v for key, v in found.items()}
    return row | {"used": sums.count > 0}


def _of_columns(sums: dict[str, Sums]) -> Iterator[str]:
    """Constant, empty, nameless and crowded columns."""
    for name, each in sums.items():
        rows = each.count + each.missing
        if each.count == 0:
            yield f"column {name!r} is empty; it is left out"
        elif each.kind == "category" and each.names:
            yield f"column {name!r} has a text of its own in nearly each row, as names have; it is left out"
        elif each.kind == "category" and len(each.counts or ()) > MOST_CATEGORIES:
            yield f"column {name!r} has {len(each.counts or ())} categories; the rarest are taken as none of the others"
        elif len(each.counts or ()) == 1 or (each.spread and each.spread.squares[0] == 0):
            yield f"column {name!r} is constant; nothing is learned from it"
        if 0 < each.count < rows / 2:
            yield f"column {name!r} is missing in {each.missing} of {rows} rows"


def _of_counts(counts: dict[str, int], what: str) -> Iterator[str]:
    few = [name for name, rows in counts.items() if rows < FEW]
    plural = {"class": "classes"}.get(what, f"{what}s")
    if few:
        yield f"{len(few)} of {len(counts)} {plural} with fewer than {FEW} rows, such as {few[0]} with {counts[few[0]]}"
    if len(counts) == 1:
        yield f"one {what} only, {next(iter(counts))}"


def _numbering(y: NDArray[Any]) -> Iterator[str]:
    if y.dtype.kind in "iuf" and (list(known := np.unique(y)) != list(range(len(known)))):
        yield f"classes are numbered {known[0]:g} to {known[-1]:g}; they are counted anew, and none is empty"


def _of_labels(y: NDArray[Any], kind: Kind, names: Sequence[str]) -> Iterator[str]:
    if kind == "regression":
        return _outliers(y.reshape(len(y), -1), names)
    return chain(_of_counts(_counts(y), "class"), _numbering(y))


def _outliers(y: NDArray[Any], names: Sequence[str]) -> Iterator[str]:
    for place, name in enumerate(names):
        away = np.abs(y[:, place] - np.median(y[:, place]))
        wild = np.flatnonzero(away > WILD * np.median(away))
        if np.median(away) > 0 and wild.size:
            worst = int(away.argmax())
            yield (
                f"column {name!r} has outliers ({wild.size}), the farthest is {y[worst, place]:g} in row {worst + 1}: "
                "is it a mistake? one such target outweighs all others"
            )


def _repeated(table: Table, names: Sequence[str]) -> Iterator[str]:
    found = [pd.util.hash_pandas_object(piece.to_pandas(), index=False).to_numpy() for piece in table.pieces(names)]
    rows = np.concatenate(found) if found else np.zeros(0)
    if again := len(rows) - len(np.unique(rows)):
        yield f"{again} rows are there more than once; where one is tested on, its double may be trained on"


def _identifiers(table: Table, sums: dict[str, Sums], ranges: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Whole numbers, each of them once, close together."""
    for name, (least, most) in ranges.items():
        each = sums[name]
        dense = each.kind == "number" and each.missing == 0 and 20 < each.count <= most - least + 1
        if dense and most - least < 2 * each.count:
            values = np.asarray(table.column(name).to_numpy(), dtype=np.float64)
            if (values == np.floor(values)).all() and len(np.unique(values)) == len(values):
                yield f"column {name!r} numbers the rows, as identifiers do; leave it out by --ignore {name}"


def _telling(table: Table, sums: dict[str, Sums], y: NDArray[Any], kind: Kind) -> Iterator[str]:
    """Columns from each of which alone the label follows."""
    step = -(-len(y) // SAMPLE)
    target = y[::step]
    tree = DecisionTreeClassifier if kind == "classification" else DecisionTreeRegressor
    half = np.random.Generator(np.random.PCG64(0)).permutation(len(target))
    parts = half[: len(half) // 2], half[len(half) // 2 :]
    if not sums or len(parts[0]) < 10 or len(np.unique(target, axis=0)) < 2:
        return
    columns = [column for name, each in sums.items() if (column := each.column(name)) is not None]
    sample = pa.Table.from_batches(
        [
            piece.filter(pa.array(rows % step == 0))
            for piece, rows in table.numbered([column.name for column in columns])
        ]
    )
    for column in columns:
        x, name = encode([column], sample, table.name), column.name
        if (
            float(tree(random_state=0).fit(x[parts[0]], target[parts[0]]).score(x[parts[1]], target[parts[1]]))
            >= TELLING
        ):
            yield f"column {name!r} alone gives the label away; would it be known beforehand? else --ignore {name}"


def _counts(values: NDArray[Any]) -> dict[str, int]:
    names, counts = np.unique(values, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _amounts(y: NDArray[Any], names: Sequence[str]) -> dict[str, dict[str, float]]:
    columns = y.reshape(len(y), -1).T.astype(np.float64)
    return {
        name: {"mean": float(v.mean()), "std": float(v.std()), "min": float(v.min()), "max": float(v.max())}
        for name, v in zip(names, columns, strict=True)
    }
