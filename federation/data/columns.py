"""Columns of a table as numbers: their kinds, how they are fitted by sums, and how rows are encoded.

The vocabulary is scikit-learn's: numbers are imputed by the mean and standardised, categories by the most frequent and
one-hot, and each column that had missing values in training gets an indicator.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field

from federation.data.spread import Spread
from federation.rules import Frozen, InputError, Several

Kind = Literal["number", "boolean", "date", "category"]

FARTHEST = 100.0
"""Deviations from the mean beyond which a number is taken as so far: one wild value leaves the others readable."""

MOST_CATEGORIES, MOST_COUNTED = 100, 10_000
"""Categories that get a column each, the most frequent ones; and different values up to which they are counted."""


class Column(Frozen):
    """One column as it was found in training.

    Attributes:
        centre, scale: mean and deviation of a number, of a date in seconds, of true as 1; a constant has scale 1.
        categories: the values that are told apart, the most frequent first; any other is none of them.
        missing: whether values were missing: then a number more says where one is.
    """

    name: str
    kind: Kind
    centre: float = Field(default=0.0, allow_inf_nan=False)
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    categories: Several[str] = ()
    missing: bool = False

    @property
    def width(self) -> int:
        """Numbers that it becomes."""
        return (len(self.categories) if self.kind == "category" else 1) + self.missing

    def encoded(
        self, values: pa.Array, where: str, rows: NDArray[np.int64] | None = None
    ) -> Float[np.ndarray, "rows width"]:
        """Its values as the models take them.

        Args:
            rows: the number of each value's row in its file, from 0, for messages; counted here without it.
        Raises:
            InputError: a value is of another kind, or infinite.
        """
        if self.kind == "category":
            place = pc.index_in(texts(values), pa.array(self.categories, pa.string())).fill_null(-1)
            absent = np.asarray(values.is_null(nan_is_null=True))
            found = np.where(absent, 0, place.to_numpy(zero_copy_only=False))
            out = (found[:, None] == np.arange(len(self.categories))).astype(np.float32)
        else:
            raw = numbers(values, self.name, where, rows, self.kind)
            absent = np.isnan(raw)
            with np.errstate(over="ignore"):
                scaled = np.clip((raw - self.centre) / self.scale, -FARTHEST, FARTHEST)
            out = np.where(absent, 0.0, scaled).astype(np.float32)[:, None]
        return np.concatenate([out, absent[:, None].astype(np.float32)], 1) if self.missing else out


class Sums(Frozen):
    """What is added up over the values of one column; sums of parts make those of the whole.

    Attributes:
        kind: None as long as there are no values.
        count, missing: values that are there, and that are not.
        spread: of numbers, dates in seconds, and true as 1; None where there are none of these.
        counts: of each category; None where there are more than `MOST_COUNTED`, or where they are not told.
    """

    kind: Kind | None = None
    count: int = Field(default=0, ge=0)
    missing: int = Field(default=0, ge=0)
    spread: Spread | None = None
    counts: dict[str, Annotated[int, Field(ge=0)]] | None = Field(default_factory=dict)

    @staticmethod
    def of(name: str, values: pa.Array, where: str, rows: NDArray[np.int64] | None = None) -> "Sums":
        """Those of some values.

        Raises:
            InputError: they are of no kind that can be read, infinite, or too large.
        """
        kind = kind_of(values.type, name, where)
        if kind == "category":
            known = texts(values).drop_null()
            counts = {str(each["values"]): int(each["counts"]) for each in known.value_counts().to_pylist()}
            kept = counts if len(counts) <= MOST_COUNTED else None
            return Sums(kind=kind if counts else None, count=len(known), missing=values.null_count, counts=kept)
        raw = numbers(values, name, where, rows)
        present = raw[~np.isnan(raw)]
        if len(present) == 0:
            return Sums(missing=len(raw))
        spread = Spread.of(present[:, None], f"{where}: column {name!r}")
        return Sums(kind=kind, count=len(present), missing=len(raw) - len(present), spread=spread)

    def __add__(self, other: "Sums") -> "Sums":
        """The sums of both, of one kind."""
        counts = None
        if self.counts is not None and other.counts is not None:
            both = {key: self.counts.get(key, 0) + other.counts.get(key, 0) for key in {**self.counts, **other.counts}}
            counts = both if len(both) <= MOST_COUNTED else None
        return Sums(
            kind=self.kind or other.kind,
            count=self.count + other.count,
            missing=self.missing + other.missing,
            spread=self.spread + other.spread if self.spread and other.spread else self.spread or other.spread,
            counts=counts,
        )

    @property
    def names(self) -> bool:
        """Whether nearly each row has a text of its own, as names and identifiers do; nothing is learned from these."""
        return self.counts is None or len(self.counts) > max(20, self.count / 2)

    @property
    def discreet(self) -> "Sums":
        """The same without texts that are names."""
        return self.model_copy(update={"counts": None}) if self.names else self

    def column(self, name: str) -> Column | None:
        """How the column is encoded; None where nothing can be learned from it: names, or no values at all."""
        if self.kind == "category" and self.counts and not self.names:
            order = sorted(self.counts, key=lambda key: (-(self.counts or {})[key], key))[:MOST_CATEGORIES]
            return Column(name=name, kind=self.kind, categories=tuple(order), missing=self.missing > 0)
        if self.kind in (None, "category") or self.spread is None:
            return None
        [centre], [scale] = self.spread.standard()
        return Column(name=name, kind=self.kind, centre=centre, scale=scale, missing=self.missing > 0)


def summed(
    names: Sequence[str], pieces: Iterable[tuple[pa.RecordBatch, NDArray[np.int64] | None]], where: str
) -> dict[str, Sums]:
    """The sums of each column over all pieces of a table.

    Args:
        pieces: each with the numbers of its rows in their file.
    Raises:
        InputError: a column has values that cannot be read.
    """
    parts = ({name: Sums.of(name, piece.column(name), where, rows) for name in names} for piece, rows in pieces)
    return merged(chain([dict.fromkeys(names, Sums())], parts))


def fitted(sums: Mapping[str, Sums], where: str) -> tuple[Column, ...]:
    """The columns that something can be learned from.

    Raises:
        InputError: there is none.
    """
    found = tuple(column for name, each in sums.items() if (column := each.column(name)) is not None)
    if not found:
        raise InputError(f"{where}: no column but names and empty ones; expected numbers, categories or dates")
    return found


def encode(
    columns: Sequence[Column], rows: pa.Table | pa.RecordBatch, where: str, numbered: NDArray[np.int64] | None = None
) -> Float[np.ndarray, "rows width"]:
    """Rows as the models take them, in float32; columns of other names are not looked at.

    Raises:
        InputError: a column is missing, or a value is of another kind than in training.
    """
    present = set(rows.schema.names)
    if missing := [column.name for column in columns if column.name not in present]:
        raise InputError(f"{where}: the column {missing[0]!r} is missing ({len(missing)} in all); training rows had it")
    out = np.empty((rows.num_rows, sum(column.width for column in columns)), dtype=np.float32)
    place = 0
    for column in columns:
        values = rows.column(column.name)
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        out[:, place : place + column.width] = column.encoded(whole, where, numbered)
        place += column.width
    return out


def kind_of(kind: pa.DataType, name: str, where: str) -> Kind | None:
    """What a column of this type holds; None where it has no values.

    Raises:
        InputError: nothing that can be read.
    """
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    tests: list[tuple[Kind | None, bool]] = [
        (None, types.is_null(kind)),
        ("boolean", types.is_boolean(kind)),
        ("number", types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)),
        ("date", types.is_date(kind) or types.is_timestamp(kind)),
        ("category", types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)),
    ]
    for found, holds in tests:
        if holds:
            return found
    raise InputError(f"{where}: column {name!r} holds {kind}; expected numbers, text, true or false, or dates")


def numbers(
    values: pa.Array, name: str, where: str, rows: NDArray[np.int64] | None = None, kind: Kind = "number"
) -> Float[np.ndarray, " rows"]:
    """A column in float64, dates in seconds since 1970; NaN where a value is missing.

    Args:
        kind: what text is read as: a date as `2026-01-31`, anything else as a number.
    Raises:
        InputError: a value is not of this kind, or infinite.
    """
    if values.null_count == len(values):  # of whatever type: a file does not say what an empty column would hold
        return np.full(len(values), np.nan)
    try:
        plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        if pa.types.is_boolean(plain.type):
            plain = plain.cast(pa.int8())
        if kind == "date" or pa.types.is_date(plain.type) or pa.types.is_timestamp(plain.type):
            plain = plain.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
            plain = pc.divide(plain, 1e6)
        raw: NDArray[Any] = plain.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        cause = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: column {name!r} holds {values.type}, expected a {kind} ({cause})") from None
    if (wild := np.flatnonzero(np.isinf(raw))).size:
        row = int(wild[0] if rows is None else rows[wild[0]]) + 1
        raise InputError(f"{where}: column {name!r}, row {row} is infinite; leave such cells empty")
    return raw


def texts(values: pa.Array) -> pa.Array:
    """A column as text."""
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    return plain.cast(pa.string())


def strings(values: pa.Array) -> NDArray[Any]:
    """A column without missing values as an array of text, each different one made once."""
    known = texts(values).dictionary_encode()
    places: NDArray[np.int32] = known.indices.to_numpy()
    return np.array(known.dictionary.to_pylist(), dtype=str)[places]


def merged(parts: Iterable[Mapping[str, Sums]]) -> dict[str, Sums]:
    """The sums of a whole table from those of its parts, whoever holds them.

    Raises:
        InputError: a column is of one kind in one part, and of another in another, or is missing in one.
    """
    total: dict[str, Sums] = {}
    for part in parts:
        if total and (lacking := total.keys() ^ part.keys()):
            raise InputError(
                f"column {min(lacking)!r} is not at all sites ({len(lacking)} such columns in all); add it, empty if "
                "need be, or ignore it"
            )
        for name, sums in part.items():
            before = total.get(name, Sums())
            if before.kind and sums.kind and before.kind != sums.kind:
                raise InputError(
                    f"column {name!r} is a {before.kind} here and a {sums.kind} there; make it one of them"
                )
            total[name] = before + sums
    return total
