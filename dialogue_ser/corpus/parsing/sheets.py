"""Read parquet files and Excel workbooks as the rows of a table. Numbers and times become texts without a loss."""

import io
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.parsing.rows import NAMES_FIRST, Row, Rows
from dialogue_ser.errors import CorpusError, unknown_name

# A column of data frames without a name of its own. It counts the rows and says nothing.
_INDEX_COLUMN = "__index_level_"


def parse_parquet(path: Path, data: bytes) -> Rows:
    """Read the rows of a parquet file. Its first record is row 2, as in a spreadsheet with a header.

    Columns of the index count if they have a name. A struct becomes the columns ``name.field``.

    Args:
        path: the file, for messages.
        data: its bytes.

    Raises:
        CorpusError: the file is damaged, or has no record.
    """
    # Imported here because pyarrow is slow to import, and most tables are text.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
        names = [name for name in table.column_names if not name.startswith(_INDEX_COLUMN)]
        columns = [[_text(cell) for cell in table.column(name).to_pylist()] for name in names]
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise CorpusError(f"{path}: is a damaged parquet file ({_first_line(error)}); save it again") from error
    _check_names(path, 1, names)
    rows = tuple(
        Row(number, dict(zip(names, cells, strict=True)), path.name)
        for number, cells in enumerate(zip(*columns, strict=True), start=2)
    )
    if not rows:
        raise CorpusError(f"{path.name}: has columns but no record; give it at least one row")
    return Rows(path, tuple(names), rows)


def parse_workbook(path: Path, data: bytes, sheet: str | None = None) -> Rows:
    """Read the rows of a sheet of an Excel workbook, with the numbers that Excel shows.

    The first row that is not empty is the header. Columns without a name and without cells are left out. Empty rows end
    a block. Formulas have the values that Excel stored.

    Args:
        path: the file, for messages.
        data: its bytes.
        sheet: name of the sheet; None = the first one that is not empty. A note says if there are others.

    Raises:
        CorpusError: the workbook is damaged, the sheet does not exist or is empty, or a column has no name or the name
            of another column.
    """
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings(action="ignore"):  # openpyxl warns about styles and other things that no cell has
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            grids = {one.title: _grid(one) for one in book.worksheets if sheet in (None, one.title)}
            titles = [one.title for one in book.worksheets]
    except Exception as error:  # openpyxl passes on whatever the parsers of zip and XML raise
        raise CorpusError(f"{path}: is a damaged Excel file ({_first_line(error)}); save it again") from error
    if sheet is not None and sheet not in grids:
        raise CorpusError(f"{path}: {unknown_name('sheet', sheet, titles)}")
    filled = {title: grid for title, grid in grids.items() if grid}
    if not filled:
        raise CorpusError(f"{path}: is empty; it needs a header row and at least one record")
    title, grid = next(iter(filled.items()))
    _refuse_formulas_without_values(path, data, title, grid)
    notes = []
    if len(filled) > 1:
        others = ", ".join(other for other in filled if other != title)
        notes.append(f"{path.name}: the sheet {title} was read and {others} was not (option sheet)")
    return Rows(path, *_table_of_grid(path, grid), tuple(notes))


def _grid(sheet: Any) -> list[tuple[int, list[str]]]:
    """Return number and cells of each row of a sheet that is not empty."""
    # A file may announce a million rows of 16,384 columns, which openpyxl would fill with empty cells.
    sheet.reset_dimensions()
    rows = ([_text(cell) for cell in cells] for cells in sheet.iter_rows(values_only=True))
    return [(number, cells) for number, cells in enumerate(rows, start=1) if any(map(str.strip, cells))]


def _refuse_formulas_without_values(path: Path, data: bytes, title: str, grid: Sequence[tuple[int, list[str]]]) -> None:
    """Refuse a sheet whose formulas have no stored values. A program other than Excel wrote it; no text is there."""
    if all(all(cells) for _, cells in grid):
        return
    from openpyxl import load_workbook

    with warnings.catch_warnings(action="ignore"):
        formulas = dict(_grid(load_workbook(io.BytesIO(data), read_only=True)[title]))
    values = dict(grid)
    found = [
        (number, value)
        for number, cells in formulas.items()
        for cell, value in zip_longest(cells, values.get(number, []), fillvalue="")
        if cell.startswith("=")
    ]
    if found and not any(value for _, value in found):
        raise CorpusError(
            f"{path.name} row {found[0][0]}: the {len(found)} formulas of the sheet {title} have no stored values; "
            "open the file in Excel or LibreOffice and save it again"
        )


def _table_of_grid(path: Path, grid: Sequence[tuple[int, list[str]]]) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    (header_number, header), *records = grid
    width = max(len(cells) for _, cells in grid)
    padded = [(number, cells + [""] * (width - len(cells))) for number, cells in records]
    names = [name.strip() for name in header] + [""] * (width - len(header))
    kept = [place for place, name in enumerate(names) if name or any(cells[place].strip() for _, cells in padded)]
    columns = tuple(names[place] for place in kept)
    _check_names(path, header_number, columns)
    if not records:
        raise CorpusError(f"{path.name}: has a header but no record; give it at least one row")
    rows = tuple(
        Row(number, {names[place]: cells[place] for place in kept}, path.name, block)
        for number, block, cells in _blocks(padded)
    )
    return columns, rows


def _blocks(records: Sequence[tuple[int, list[str]]]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield number, block and cells of each record. Rows that are missing between two numbers are empty rows."""
    block, last = 1, records[0][0]
    for number, cells in records:
        block += number > last + 1
        last = number
        yield number, block, cells


def _check_names(path: Path, row: int, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CorpusError(
            *(
                f"{path.name} row {row}: {names.count(name)} columns have the same name ({name!r}); rename or remove "
                "all but one"
                if name
                else f"{path.name} row {row}: {names.count(name)} columns have no name; {NAMES_FIRST}"
                for name in twice
            )
        )


def _text(value: Any) -> str:
    """Return a cell as a text. Nothing becomes "", and a number without a fraction is written without one.

    >>> _text(4.0), _text(0.25), _text(None), _text(float("nan")), _text(timedelta(seconds=1.5)), _text(["a"])
    ('4', '0.25', '', '', '1.5', '["a"]')
    """
    if value is None or value != value:  # only NaN and NaT differ from themselves
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and math.fabs(value) < 1e15 else repr(value)
    if isinstance(value, timedelta):
        return _text(value.total_seconds())
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace") if len(value) < 1 << 16 else ""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
