"""Tables of features by utterance id: CSV, parquet, safetensors, npy (with an index file), npz. No code is executed."""

import csv
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dialogue_ser.corpus.parsing.content import read_content
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import CorpusError, FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.files.table_cells import parquet_cells, suffix_of, text_cells

SUFFIXES = (".csv", ".tsv", ".parquet", ".safetensors", ".npy", ".npz")
_KEY_NAMES = ("utterance_id", "id", "key", "filename", "file")
_MISSING_CELLS = {"", "nan", "na", "n/a", "none", "null", "--undefined--"}
_READ_ERRORS = (
    OSError,
    EOFError,
    UnicodeDecodeError,
    BadZipFile,
    zlib.error,
    csv.Error,
    pd.errors.ParserError,
    pd.errors.EmptyDataError,
    pa.ArrowException,
    SafetensorError,
    MemoryError,  # the header of a broken file may announce any number of values
)


@dataclass(frozen=True)
class RowFile:
    """The content of a feature file.

    Args:
        keys: one key per row, as the file writes it.
        rows: one array per key.
        columns: names of the features; empty if the file has none.
        numbers: number of each row, as a spreadsheet counts; empty = the file has no header, and its first row is 1.
    """

    keys: list[str]
    rows: Sequence[Array]
    columns: tuple[str, ...] = ()
    numbers: Sequence[int] = ()

    def number(self, place: int) -> int:
        """Return the number of a row, for messages."""
        return self.numbers[place] if self.numbers else place + 1


def read_rows(path: Path, key: str | None, columns: Sequence[str] | None) -> RowFile:
    """Read one feature file.

    Args:
        path: a .csv, .tsv or .parquet file, also packed with gzip; a .safetensors file of :func:`write_rows` or with
            one array per key; a .npy file with a file ``<stem>.index.txt`` (one key per line) in the same folder; a
            .npz file with ``ids`` and ``values``, or with one array per key.
        key: name of the key column; None = the first that exists of utterance_id, id, key, filename, file.
        columns: names of the feature columns, in order; None = all columns but the key.

    Raises:
        FeatureError: the file cannot be read, lacks a column, repeats a key, or has cells that are not numbers.
    """
    suffix = suffix_of(path)
    if suffix not in SUFFIXES:
        hint = "; convert it with 'dialogue-ser convert-pickle'" if suffix in (".pkl", ".pickle") else ""
        raise FeatureError(
            f"{path}: files of precomputed features are {', '.join(SUFFIXES)}, not {suffix or 'without a suffix'}{hint}"
        )
    try:
        if suffix == ".npy":
            found = _read_npy(path)
        elif suffix == ".npz":
            found = _read_npz(path)
        elif suffix == ".safetensors":
            found = _read_safetensors(path)
        else:
            found = _read_table(path, key, columns)
    except _READ_ERRORS as error:
        raise FeatureError(f"{path}: cannot be read ({error}); save it again, as UTF-8 if it is text") from error
    first: dict[str, int] = {}
    repeated = [
        f"{path} row {found.number(i)}: key {k!r} stands in row {found.number(first[k])} too"
        for i, k in enumerate(found.keys)
        if first.setdefault(k, i) != i
    ]
    if repeated:
        raise FeatureError(*repeated, f"{len(repeated)} repeated key(s) in {path.name}; keep one row of each key")
    return found


def _read_table(path: Path, key: str | None, columns: Sequence[str] | None) -> RowFile:
    """Read a CSV, TSV or parquet file."""
    try:
        content = read_content(path)
        if content.kind == "xlsx":
            raise FeatureError(f"{path}: is an Excel workbook; save it as CSV or parquet")
        frame = parquet_cells(content.data) if content.kind == "parquet" else text_cells(path, content)
    except CorpusError as error:
        raise FeatureError(*error.problems) from error
    names = [str(name) for name in frame.columns]
    frame.columns = pd.Index(names)
    key = key or next((name for name in _KEY_NAMES if name in names), None)
    if key is None or key not in names:
        raise FeatureError(
            f"{path}: has no key column {key or ''}; its columns are {', '.join(names)}; set option key to one of them"
        )
    wanted = [name for name in names if name != key] if columns is None else list(columns)
    missing = [name for name in wanted if name not in names]
    if missing or not wanted:
        raise FeatureError(
            f"{path}: has no column {', '.join(missing)}; its columns are {', '.join(names)}; correct option columns"
        )
    keys = [str(value) for value in frame[key]]
    values = np.column_stack([_to_numbers(path, name, frame[name], keys) for name in wanted])
    return RowFile(keys, list(values), tuple(wanted), [int(number) for number in frame.index])


def _to_numbers(path: Path, name: str, column: "pd.Series[Any]", keys: Sequence[str]) -> Array:
    """Return a column as float32; missing cells become NaN."""
    if column.dtype.kind in "mM":  # pandas would return nanoseconds
        raise FeatureError(f"{path}: column {name} holds times, not numbers; leave it out with option columns")
    cells = column.where(~column.astype(str).str.strip().str.lower().isin(_MISSING_CELLS), other=np.nan)
    numbers = pd.to_numeric(cells, errors="coerce")
    bad = np.flatnonzero((numbers.isna() & cells.notna()).to_numpy())
    if len(bad):
        raise FeatureError(
            *(
                f"{path} row {column.index[i]} ({keys[i]}): {name} is {column.iloc[i]!r}, not a number"
                for i in bad.tolist()
            ),
            f"{len(bad)} such cell(s) in column {name}; correct them, or leave the column out with option columns",
        )
    return numbers.to_numpy(dtype=np.float32)


def _read_npy(path: Path) -> RowFile:
    index = path.with_suffix(".index.txt")
    if not index.is_file():
        raise FeatureError(
            f"{path}: needs {index.name} in the same folder, with one utterance id per line in the order of the rows"
        )
    try:
        with path.open("rb") as file:  # numpy itself would not close a broken file
            values = np.load(file, allow_pickle=False)
    except ValueError as error:
        raise _numpy_error(path, error) from error
    keys = index.read_text(encoding="utf-8").splitlines()
    return _row_file(path, keys, values)


def _read_npz(path: Path) -> RowFile:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: dict[str, Array] = {name: archive[name] for name in archive.files}
    except ValueError as error:
        raise _numpy_error(path, error) from error
    if set(arrays) == {"ids", "values"}:
        return _row_file(path, [str(key) for key in arrays["ids"].ravel()], arrays["values"])
    return RowFile(list(arrays), list(arrays.values()))


def _read_safetensors(path: Path) -> RowFile:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays: dict[str, Array] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (TypeError, AttributeError) as error:
        raise FeatureError(
            f"{path}: numpy does not have this type of numbers ({error}); save float32 instead"
        ) from None
    if set(arrays) == {"values"} and "ids" in metadata:
        return _row_file(path, _ids_from_json(path, metadata["ids"]), arrays["values"])
    return RowFile(list(arrays), list(arrays.values()))


def _ids_from_json(path: Path, text: str) -> list[str]:
    try:
        ids = json.loads(text)
    except ValueError:
        ids = None
    if not isinstance(ids, list):
        raise FeatureError(f"{path}: its metadata ids are not a JSON list of texts; save them as such a list")
    return [str(key) for key in ids]


def write_rows(path: Path, rows: Mapping[str, Array]) -> None:
    """Write rows of one size to a file for :func:`read_rows`. If this fails, no part of the file is written.

    Args:
        path: a .parquet file (only for vectors; a column utterance_id, and one column per feature) or a .safetensors
            file (vectors: one tensor ``values`` with the ids in the metadata; frames: one tensor per id).
        rows: utterance id → ``[D]`` or ``[L, D]``.

    Raises:
        FeatureError: the rows are frames and the file is .parquet.
        OSError: the file cannot be written.
    """
    WRITERS[path.suffix.lower()](path, rows)


def _write_parquet(path: Path, rows: Mapping[str, Array]) -> None:
    if any(row.ndim != 1 for row in rows.values()):
        raise FeatureError(
            f"{path}: parquet holds one vector per utterance, but these rows are frames; write .safetensors"
        )
    values = np.stack(list(rows.values()))
    columns = {"utterance_id": list(rows), **{f"f{i}": values[:, i] for i in range(values.shape[1])}}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    write_atomically(path, sink.getvalue().to_pybytes())


def _write_safetensors(path: Path, rows: Mapping[str, Array]) -> None:
    if all(row.ndim == 1 for row in rows.values()):
        content = save({"values": np.stack(list(rows.values()))}, {"ids": json.dumps(list(rows))})
    else:
        content = save({key: np.ascontiguousarray(row) for key, row in rows.items()})
    write_atomically(path, content)


WRITERS: dict[str, Callable[[Path, Mapping[str, Array]], None]] = {
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
}


def _row_file(path: Path, keys: list[str], values: Array) -> RowFile:
    """Check that every key has one row, and return both."""
    if values.ndim < 2 or len(values) != len(keys):
        raise FeatureError(f"{path}: has values of shape {values.shape} for {len(keys)} ids; save one row per id")
    return RowFile(keys, list(values))


def _numpy_error(path: Path, error: Exception) -> FeatureError:
    return FeatureError(
        f"{path}: holds Python objects or is broken ({error}); save plain arrays of numbers and of str ids"
    )


def file_of_split(path: str | Mapping[str, str], split: str) -> str | None:
    """Return the file of a split from a name with ``{split}`` or a mapping; None if the mapping lacks the split.

    >>> file_of_split("features_{split}.csv", "dev")
    'features_dev.csv'
    """
    if isinstance(path, str):
        return path.replace("{split}", split)
    return path.get(split)
