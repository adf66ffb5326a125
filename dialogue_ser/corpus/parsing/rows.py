"""Read CSV, TSV and JSONL strictly: no cell is converted or guessed, and one error names all bad rows."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.errors import CorpusError, unknown_name

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
# No transcript is this long. A longer cell means that a closing quote is missing.
_MAX_CELL_LENGTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file.

    Args:
        number: number of the row as a spreadsheet counts: the header is row 1. In JSONL it is the number of the line.
        values: column → cell, exactly as the file writes it. "NA", "None" and "null" are texts. A JSON null is "".
        file: name of the file, for messages.
    """

    number: int
    values: Mapping[str, str]
    file: str

    @property
    def origin(self) -> str:
        """File and row, e.g. ``train_sent_emo.csv row 214``."""
        return f"{self.file} row {self.number}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of a file, with the names of its columns."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def delimiter_hint(self) -> str:
        """Text to add to an error about missing columns. It is "" unless the file seems to have another delimiter."""
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t|"):
            return "; the file seems to have another character between its cells, name it with the option delimiter"
        return ""

    def require(self, names: Sequence[str]) -> None:
        """Check that columns exist.

        Raises:
            CorpusError: some are missing. The error names all of them, each with the most similar column.
        """
        missing = [name for name in names if name not in self.columns]
        if not missing:
            return
        hint = self.delimiter_hint
        raise CorpusError(*(f"{self.path}: {unknown_name('column', name, self.columns)}{hint}" for name in missing))


def read_rows(path: Path | str, encoding: str = "utf-8", delimiter: str | None = None) -> Rows:
    """Read a CSV (``.csv``), TSV (``.tsv``) or JSON-lines (``.jsonl``) file. A byte-order mark is skipped.

    Args:
        path: the file.
        encoding: encoding of its text. Bytes that do not fit are an error and are never replaced.
        delimiter: the character between two cells; None = the suffix of the file decides.

    Raises:
        CorpusError: the file is missing or empty, bytes do not fit the encoding, the header is missing, a column has no
            name or the name of another column, a row is longer or shorter than the header, a quote is not closed, or a
            line is not valid JSON. The error names all bad rows.
    """
    path = Path(path)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise CorpusError(f"{path}: delimiter {delimiter!r}; expected one character such as ',' or ';'")
    text = _read_text(path, encoding)
    if path.suffix.lower() in _JSON_LINES:
        return _parse_json_lines(path, text)
    return _parse_cells(path, text, delimiter or _DELIMITERS.get(path.suffix.lower(), ","))


def _read_text(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file; correct the path") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); give a CSV, TSV or JSONL file") from error
    if not data.strip():
        raise CorpusError(f"{path}: is empty; it needs a header row and at least one record")
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    if is_utf8 and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CorpusError(
            f"{path}: is UTF-16, not UTF-8; save it as UTF-8, or read it with the option encoding='utf-16'"
        )
    if not is_utf8 and not data.isascii() and _decodes(data, "utf-8"):
        # As cp1252 it could be decoded too, but into wrong letters that nobody notices.
        raise CorpusError(f"{path}: is UTF-8, not {encoding}; leave out the option encoding={encoding!r}")
    try:
        return data.decode("utf-8-sig" if is_utf8 else encoding)
    except LookupError as error:
        raise CorpusError(f"{path}: there is no encoding {encoding!r}; use utf-8, cp1252, latin-1, …") from error
    except UnicodeDecodeError as error:
        raise CorpusError(*_bad_bytes(path, data, encoding)) from error


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _bad_bytes(path: Path, data: bytes, encoding: str) -> Iterator[str]:
    """Yield one sentence for each record with bytes that do not fit the encoding."""
    # surrogateescape turns every bad byte into one lone surrogate U+DC80…U+DCFF, so the records can still be counted.
    try:
        text = data.decode(encoding, errors="surrogateescape")
        lines = io.StringIO(text, newline="")
        is_lines = path.suffix.lower() in _JSON_LINES
        records = [[line] for line in text.split("\n")] if is_lines else list(csv.reader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        yield f"{path}: bytes are not {encoding.upper()} ({error}); save the file as UTF-8"
        return
    other = "cp1252" if encoding.lower().startswith("utf") else "utf-8"
    for number, record in enumerate(records, start=1):
        bad = [char for cell in record for char in cell if "\udc80" <= char <= "\udcff"]
        if bad:
            kinds = list(dict.fromkeys(f"\\x{ord(char) - 0xDC00:02x}" for char in bad))
            shown = " ".join(kinds[:8] + ["…"] * (len(kinds) > 8))
            yield (
                f"{path.name} row {number}: {len(bad)} bytes are not {encoding.upper()} ({shown}); save the file as "
                f"UTF-8, or read it with the option encoding={other!r} (--data.options.encoding)"
            )


def _parse_cells(path: Path, text: str, delimiter: str) -> Rows:
    csv.field_size_limit(_MAX_CELL_LENGTH)
    records: list[list[str]] = []
    csv_reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records.extend(csv_reader)
    except csv.Error as error:
        raise CorpusError(
            f"{path.name} row {len(records) + 1} (line {csv_reader.line_num}): {error}; close its quotes and double "
            'the quotes inside a cell ("")'
        ) from error
    header = tuple(name.strip() for name in records[0])
    problems = list(_header_problems(path, header))
    rows = []
    for number, record in enumerate(records[1:], start=2):
        if not record:  # a blank line
            continue
        if len(record) != len(header):
            mend = (
                "put texts that hold the delimiter into quotes"
                if len(record) > len(header)
                else "add the cells that are missing"
            )
            problems.append(f"{path.name} row {number}: {len(record)} cells, but the header has {len(header)}; {mend}")
            continue
        rows.append(Row(number, dict(zip(header, record, strict=True)), path.name))
    if not rows and not problems:
        problems.append(f"{path.name}: has a header but no record; give it at least one row")
    if problems:
        raise CorpusError(*problems)
    return Rows(path, header, tuple(rows))


def _header_problems(path: Path, header: tuple[str, ...]) -> Iterator[str]:
    if not header:
        yield f"{path.name} row 1: is blank; the first row must name the columns"
    for name in sorted({name for name in header if header.count(name) > 1}):
        numbers = ", ".join(str(number) for number, other in enumerate(header, start=1) if other == name)
        shown = repr(name) if name else "empty"
        yield f"{path.name} row 1: the columns {numbers} have the same name ({shown}); rename or remove all but one"


def _parse_json_lines(path: Path, text: str) -> Rows:
    problems: list[str] = []
    rows: list[Row] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_unique_object, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path.name} row {number}: is not valid JSON ({error}); write one object per line")
            continue
        if not isinstance(record, dict):
            found = type(record).__name__
            problems.append(f"{path.name} row {number}: is a JSON {found}, not an object; write one object per line")
            continue
        cells = {name: _cell(value) for name, value in record.items()}
        if not _is_text("".join([*cells, *cells.values()])):
            problems.append(
                f"{path.name} row {number}: holds half a character (a lone surrogate such as \\ud800), which UTF-8 "
                "cannot represent; remove it or write the whole character"
            )
            continue
        columns.update(dict.fromkeys(record))
        rows.append(Row(number, cells, path.name))
    if problems:
        raise CorpusError(*problems)
    names = tuple(columns)
    whole = tuple(Row(row.number, {name: row.values.get(name, "") for name in names}, row.file) for row in rows)
    return Rows(path, names, whole)


def _is_text(text: str) -> bool:
    """Whether the text can be written as UTF-8. An escape in JSON can write one half of a surrogate pair alone."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is in it twice")
    return dict(pairs)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _cell(value: Any) -> str:
    """Return a JSON value as a cell: a text stays as it is, null becomes "", and all others become JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
