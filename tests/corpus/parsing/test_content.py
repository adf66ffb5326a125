"""A file that is no table is named in one sentence; gzip and every kind of Unicode are read. See also test_files.py."""

import gzip
import io
import zipfile

import pytest

from dialogue_ser.corpus.parsing import content
from dialogue_ser.corpus.parsing.files import FileFormat, read_rows
from dialogue_ser.errors import CorpusError

CSV = "text,label\nhé,joy\nho,anger\n"


def problem(tmp_path, data: bytes | str, name: str = "a.csv", **options) -> str:
    """Return the one problem of a file."""
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(CorpusError) as caught:
        read_rows(tmp_path / name, FileFormat(**options))
    (found,) = caught.value.problems
    assert "\n" not in found
    return found


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "text,label\n")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("1\n00:00:00,500 --> 00:00:02,000\nWhere?\n", "SubRip subtitles (.srt)"),
        ("\ufeff1\r\n00:00:00,500 --> 00:00:02,000\r\nWhere?\r\n", "SubRip subtitles (.srt)"),
        ("WEBVTT\n\n00:00.500 --> 00:02.000\n<v Ann>Where?\n", "WebVTT subtitles (.vtt)"),
        ("[Script Info]\nTitle: x\n", "SubStation subtitles"),
        ("SPEAKER clip 1 0.500 1.500 <NA> <NA> ann <NA> <NA>\n", "speaker times (.rttm)"),
        ('File type = "ooTextFile"\nObject class = "TextGrid"\n', "a Praat TextGrid"),
        ('File type = "ooTextFile"\nObject class = "TextGrid"\n'.encode("utf-16"), "a Praat TextGrid"),
        ('<?xml version="1.0"?>\n<ANNOTATION_DOCUMENT><TIME_ORDER/>', "ELAN annotations (.eaf)"),
        ("@UTF8\n@Begin\n*CHI:\thi\n", "a CHAT transcript"),
        ("<!DOCTYPE html>\n<html>", "an HTML page"),
        ('<?xml version="1.0"?><data/>', "an XML document"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a sound file (WAV)"),
        (b"\0\0\0\x18ftypmp42", "a video or sound file (MP4)"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file"),
        (b"SQLite format 3\0", "an SQLite database"),
        (zipped("word/document.xml"), "a Word document"),
        (zipped("a.csv"), "a zip archive"),
        (zipped("a.npy"), "a file of numpy arrays"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a placeholder of Git LFS"),
        (gzip.compress(b"x" * 257 + b"ustar" + b"\0" * 250, mtime=0), "a tar archive"),
    ],
)
def test_what_is_no_table_is_named_in_one_sentence(tmp_path, data, name):
    found = problem(tmp_path, data)
    assert f"a.csv: is not a CSV, TSV or JSON Lines file (nor JSON, Excel or parquet); it seems to be {name}" in found
    assert found.count(";") >= 2, "it says what to do"


@pytest.mark.parametrize("text", ["ID3,text\n1,hi\n", "1\nhi\n", "SPEAKER text\nA hi\n", "@x,text\n1,b\n"])
def test_tables_that_begin_like_another_format_are_tables(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert len(read_rows(tmp_path / "a.csv").rows) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\n \t\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\n", gzip.compress(b"", mtime=0)]
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_a_file_without_content_is_empty(tmp_path, data, name):
    assert "is empty; it needs a header row" in problem(tmp_path, data, name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_obeyed(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(CSV.encode(encoding))
    assert [row.values["text"] for row in read_rows(tmp_path / "a.csv")] == ["hé", "ho"]
    (tmp_path / "b.csv").write_bytes(b"\xfe\xff" + CSV.encode("utf-16-be"))
    assert [row.values["text"] for row in read_rows(tmp_path / "b.csv")] == ["hé", "ho"]


def test_utf16_without_a_mark_or_with_half_a_character_is_said(tmp_path):
    assert "option encoding: utf-16-be" in problem(tmp_path, CSV.encode("utf-16-be"))
    assert "is damaged UTF-16" in problem(tmp_path, CSV.encode("utf-16")[:-1])


def test_nul_characters_are_one_line(tmp_path):
    assert "holds 2 NUL characters (the first in line 2)" in problem(tmp_path, "text,label\nhi\0,joy\nho\0,joy\n")
    assert "is empty" in problem(tmp_path, b"\0" * 5000)


def test_thousands_of_bad_bytes_are_one_line_with_the_first_rows(tmp_path):
    found = problem(tmp_path, b"text,label\n" + "he’s,joy\n".encode("cp1252") * 2000)
    assert found.startswith("a.csv: 2000 bytes in 2000 rows are not UTF-8 (row 2: \\x92; row 3: \\x92;")
    assert "… 1990 more rows" in found
    assert len(found) < 400
    assert len(read_rows(tmp_path / "a.csv", FileFormat(encoding="cp1252")).rows) == 2000


def test_gzip_is_unpacked_whatever_the_file_is_called(tmp_path):
    for name, data in (("a.csv.gz", CSV), ("a.csv", CSV), ("b.tsv.gz", CSV.replace(",", "\t"))):
        (tmp_path / name).write_bytes(gzip.compress(data.encode()))
        assert [row.values["text"] for row in read_rows(tmp_path / name)] == ["hé", "ho"]
    (tmp_path / "plain.csv.gz").write_text(CSV)
    assert len(read_rows(tmp_path / "plain.csv.gz").rows) == 2


def test_damaged_and_huge_gzip_files_are_refused(tmp_path, monkeypatch):
    packed = gzip.compress(CSV.encode())
    assert "is a damaged gzip file" in problem(tmp_path, packed[:-10])
    assert "is a damaged gzip file" in problem(tmp_path, packed[:12] + bytes(8) + packed[20:])
    assert "a gzip file inside a gzip file" in problem(tmp_path, gzip.compress(packed))
    monkeypatch.setattr(content, "MAX_UNPACKED_BYTES", 1000)
    assert "more than 1 GiB when it is unpacked" in problem(tmp_path, gzip.compress(b"0" * 2000))
