"""Read CSV and TSV text: find the delimiter, and whether quotes enclose cells. One error names all bad rows."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dialogue_ser.corpus.parsing.rows import NAMES_FIRST, Row, Rows
from dialogue_ser.errors import CorpusError
from dialogue_ser.foreign_text.spreadsheet_cells import is_guarded_table, unguard

#: auto = find it out; standard = quotes enclose cells, as in RFC 4180; none = a quote is a letter.
Quoting = Literal["auto", "standard", "none"]

_DELIMITERS = (",", "\t", ";", "|")
_OF_SUFFIX = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_STATED = re.compile(r'"?sep=([^"\r\n])"?(?:\r\n|\r|\n)', re.IGNORECASE)
# No transcript is this long. A longer cell means that a closing quote is missing.
_MAX_CELL_LENGTH = 1 << 20


@dataclass(frozen=True, slots=True)
class _Grid:
    """A text, read with one delimiter and one rule for quotes.

    Args:
        delimiter: the character between two cells; None = the table has one column.
        is_quoted: whether quotes enclose cells.
        header: number and cells of the first row that is not blank.
        records: number, block and cells of every later row that is not blank.
        error: why the text ends in the middle; None = it was read to its end.
    """

    delimiter: str | None
    is_quoted: bool
    header: tuple[int, tuple[str, ...]]
    records: list[tuple[int, int, list[str]]]
    error: str | None

    @property
    def fits(self) -> bool:
        """Whether every row has as many cells as the header."""
        n_columns = len(self.header[1])
        return self.error is None and all(len(cells) == n_columns for _, _, cells in self.records)

    @property
    def joins_lines(self) -> bool:
        """Whether a quote seems to have joined lines: a cell holds a line end and the delimiter."""
        mark = self.delimiter or "\n"
        return any("\n" in cell and mark in cell for _, _, cells in self.records for cell in cells)

    @property
    def holds_quoted_cells(self) -> bool:
        """Whether cells look enclosed by quotes although quotes were read as letters."""
        cells = (cell for _, _, cells in self.records for cell in cells)
        return any(_is_enclosed(name) for name in self.header[1]) or any(
            _is_enclosed(cell) and '""' in cell[1:-1] for cell in cells
        )


def parse_cells(path: Path, text: str, suffix: str, delimiter: str | None = None, quoting: Quoting = "auto") -> Rows:
    """Read the rows of a CSV or TSV text.

    The ending of the file's name says which delimiter is tried first. If the rows do not fit the header with it, the
    others are tried: comma, tab, semicolon, bar. If the rows fit only when quotes are letters, they are read in this
    way, and a note says so. A first line such as ``sep=;``, which Excel writes, names the delimiter and is no row.
    Blank rows end a block. A row of empty cells is blank. Empty cells beyond the last column are left out. In a file of
    predictions the apostrophes before formulas are taken away (:mod:`~dialogue_ser.foreign_text.spreadsheet_cells`).

    Args:
        path: the file, for messages.
        text: its content.
        suffix: ending of its name.
        delimiter: the character between two cells; None = find it out.
        quoting: what quotes mean.

    Raises:
        CorpusError: the header is missing, a column has no name or the name of another column, a row is longer or
            shorter than the header, a quote is not closed, or there is no record. The error names all bad rows.
    """
    text, stated = _stated_delimiter(text)
    grid = _choose(text, suffix, delimiter or stated, quoting)
    unwrapped = _without_quotes_around_rows(grid, suffix, delimiter or stated, quoting)
    grid = unwrapped or grid
    if grid.error is not None:
        raise CorpusError(f"{path.name} {grid.error}")
    number, header = grid.header
    problems = list(_header_problems(path, number, header))
    problems += _row_problems(path, grid)
    if not grid.records and not problems:
        problems.append(f"{path.name}: has a header but no record; give it at least one row")
    if problems:
        raise CorpusError(*problems)
    if is_guarded_table(header):
        header = tuple(map(unguard, header))
        grid.records[:] = [(number, block, list(map(unguard, cells))) for number, block, cells in grid.records]
    rows = tuple(
        Row(number, dict(zip(header, cells, strict=True)), path.name, block) for number, block, cells in grid.records
    )
    notes = []
    if unwrapped is not None:
        notes.append(f"{path.name}: quotes enclose whole rows of this file, so the rows are read without these quotes")
    if quoting == "auto" and not grid.is_quoted:
        notes.append(
            f"{path.name}: quotes do not enclose the cells of this file, so they are read as letters (option quoting)"
        )
    return Rows(path, header, rows, tuple(notes))


def _stated_delimiter(text: str) -> tuple[str, str | None]:
    """Return the text without Excel's line ``sep=;``, and the delimiter that it states."""
    found = _STATED.match(text)
    return (text[found.end() :], found[1]) if found else (text, None)


def _choose(text: str, suffix: str, delimiter: str | None, quoting: Quoting) -> _Grid:
    """Read a text in each possible way until its rows fit the header. Otherwise return the most probable way."""
    head = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    preferred = _OF_SUFFIX.get(suffix)
    order = sorted(_DELIMITERS, key=lambda mark: (mark != preferred, _DELIMITERS.index(mark)))
    marks: list[str | None] = [mark for mark in order if mark in head]
    if delimiter is not None:
        marks = [delimiter]
    elif not marks:
        marks = [None]
    rules = (True, False) if quoting == "auto" else (quoting == "standard",)
    tried: list[_Grid] = []
    for is_quoted in rules:
        fitting: list[_Grid] = []
        for mark in marks:
            grid = _read(text, mark, is_quoted)
            tried.append(grid)
            if not grid.fits or (not is_quoted and quoting == "auto" and grid.holds_quoted_cells):
                continue
            if mark == preferred and len(grid.header[1]) > 1:
                return _unless_lines_were_joined(text, grid, quoting)
            fitting.append(grid)
        if fitting:
            best = max(fitting, key=lambda grid: len(grid.header[1]))
            return _unless_lines_were_joined(text, best, quoting)
    # No way fits. The first rule for quotes is the usual one; the error describes its reading.
    return max((grid for grid in tried if grid.is_quoted == rules[0]), key=lambda grid: len(grid.header[1]))


def _without_quotes_around_rows(grid: _Grid, suffix: str, delimiter: str | None, quoting: Quoting) -> _Grid | None:
    """Return the table in a table of one column whose cells are rows; None = there is none.

    Excel writes such a file if it opens a CSV with a delimiter that it does not expect, and saves it again.
    """
    number, header = grid.header
    if quoting != "auto" or not grid.fits or len(header) != 1 or not any(mark in header[0] for mark in _DELIMITERS):
        return None
    lines = [""] * max([number, *(place for place, _, _ in grid.records)])
    for place, cells in [(number, header), *((place, cells) for place, _, cells in grid.records)]:
        lines[place - 1] = cells[0]
    inner = _choose("\n".join(lines), suffix, delimiter, quoting)
    return inner if inner.fits and inner.records and len(inner.header[1]) > 1 else None


def _unless_lines_were_joined(text: str, grid: _Grid, quoting: Quoting) -> _Grid:
    """Return the same text without quoting if a quote seems to have joined lines of a tab-separated file."""
    if quoting == "auto" and grid.is_quoted and grid.delimiter == "\t" and grid.joins_lines:
        unquoted = _read(text, grid.delimiter, is_quoted=False)
        if unquoted.fits and not unquoted.holds_quoted_cells:
            return unquoted
    return grid


def _read(text: str, delimiter: str | None, is_quoted: bool) -> _Grid:
    # A table of one column has no delimiter. csv needs one, so it gets a character that is not in the text.
    mark = delimiter or next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
    csv.field_size_limit(_MAX_CELL_LENGTH)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=mark,
        quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE,
        strict=True,
    )
    header: tuple[int, tuple[str, ...]] | None = None
    records: list[tuple[int, int, list[str]]] = []
    number, block, after_blank, error = 0, 1, False, None
    try:
        for number, cells in enumerate(reader, start=1):
            if not any(map(str.strip, cells)):
                after_blank = bool(records)
            elif header is None:
                header = number, tuple(name.strip("\ufeff \t\r\n\xa0") for name in _without_end(cells, 0))
            else:
                block += after_blank
                after_blank = False
                records.append((number, block, _without_end(cells, len(header[1]))))
    except csv.Error as problem:
        error = (
            f"row {number + 1} (line {reader.line_num}): {problem}; close its quotes and double the quotes inside a "
            'cell (""), or say that quotes are letters (option quoting: none)'
        )
    return _Grid(delimiter, is_quoted, header or (1, ()), records, error)


def _without_end(cells: list[str], n_columns: int) -> list[str]:
    """Return the cells without the empty ones at the end that lie beyond the last column."""
    while len(cells) > n_columns and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _is_enclosed(cell: str) -> bool:
    return len(cell) >= 2 and cell[0] == cell[-1] == '"'


def _header_problems(path: Path, number: int, header: Sequence[str]) -> Iterator[str]:
    if not header:
        yield f"{path.name} row {number}: is blank; the first row must name the columns"
    for name in sorted({name for name in header if header.count(name) > 1}):
        numbers = ", ".join(str(place) for place, other in enumerate(header, start=1) if other == name)
        if name:
            mend = f"have the same name ({name!r}); rename or remove all but one"
        else:
            mend = f"have no name; {NAMES_FIRST}"
        yield f"{path.name} row {number}: the columns {numbers} {mend}"


def _row_problems(path: Path, grid: _Grid) -> Iterator[str]:
    n_columns = len(grid.header[1])
    most = Counter(len(cells) for _, _, cells in grid.records).most_common(1)
    if len(grid.records) > 1 and most[0][0] > n_columns and all(len(cells) > n_columns for _, _, cells in grid.records):
        # Not the rows are wrong, but what stands above them.
        where = f"{path.name} row {grid.header[0]}"
        yield f"{where}: names {n_columns} column(s), but the rows have {most[0][0]}; {NAMES_FIRST}"
        return
    mark = {"\t": "a tab", None: "a line end"}.get(grid.delimiter, repr(grid.delimiter))
    for number, _, cells in grid.records:
        if len(cells) != n_columns:
            mend = (
                f"put texts that hold the delimiter into quotes, or name the delimiter if it is not {mark} (option "
                "delimiter)"
                if len(cells) > n_columns
                else "add the cells that are missing"
            )
            yield f"{path.name} row {number}: {len(cells)} cells, but the header has {n_columns}; {mend}"
