"""Table files become rows: no cell is converted, and every bad row is named. See also test_cells.py and others."""

import csv

import pytest

from dialogue_ser.corpus.parsing.files import FileFormat, read_rows
from dialogue_ser.errors import CorpusError


def problems(path, **options) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        read_rows(path, FileFormat(**options))
    return caught.value.problems


def test_no_cell_is_converted(tmp_path):
    (tmp_path / "a.csv").write_text('text,n\nNA,007\nNone,1.0\nnull,\n"He said ""no"", twice\nand left",nan\n')
    assert [tuple(row.values.values()) for row in read_rows(tmp_path / "a.csv")] == [
        ("NA", "007"),
        ("None", "1.0"),
        ("null", ""),
        ('He said "no", twice\nand left', "nan"),
    ]


def test_rows_are_numbered_as_a_spreadsheet_numbers_them(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'text,n\r\n"two\r\nlines",1\r\n\r\nlast,2\r\n')
    assert [row.origin for row in read_rows(tmp_path / "a.csv")] == ["a.csv row 2", "a.csv row 4"]


def test_a_byte_order_mark_is_skipped_and_delimiters_may_differ(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,n\nhi,1\n")
    (tmp_path / "a.tsv").write_text("text\tn\nhi, you\t1\n")
    (tmp_path / "b.csv").write_text("text;n\nhi;1\n")
    assert read_rows(tmp_path / "a.csv").columns == ("text", "n")
    assert next(iter(read_rows(tmp_path / "a.tsv"))).values["text"] == "hi, you"
    assert read_rows(tmp_path / "b.csv", FileFormat(delimiter=";")).columns == ("text", "n")
    assert read_rows(tmp_path / "b.csv").columns == ("text", "n")


def test_long_and_short_rows_are_all_named(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\nhi, you,1\ngood,2\nshort\n")
    assert problems(tmp_path / "a.csv") == (
        "a.csv row 2: 3 cells, but the header has 2; put texts that hold the delimiter into quotes, or name the "
        "delimiter if it is not ',' (option delimiter)",
        "a.csv row 4: 1 cells, but the header has 2; add the cells that are missing",
    )


def test_missing_and_duplicate_columns_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("text,speaker,text\nhi,Ross,ho\n")
    assert problems(tmp_path / "a.csv") == (
        "a.csv row 1: the columns 1, 3 have the same name ('text'); rename or remove all but one",
    )
    (tmp_path / "b.csv").write_text("text,speaker\nhi,Ross\n")
    with pytest.raises(CorpusError, match="unknown column 'speakr'; did you mean 'speaker'"):
        read_rows(tmp_path / "b.csv").require(["text", "speakr"])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"text,n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b"\0\0"])
def test_files_without_records_or_header_are_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert "a.csv" in problems(tmp_path / "a.csv")[0]


def test_missing_file_and_folder_are_refused(tmp_path):
    assert "no such file" in problems(tmp_path / "nowhere.csv")[0]
    assert "cannot be read" in problems(tmp_path)[0]


def test_blank_rows_before_the_header_are_skipped(tmp_path):
    (tmp_path / "a.csv").write_text("\n,\ntext,n\nhi,1\n")
    assert [(row.number, row.values["text"]) for row in read_rows(tmp_path / "a.csv")] == [(4, "hi")]


def test_the_error_about_bytes_that_are_not_utf8_names_the_row_and_the_bytes(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'text,n\nfine,1\n"he\x92s\nlost it\x85",2\nok,3\n\x97,4\n')
    assert problems(tmp_path / "a.csv") == (
        "a.csv: 3 bytes in 2 rows are not UTF-8 (row 3: \\x92 \\x85; row 5: \\x97); save the file as UTF-8, or read it "
        "with the option encoding='cp1252' (--data.options.encoding)",
    )
    assert (
        next(iter(list(read_rows(tmp_path / "a.csv", FileFormat(encoding="cp1252")))[1:])).values["text"]
        == "he’s\nlost it…"
    )


def test_utf8_read_as_cp1252_is_refused_and_not_garbled(tmp_path):
    (tmp_path / "a.csv").write_text("text\nhe’s\n", encoding="utf-8")
    assert "is UTF-8, not cp1252" in problems(tmp_path / "a.csv", encoding="cp1252")[0]


def test_bytes_that_are_not_cp1252_are_named_too(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text\nfine\n\x81 \x92\n")
    assert "1 byte in 1 row is not CP1252 (row 3: \\x81)" in problems(tmp_path / "a.csv", encoding="cp1252")[0]


def test_utf16_is_recognised(tmp_path):
    (tmp_path / "a.csv").write_text("text\nhi\n", encoding="utf-16")
    assert [row.values for row in read_rows(tmp_path / "a.csv")] == [{"text": "hi"}]
    assert len(read_rows(tmp_path / "a.csv", FileFormat(encoding="utf-16")).rows) == 1
    (tmp_path / "b.csv").write_text("text,n\nhi,1\n", encoding="utf-16-le")
    assert "option encoding: utf-16-le" in problems(tmp_path / "b.csv")[0]


def test_unknown_encoding_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text\nhi\n")
    assert "there is no encoding 'utf-9'" in problems(tmp_path / "a.csv", encoding="utf-9")[0]


def test_the_error_about_an_unclosed_quote_names_the_row(tmp_path):
    (tmp_path / "a.csv").write_text('text,n\n"hi, you",1\n"open,2\nmore,3\n')
    assert problems(tmp_path / "a.csv")[0].startswith("a.csv row 3 (line 4)")


def test_json_lines_keep_texts_and_encode_lists(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "NA", "n": 1}\n\n{"text": null, "who": ["Ross", "Zoë"]}\n')
    rows = read_rows(tmp_path / "a.jsonl")
    assert rows.columns == ("text", "n", "who")
    assert [row.number for row in rows] == [1, 3]
    assert [dict(row.values) for row in rows] == [
        {"text": "NA", "n": "1", "who": ""},
        {"text": "", "n": "", "who": '["Ross", "Zoë"]'},
    ]


def test_every_bad_json_line_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": \n[1]\n{"a": 1, "a": 2}\n{"a": NaN}\n')
    found = problems(tmp_path / "a.jsonl")
    assert [problem.split(":")[0] for problem in found] == [f"a.jsonl row {number}" for number in (2, 3, 4, 5)]


def test_reading_leaves_the_csv_module_usable(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n")
    assert len(next(iter(read_rows(tmp_path / "a.csv"))).values["text"]) == 200_000
    assert csv.field_size_limit() >= 131_072


def test_half_a_character_in_json_is_refused_because_utf8_cannot_represent_it(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud83d\\ude00"}\n{"text": "\\ud83d hi"}\n{"a\\udc00": 1}\n')
    found = problems(tmp_path / "a.jsonl")
    assert [problem.split(":")[0] for problem in found] == ["a.jsonl row 2", "a.jsonl row 3"]
    assert "lone surrogate" in found[0]


@pytest.mark.parametrize("delimiter", ["::", "", '"'])
def test_a_delimiter_is_one_character(tmp_path, delimiter):
    (tmp_path / "a.csv").write_text("text,n\nhi,1\n")
    assert "expected one character" in problems(tmp_path / "a.csv", delimiter=delimiter)[0]


def test_rows_that_lie_in_quotes_as_a_whole_are_read_with_their_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"who;text;label"\n"A;""Hi; you"";joy"\n\n"B;No.;fear"\n')
    rows = read_rows(path)
    assert [(row.number, *row.values.values()) for row in rows] == [(2, "A", "Hi; you", "joy"), (4, "B", "No.", "fear")]
    assert "quotes enclose whole rows" in rows.notes[0]


def test_a_title_above_the_header_is_one_problem(tmp_path):
    (tmp_path / "a.csv").write_text("Study, one\na,b,c\n1,2,3\n4,5,6\n")
    with pytest.raises(CorpusError, match="names 2 column") as error:
        read_rows(tmp_path / "a.csv")
    assert len(error.value.problems) == 1


@pytest.mark.parametrize("start", ["01.01.24, 09:59 - Ann: Hi", "[1/2/24, 9:59:01 PM] Ann: Hi"])
def test_a_chat_export_is_named(tmp_path, start):
    (tmp_path / "chat.txt").write_text(f"{start}, you\n{start}\n")
    with pytest.raises(CorpusError, match="WhatsApp"):
        read_rows(tmp_path / "chat.txt")
