"""Read the rows of a table file: CSV, TSV, JSON, JSON Lines, parquet or Excel, also packed with gzip."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dialogue_ser.corpus.parsing.cells import Quoting, parse_cells
from dialogue_ser.corpus.parsing.content import Content, bad_bytes, decode, read_content
from dialogue_ser.corpus.parsing.json_rows import parse_json
from dialogue_ser.corpus.parsing.rows import Rows
from dialogue_ser.corpus.parsing.sheets import parse_parquet, parse_workbook
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.options import option_problems

_DELIMITER_NAMES = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
_JSON = (".json", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How a table file is written, as far as the user says it.

    Args:
        encoding: encoding of its text. Bytes that do not fit are an error and are never replaced.
        delimiter: the character between two cells, or tab, comma, semicolon, bar or space; None = find it out.
        quoting: auto = find out whether quotes enclose cells; standard = they do; none = a quote is a letter.
        sheet: name of the sheet of an Excel workbook; None = the first one that is not empty.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None
    quoting: Quoting = "auto"
    sheet: str | None = None


def file_format(options: Mapping[str, Any], where: str) -> FileFormat:
    """Make a FileFormat of options that a user wrote.

    Raises:
        ConfigError: an option does not exist, or has a wrong type. The error names all of them.
    """
    problems = option_problems(where, FileFormat, options)
    if problems:
        raise ConfigError(*problems)
    return FileFormat(**options)


#: Nothing is said: everything is found out.
ANY_FORMAT = FileFormat()
#: A published CSV or TSV file: quotes enclose cells.
PUBLISHED_FORMAT = FileFormat(quoting="standard")


def read_rows(path: Path | str, form: FileFormat = ANY_FORMAT) -> Rows:
    """Read a table file. Its content decides what it is; the ending of its name decides only where that is not enough.

    Args:
        path: the file: CSV, TSV, JSON, JSON Lines, parquet or Excel (.xlsx), or one of these packed with gzip.
        form: what the user says about the way in which the file is written.

    Raises:
        CorpusError: the file is missing, empty or damaged, is no table, or has bad rows. The error names all bad rows.
    """
    path = Path(path)
    delimiter = _DELIMITER_NAMES.get(form.delimiter or "", form.delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise CorpusError(f"{path}: delimiter {form.delimiter!r}; expected one character such as ',' or ';'")
    if form.quoting not in get_args(Quoting):
        raise CorpusError(f"{path}: quoting {form.quoting!r}; expected {', '.join(get_args(Quoting))}")
    content = read_content(path)
    if form.sheet is not None and content.kind != "xlsx":
        raise CorpusError(f"{path}: is not an Excel workbook; leave out the option sheet")
    if content.kind == "parquet":
        return parse_parquet(path, content.data)
    if content.kind == "xlsx":
        return parse_workbook(path, content.data, form.sheet)
    try:
        text = decode(path, content.data, form.encoding)
    except UnicodeDecodeError as error:
        raise CorpusError(_bytes_problem(path, content, form, delimiter)) from error
    return _parse_text(path, text, content.suffix, form, delimiter)


def _parse_text(path: Path, text: str, suffix: str, form: FileFormat, delimiter: str | None) -> Rows:
    if _is_json(text, suffix):
        return parse_json(path, text, suffix)
    try:
        return parse_cells(path, text, suffix, delimiter, form.quoting)
    except CorpusError as error:
        if suffix not in _JSON:
            raise
        raise CorpusError(
            f"{path}: is named {suffix}, but does not begin with {{ or [; write one JSON object per line, or a CSV file"
        ) from error


def _is_json(text: str, suffix: str) -> bool:
    """Whether a text is meant as JSON. A table of cells may begin with a bracket too."""
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return False
    return suffix in _JSON or start.startswith(('{"', "[{", "[[", "[\n", "[\r", "{\n", "{\r", "{}", "[]", "{ ", "[ "))


def _bytes_problem(path: Path, content: Content, form: FileFormat, delimiter: str | None) -> str:
    """Return the sentence about bytes that do not fit the encoding, with the numbers of the rows that hold them."""
    # surrogateescape turns every bad byte into one lone surrogate U+DC80…U+DCFF, so the rows can still be read.
    try:
        text = content.data.decode(form.encoding, errors="surrogateescape")
        if _is_json(text, content.suffix):
            return bad_bytes(path, form.encoding, list(enumerate(text.split("\n"), start=1)))
        rows = parse_cells(path, text, content.suffix, delimiter, form.quoting)
    except (UnicodeDecodeError, CorpusError):
        return bad_bytes(path, form.encoding, [])
    header = (1, "".join(rows.columns))
    return bad_bytes(path, form.encoding, [header, *((row.number, "".join(row.values.values())) for row in rows)])
