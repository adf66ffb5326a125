"""The delimiter of a text and the meaning of its quotes are found out. See also test_files.py."""

from pathlib import Path

import pytest

from dialogue_ser.corpus.parsing.cells import parse_cells
from dialogue_ser.errors import CorpusError


def cells(text: str, suffix: str = ".csv", **options) -> list[tuple[str, ...]]:
    """Return the header and the rows of a text."""
    rows = parse_cells(Path("a.csv"), text, suffix, **options)
    return [rows.columns, *(tuple(row.values.values()) for row in rows)]


@pytest.mark.parametrize("mark", [",", "\t", ";", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ""])
def test_the_delimiter_is_found_whatever_the_file_is_called(mark, suffix):
    lines = (["speaker", "text", "label"], ["A", "hi: you", "joy"], ["B", '"no"', "anger"])
    text = "\n".join(mark.join(line) for line in lines) + "\n"
    assert cells(text, suffix) == [("speaker", "text", "label"), ("A", "hi: you", "joy"), ("B", "no", "anger")]


def test_other_delimiters_may_stand_in_texts():
    assert cells("speaker;text;label\nA;hi, you, there;joy\n")[1] == ("A", "hi, you, there", "joy")
    assert cells("speaker\ttext\tlabel\nA\thi, you; there|\tjoy\n", ".txt")[1] == ("A", "hi, you; there|", "joy")
    assert cells('text,label\n"a;b",joy\n"c;d",joy\n')[1:] == [("a;b", "joy"), ("c;d", "joy")]
    assert cells("text;value\nhi;3,5\nho;2,25\n")[1] == ("hi", "3,5")


def test_the_ending_of_the_name_decides_between_two_delimiters_that_fit():
    text = "a,b;c\n1,2;3\n"
    assert cells(text, ".csv")[0] == ("a", "b;c")
    assert cells(text, ".csv", delimiter=";")[0] == ("a,b", "c")


def test_a_table_of_one_column_may_hold_any_delimiter():
    assert cells("text\nhi, you\nno; me\tthere\n") == [("text",), ("hi, you",), ("no; me\tthere",)]


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "SEP=;\r"])
def test_excels_line_that_states_the_delimiter_is_no_row(line):
    rows = parse_cells(Path("a.csv"), line + "text;label\nhi, you;joy\n", ".csv")
    assert [(row.number, row.values) for row in rows] == [(2, {"text": "hi, you", "label": "joy"})]


def test_files_without_quoting_keep_their_quotes_and_say_so():
    text = 'id\ttext\tlabel\n1\tHe said "no" to me\tjoy\n2\t"Quoted" is the start\tjoy\n3\tTen inches: 10"\tjoy\n'
    rows = parse_cells(Path("a.tsv"), text, ".tsv")
    assert [row.values["text"] for row in rows] == [
        'He said "no" to me', '"Quoted" is the start', 'Ten inches: 10"'
    ]  # fmt: skip
    assert [row.number for row in rows] == [2, 3, 4]
    assert "option quoting" in rows.notes[0]


def test_quotes_that_would_join_rows_of_a_tab_separated_file_are_letters():
    text = 'id\ttext\tlabel\n1\t"hello\tjoy\n2\tworld"\tanger\n3\t"x\tjoy\n'
    assert [row[1] for row in cells(text, ".tsv")[1:]] == ['"hello', 'world"', '"x']
    closed = 'id\ttext\tlabel\n1\t"hello\tjoy\n2\tworld"\tanger\n'  # csv would read it as one row of three cells
    assert [row[1] for row in cells(closed, ".tsv")[1:]] == ['"hello', 'world"']


def test_quoted_cells_stay_quoted_cells():
    text = 'id\ttext\tlabel\n1\t"two\nlines"\tjoy\n2\t"a\ttab, and ""quotes"""\tanger\n'
    assert [row[1] for row in cells(text, ".tsv")[1:]] == ["two\nlines", 'a\ttab, and "quotes"']
    assert parse_cells(Path("a.tsv"), text, ".tsv").notes == ()


def test_an_unclosed_quote_beside_quoted_cells_is_an_error_that_names_the_row_and_the_option():
    with pytest.raises(CorpusError, match=r"a\.csv row 3 \(line 3\).*close its quotes.*option quoting: none"):
        cells('text,label\n"a, b",joy\n"Stop" he said,anger\n')
    with pytest.raises(CorpusError, match="row 3"):
        cells('text,label\n"say ""hi""",joy\n"Stop" he said,anger\n')


def test_the_user_decides_what_quotes_mean():
    assert cells('text,label\n"hi",joy\n', quoting="none") == [("text", "label"), ('"hi"', "joy")]
    with pytest.raises(CorpusError, match="row 2"):
        cells('text,label\n"Stop" he said,joy\n', quoting="standard")
    assert parse_cells(Path("a.csv"), 'text,label\n"hi",joy\n', ".csv", quoting="none").notes == ()


@pytest.mark.parametrize("text", ["text,label,\nhi,joy,\n", "text,label\nhi,joy,,\n", "text,label,,\nhi,joy\n"])
def test_empty_cells_beyond_the_last_column_are_left_out(text):
    assert cells(text) == [("text", "label"), ("hi", "joy")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_known(end):
    assert cells(end.join(["text,label", "hi,joy", "ho,anger"])) == [("text", "label"), ("hi", "joy"), ("ho", "anger")]


def test_blank_rows_and_rows_of_empty_cells_end_a_block():
    rows = parse_cells(Path("a.csv"), "text,label\n\na,joy\nb,joy\n\n,,\nc,joy\n\n", ".csv")
    assert [(row.number, row.block) for row in rows] == [(3, 1), (4, 1), (7, 2)]


def test_the_error_about_rows_that_do_not_fit_names_the_delimiter_and_the_option():
    with pytest.raises(CorpusError, match=r"3 cells, but the header has 2; .* if it is not ',' \(option delimiter\)"):
        cells("text,label\na,b,joy\n")
