"""Tables of rows and columns: files, folders and frames, read by pieces, so that a file may be larger than memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.dataset as pads
from numpy.typing import NDArray

from federation.rules import InputError, nearest

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "feather", ".feather": "feather",
}  # fmt: skip
"""Endings of files, and how Arrow reads them."""

PIECE = 2**15
"""Rows that are in memory at once."""

BLOCK = 2**23
"""Bytes of a CSV file from which the kinds of its columns are guessed."""


@dataclass(frozen=True)
class Table:
    """Rows that are read as often as they are asked for, always in the same order.

    Attributes:
        name: what messages call it.
    """

    name: str
    rows: pads.Dataset

    def __len__(self) -> int:
        with self._readable():
            return int(self.rows.count_rows())

    @cached_property
    def columns(self) -> dict[str, pa.DataType]:
        """The type of each column, by name."""
        return dict(zip(self.rows.schema.names, self.rows.schema.types, strict=True))

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows of some columns, at most `PIECE` at once.

        Raises:
            InputError: a column is missing, or a value is not of its column's kind.
        """
        for name in columns:
            self.check(name)
        with self._readable():
            scan = self.rows.scanner(columns=list(columns), batch_size=PIECE, batch_readahead=2, fragment_readahead=1)
            for batch in scan.to_batches():
                for start in range(0, batch.num_rows, PIECE):
                    yield batch.slice(start, PIECE)

    def numbered(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, NDArray[np.int64]]]:
        """The same, each piece with the numbers of its rows."""
        first = 0
        for piece in self.pieces(columns):
            yield piece, np.arange(first, first + piece.num_rows)
            first += piece.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """One column as a whole."""
        pieces = [piece.column(0) for piece in self.pieces([name])]
        return pa.chunked_array(pieces, type=self.columns[name])

    def check(self, column: str) -> None:
        """Whether there is such a column.

        Raises:
            InputError: there is none.
        """
        if column not in self.columns:
            raise InputError(f"{self.name} has no column {column!r}; {nearest(column, list(self.columns))}")

    def _readable(self) -> "_Readable":
        return _Readable(self.name, self.rows.schema.names)


@dataclass(frozen=True)
class _Readable:
    """Says in one line what Arrow cannot read, with the column and the row where it tells them."""

    name: str
    columns: Sequence[str] = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (pa.ArrowException, OSError, UnicodeDecodeError)):
            cause = " ".join(str(error).split()).split("CSV parse error: ")[-1].split("JSON parse error: ")[-1]
            cause = cause.split("Invalid: ")[-1]
            for place, column in enumerate(self.columns):
                cause = cause.replace(f"In CSV column #{place}: ", f"column {column!r}: ")
            raise InputError(f"{self.name}: {cause[:300]}; mend that, or take a file of another kind") from None


def opened(source: Any, exact: Sequence[str] = (), name: str = "the table") -> Table:
    """A table from a file or folder (CSV, JSON lines, Parquet, Arrow, images), or from a frame in memory.

    Args:
        source: a path; a pandas frame, an Arrow table, or a data set of Hugging Face `datasets`.
        exact: columns of CSV files whose whole numbers stay so. All others become real numbers, so that a whole number
            in the first rows does not forbid others later.
        name: what messages call what is in memory; a file has its own name.
    Raises:
        InputError: it cannot be read.
    """
    if not isinstance(source, (str, Path)):
        return _held(source, name)
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"no data file {path}; give the path of an existing file or folder")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path.name}: unknown ending {path.suffix!r}; expected npz, {', '.join(FORMATS)}, or a folder"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty; expected a table with a row of column names")
    with _Readable(path.name):
        rows = _csv(path, exact) if kind == "csv" else pads.dataset(path, format=_format(kind))
    return _checked(Table(path.name, rows))


def _checked(table: Table) -> Table:
    names = table.rows.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise InputError(f"{table.name} has two columns named {twice[0]!r}; rename one of them")
    return table


def _format(kind: str) -> Any:
    if kind != "parquet":
        return kind
    scan = pads.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)
    return pads.ParquetFileFormat(default_fragment_scan_options=scan)


def _csv(path: Path, exact: Sequence[str]) -> pads.Dataset:
    """A CSV file with its numbers as real ones, but for some columns; empty cells are missing values."""

    def read(types: Mapping[str, pa.DataType]) -> pads.Dataset:
        convert = pcsv.ConvertOptions(strings_can_be_null=True, column_types=types)
        parse = pcsv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True)
        scan = pads.CsvFragmentScanOptions(convert, pcsv.ReadOptions(block_size=BLOCK))
        return pads.dataset(path, format=pads.CsvFileFormat(parse, default_fragment_scan_options=scan))

    schema = read({}).schema
    whole = {field.name: pa.float64() for field in schema if pa.types.is_integer(field.type) or field.type == pa.null()}
    return read({name: kind for name, kind in whole.items() if name not in exact})


def _folder(path: Path) -> Table:
    """A folder that `datasets` has saved, one of tables of the same kind, or one of images in folders of classes."""
    import datasets

    datasets.disable_progress_bars()
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        with _Readable(path.name):
            found = datasets.load_from_disk(str(path))
        if isinstance(found, dict) and len(found) != 1:
            raise InputError(f"{path} holds the parts {', '.join(found)}; name one of them, such as {path}/train")
        return _held(next(iter(found.values())) if isinstance(found, dict) else found, path.name)
    kinds = {FORMATS.get(file.suffix.lower()) for file in path.iterdir() if file.is_file()} - {None}
    if len(kinds) == 1:
        with _Readable(path.name):
            return _checked(Table(path.name, pads.dataset(path, format=_format(str(kinds.pop())))))
    try:
        images = datasets.load_dataset("imagefolder", data_dir=str(path), split="train")
    except Exception as error:  # whatever lies in the folder
        cause = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} holds neither tables of one kind nor images in folders of classes ({cause})"
        ) from None
    return _held(images, path.name)


def _held(source: Any, name: str) -> Table:
    """What is in memory already, or mapped into it."""
    if type(source).__module__.startswith("datasets."):
        return Table(name, pads.dataset(_named(source)))
    return Table(name, pads.dataset(as_arrow(source, name)))


def _named(source: Any) -> pa.Table:
    """The Arrow table of a data set; numbers of classes become their names."""
    flat = source.flatten_indices() if source._indices is not None else source
    table = flat.data.table
    for place, (column, feature) in enumerate(flat.features.items()):
        if names := getattr(feature, "names", None):
            numbers = table[column].to_pandas().to_numpy()
            table = table.set_column(place, column, pa.array([names[n] if n >= 0 else None for n in numbers]))
    return table


def as_arrow(rows: Any, name: str = "the rows", columns: Sequence[str] = ()) -> pa.Table:
    """Rows in memory as an Arrow table: a frame, a dict of columns, a list of dicts, or an array of `columns` in order.

    Raises:
        InputError: they are none of these, or a column holds values of different kinds.
    """
    try:
        if isinstance(rows, pa.Table):
            return rows
        if isinstance(rows, Mapping):
            return pa.table({key: pa.array(_listed(values), from_pandas=True) for key, values in rows.items()})
        if hasattr(rows, "columns"):
            return pa.Table.from_pandas(rows, preserve_index=False)
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            return as_arrow({key: [row.get(key) for row in rows] for key in rows[0]}, name)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: {' '.join(str(error).split())[:300]}; each column needs one kind of values"
        ) from None
    array = np.asarray(rows)
    if array.ndim != 2 or array.shape[1] != len(columns):
        raise InputError(
            f"{name} have shape {list(array.shape)}; expected a frame, a dict of columns, or [n, {len(columns)}]"
        )
    return as_arrow({column: array[:, place] for place, column in enumerate(columns)}, name)


def _listed(values: Any) -> Any:
    """A column as Arrow takes it: arrays of objects and of text as lists."""
    values = values.numpy() if hasattr(values, "numpy") else values
    return values if isinstance(values, np.ndarray) and values.dtype.kind in "fiubM" else list(values)
