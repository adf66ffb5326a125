"""Parquet files and Excel workbooks become rows."""

import datetime
import io
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from dialogue_ser.corpus.parsing.files import FileFormat, read_rows
from dialogue_ser.errors import CorpusError

FRAME = pd.DataFrame(
    {"dialogue_id": [1, 1, 2], "speaker": ["A", "B", "A"], "text": ["Hi, you", 'Go "away"', "NA"], "label": [4, 6, 4]}
)
ROWS = [("1", "A", "Hi, you", "4"), ("1", "B", 'Go "away"', "6"), ("2", "A", "NA", "4")]


def cells(path: Path, **options) -> list[tuple[str, ...]]:
    return [tuple(row.values.values()) for row in read_rows(path, FileFormat(**options))]


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    """Write a workbook: name of a sheet → its rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def problem(path: Path, **options) -> str:
    with pytest.raises(CorpusError) as caught:
        read_rows(path, FileFormat(**options))
    (found,) = caught.value.problems
    return found


def test_the_rows_of_a_parquet_file_are_counted_as_in_a_spreadsheet(tmp_path):
    FRAME.iloc[[2, 0]].to_parquet(tmp_path / "a.parquet")
    rows = read_rows(tmp_path / "a.parquet")
    assert rows.columns == tuple(FRAME.columns)
    assert [(row.origin, tuple(row.values.values())) for row in rows] == [
        ("a.parquet row 2", ROWS[2]), ("a.parquet row 3", ROWS[0])
    ]  # fmt: skip


def test_an_index_with_a_name_is_a_column(tmp_path):
    FRAME.set_index(["dialogue_id", "speaker"]).to_parquet(tmp_path / "a.parquet")
    assert set(read_rows(tmp_path / "a.parquet").columns) == set(FRAME.columns)


def test_numbers_times_and_structs_of_parquet_become_texts(tmp_path):
    pd.DataFrame(
        {
            "id": [1.0, np.nan],
            "share": [0.25, 1e-7],
            "start": pd.to_timedelta([1.5, None], unit="s"),
            "label": pd.Series(["joy", None], dtype="category"),
            "who": [{"id": 1, "name": "Ann"}, None],
            "labels": [["joy", "fear"], []],
        }
    ).to_parquet(tmp_path / "a.csv")  # the content decides, not the name
    first, second = read_rows(tmp_path / "a.csv")
    assert first.values == {
        "id": "1", "share": "0.25", "start": "1.5", "label": "joy", "who.id": "1", "who.name": "Ann",
        "labels": '["joy", "fear"]',
    }  # fmt: skip
    assert (second.values["id"], second.values["share"], second.values["start"], second.values["label"]) == (
        "", "1e-07", "", ""
    )  # fmt: skip


def test_damaged_and_empty_parquet_files_are_one_line(tmp_path):
    path = tmp_path / "a.parquet"
    FRAME.to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    assert "is a damaged parquet file" in problem(path)
    path.write_bytes(whole[:40] + b"\xff" * 60 + whole[100:])
    assert "is a damaged parquet file" in problem(path)
    FRAME.iloc[:0].to_parquet(path)
    assert "has columns but no record" in problem(path)


def test_a_workbook_is_read_from_its_first_filled_row_and_column(tmp_path):
    rows = [[], [], [None, "text", "label", "start"], [None, "hi", 4, 0.5], [], [None, "ho", 6, datetime.time(0, 0, 2)]]
    found = read_rows(workbook(tmp_path / "a.xlsx", Turns=rows))
    assert [(row.number, row.block, dict(row.values)) for row in found] == [
        (4, 1, {"text": "hi", "label": "4", "start": "0.5"}),
        (6, 2, {"text": "ho", "label": "6", "start": "00:00:02"}),
    ]


def test_the_first_filled_sheet_is_read_unless_the_user_names_another(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Empty=[], Turns=[["text"], ["hi"]], Other=[["text"], ["ho"]])
    assert cells(path) == [("hi",)]
    assert read_rows(path).notes == ("a.xlsx: the sheet Turns was read and Other was not (option sheet)",)
    assert cells(path, sheet="Other") == [("ho",)]
    assert "unknown sheet 'Othr'; did you mean 'Other'" in problem(path, sheet="Othr")
    assert "is empty" in problem(path, sheet="Empty")
    (tmp_path / "a.csv").write_text("text\nhi\n")
    assert "is not an Excel workbook; leave out the option sheet" in problem(tmp_path / "a.csv", sheet="Turns")


def test_damaged_workbooks_equal_names_and_missing_records_are_one_line(tmp_path):
    path = workbook(tmp_path / "a.xlsx", A=[["text", "label"], ["hi", "joy"]])
    whole = path.read_bytes()
    for damaged in (whole[:-80], whole[:60] + b"\xff" * 200 + whole[260:]):
        path.write_bytes(damaged)
        assert "is a damaged Excel file" in problem(path)
    assert "2 columns have the same name ('text')" in problem(workbook(path, A=[["text", "text"], ["a", "b"]]))
    assert "has a header but no record" in problem(workbook(path, A=[["text", "label"]]))
    assert "is empty" in problem(workbook(path, A=[]))


def test_formulas_without_stored_values_are_refused(tmp_path):
    path = workbook(tmp_path / "a.xlsx", A=[["text", "label"], ["=B2", "joy"], ["=B3", "joy"]])
    assert "a.xlsx row 2: the 2 formulas of the sheet A have no stored values" in problem(path)


def test_a_workbook_that_would_unpack_to_gigabytes_is_refused(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", A=[["text", "label"], ["hi", "joy"]])
    monkeypatch.setattr("dialogue_ser.corpus.parsing.content.MAX_UNPACKED_BYTES", 1000)
    assert "more than 1 GiB when it is unpacked" in problem(path)


def test_a_workbook_that_announces_billions_of_cells_is_read_at_once(tmp_path):
    whole = workbook(tmp_path / "a.xlsx", A=[["text", "label"], ["hi", "joy"]]).read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', content))
    started = time.monotonic()
    assert cells(tmp_path / "a.xlsx") == [("hi", "joy")]
    assert time.monotonic() - started < 5


def test_a_workbook_in_memory_equals_its_frame(tmp_path):
    stream = io.BytesIO()
    FRAME.to_excel(stream, index=False)
    (tmp_path / "a.xlsx").write_bytes(stream.getvalue())
    assert cells(tmp_path / "a.xlsx") == ROWS
