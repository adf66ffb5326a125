"""The cells of CSV, TSV and parquet files with features. The index of a data frame holds the numbers of the rows."""

import csv
import io
from pathlib import Path

import pandas as pd

from dialogue_ser.corpus.parsing.content import Content, decode
from dialogue_ser.errors import FeatureError


def suffix_of(path: Path) -> str:
    """Return the ending of a file's name in lower case, without ``.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def parquet_cells(data: bytes) -> pd.DataFrame:
    """Return the columns of a parquet file, and those of its index that have a name. Rows are numbered from 2."""
    frame = pd.read_parquet(io.BytesIO(data))
    named = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index(level=named) if named else frame
    return frame.set_axis(range(2, len(frame) + 2), axis="index")


def text_cells(path: Path, content: Content) -> pd.DataFrame:
    """Return the cells as texts, and the numbers of the rows as the index.

    Args:
        path: the file, for messages.
        content: its bytes.

    Raises:
        FeatureError: a column is repeated, or rows have a wrong length. pandas would accept both.
        CorpusError: the bytes are no text.
    """
    text = decode(path, content.data, "utf-8")
    separator = _separator(text, content.suffix)
    records = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names: list[str] = []
    numbers, problems = [], []
    for number, record in enumerate(records, start=1):
        if not any(map(str.strip, record)) and len(record) < 2:  # a blank line, which pandas leaves out, too
            continue
        if not names:
            names = record
            twice = sorted({name for name in names if names.count(name) > 1})
            problems += [
                f"{path} row {number}: column {name!r} is repeated; keep one column of each name" for name in twice
            ]
            continue
        numbers.append(number)
        if len(record) != len(names):
            problems.append(
                f"{path} row {number}: {len(record)} cells, but the header has {len(names)}; make them equal"
            )
    if problems:
        raise FeatureError(*problems)
    frame = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    return frame.set_axis(numbers, axis="index")


def _separator(text: str, suffix: str) -> str:
    """Return the character between two cells: the usual one of the suffix, or the one that the header has instead."""
    head = text.lstrip("\r\n").splitlines()[0]
    usual = "\t" if suffix == ".tsv" else ","
    return usual if usual in head else max((usual, ",", "\t", ";", "|"), key=head.count)
