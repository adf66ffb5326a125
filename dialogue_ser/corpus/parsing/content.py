"""The content of a table file: unpack gzip, recognise the format by the content, and decode text."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dialogue_ser.errors import CorpusError

#: A table never needs more bytes than this. A small gzip or xlsx file can announce any number.
MAX_UNPACKED_BYTES = 1 << 30
#: A message names at most this many rows of one kind.
_MAX_SHOWN = 10
_TABLE = "save the table as CSV, TSV, JSON Lines, Excel (.xlsx) or parquet"
_TURNS = "write its turns to a CSV file, one row for each turn, with the columns speaker, text, start and end"
_MESSAGES = (
    "write its messages to a CSV file, one row for each message, with the columns dialogue, speaker, text and label"
)
_SOUND = "write a CSV file with the column audio that names it"
_UNPACK = "unpack it, and name the table in it"
# First bytes of a file → what it is, and what the user can do.
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF document", _TABLE),
    (b"{\\rtf", "a Rich Text document", _TABLE),
    (b"\x89PNG", "a picture (PNG)", _TABLE),
    (b"\xff\xd8\xff", "a picture (JPEG)", _TABLE),
    (b"GIF89a", "a picture (GIF)", _TABLE),
    (b"RIFF", "a sound file (WAV)", _SOUND),
    (b"fLaC", "a sound file (FLAC)", _SOUND),
    (b"OggS\0", "a sound file (Ogg)", _SOUND),
    *((b"ID3" + bytes([version]), "a sound file (MP3)", _SOUND) for version in (2, 3, 4)),
    (b"\x1aE\xdf\xa3", "a video file (Matroska or WebM)", _SOUND),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file (.xls, .doc), or one with a password", _TABLE),
    (b"ARROW1\0", "an Arrow (Feather) file", _TABLE),
    (b"\x93NUMPY", "a numpy array", _TABLE),
    (b"\x89HDF", "an HDF5 file", _TABLE),
    (b"SQLite format 3", "an SQLite database", _TABLE),
    *((bytes([0x80, version]), "a Python pickle", _TABLE) for version in (2, 3, 4, 5)),
    (b"PK\x05\x06", "an empty zip archive", _UNPACK),
    (b"BZh91AY", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ", "an xz file", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a", "a RAR archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"version https://git-lfs.github.com/spec/", "a placeholder of Git LFS", "get the file itself with git lfs pull"),
)
# Beginning of a text → the same. The text is searched without blanks before it.
_CLOCK = r"\d+:\d\d(?::\d\d)?[.,]\d+"
_TEXT_SIGNATURES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(rf"\A{pattern}", re.IGNORECASE), name, mend)
    for pattern, name, mend in (
        (r"WEBVTT\b", "WebVTT subtitles (.vtt)", _TURNS),
        (rf"(?:\d+\s*\n)?\s*{_CLOCK} --> {_CLOCK}", "SubRip subtitles (.srt)", _TURNS),
        (
            r"\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},? \d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:\s?[AP]M)?(?:\]| -) \S",
            "a chat (WhatsApp)",
            _MESSAGES,
        ),
        (r"\[Script Info\]", "SubStation subtitles (.ass, .ssa)", _TURNS),
        (r"(?:SPEAKER|SPKR-INFO|LEXEME) \S+ \S+ [\d.<]\S* [\d.<]", "speaker times (.rttm)", _TURNS),
        (r"File type = \"oo(?:Text|Binary)File", "a Praat TextGrid", _TURNS),
        (r"ooBinaryFile", "a Praat TextGrid", _TURNS),
        (r"@(?:UTF8|Begin)\b", "a CHAT transcript (.cha)", _TURNS),
        (r"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<ANNOTATION_DOCUMENT", "ELAN annotations (.eaf)", _TURNS),
        (r"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body)\b", "an HTML page", _TABLE),
        (r"<\?xml|<[a-z][\w:.-]*(?:\s[^<>]*)?>", "an XML document", _TABLE),
    )
)


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a table file and what they are.

    Args:
        kind: ``text``, ``parquet`` or ``xlsx``.
        data: the bytes, unpacked.
        suffix: ending of the file's name in lower case, without ``.gz``.
    """

    kind: Literal["text", "parquet", "xlsx"]
    data: bytes
    suffix: str


def read_content(path: Path) -> Content:
    """Read a file, unpack it if it is a gzip file, and say by its first bytes what it is.

    Raises:
        CorpusError: the file is missing or empty, cannot be unpacked, or is no table. The error says what it seems to
            be.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file; correct the path") from error
    except OSError as error:
        raise CorpusError(
            f"{path}: cannot be read ({error.strerror}); give a CSV, TSV, JSON Lines, Excel or parquet file"
        ) from error
    if data[:2] == b"\x1f\x8b":
        data = _unpack(path, data)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".gzip")]
    suffix = suffixes[-1] if suffixes else ""
    if data[:4] == b"PAR1":
        return Content("parquet", data, suffix)
    if data[:4] == b"PK\x03\x04":
        _check_workbook(path, data)
        return Content("xlsx", data, suffix)
    refuse_other_formats(path, data)
    if not data.lstrip(b"\xef\xbb\xbf\xff\xfe").strip(b"\0 \t\r\n"):
        raise CorpusError(f"{path}: is empty; it needs a header row and at least one record")
    return Content("text", data, suffix)


def refuse_other_formats(path: Path, data: bytes) -> None:
    """Refuse a file that is no table, by its first bytes.

    Raises:
        CorpusError: one sentence: what the file seems to be, and what to do.
    """
    found = next(((name, mend) for mark, name, mend in _SIGNATURES if data.startswith(mark)), None)
    if found is None and data[4:8] == b"ftyp":
        found = "a video or sound file (MP4)", _SOUND
    if found is None and data[257:262] == b"ustar":
        found = "a tar archive", _UNPACK
    if found is None:
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        start = data[:4096].decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")
        # Line ends become \n, so that the patterns need not know them.
        start = start.replace("\r\n", "\n").replace("\r", "\n")
        found = next(((name, mend) for pattern, name, mend in _TEXT_SIGNATURES if pattern.match(start)), None)
    if found is not None:
        name, mend = found
        raise CorpusError(
            f"{path}: is not a CSV, TSV or JSON Lines file (nor JSON, Excel or parquet); it seems to be {name}; {mend}"
        )


def decode(path: Path, data: bytes, encoding: str) -> str:
    """Return the text of a file. A byte-order mark is skipped, and the mark of UTF-16 and UTF-32 is obeyed.

    Raises:
        CorpusError: the encoding does not exist, is not that of the file, or the text holds NUL characters.
        UnicodeDecodeError: bytes do not fit the encoding.
    """
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    if is_utf8:
        encoding = "utf-8-sig"
        if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
            encoding = "utf-32"
        elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"
        else:
            _refuse_unmarked_utf16(path, data)
    elif not data.isascii() and _decodes(data, "utf-8"):
        # As cp1252 it could be decoded too, but into wrong letters that nobody notices.
        raise CorpusError(f"{path}: is UTF-8, not {encoding}; leave out the option encoding={encoding!r}")
    try:
        text = data.decode(encoding).lstrip("\ufeff")
    except (LookupError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError) and encoding not in ("utf-16", "utf-32"):
            raise
        if isinstance(error, UnicodeDecodeError):
            raise CorpusError(
                f"{path}: is damaged {encoding.upper()} ({error.reason} at byte {error.start}); save it as UTF-8"
            ) from error
        raise CorpusError(f"{path}: there is no encoding {encoding!r}; use utf-8, cp1252, latin-1, …") from error
    if not text.strip():
        raise CorpusError(f"{path}: is empty; it needs a header row and at least one record")
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise CorpusError(
            f"{path}: holds {text.count(chr(0))} NUL characters (the first in line {line}), so it is damaged or no "
            "text; copy it again, or save the table as UTF-8"
        )
    return text


def bad_bytes(path: Path, encoding: str, records: Sequence[tuple[int, str]]) -> str:
    """Return one sentence about all bytes of a file that do not fit its encoding.

    Args:
        path: the file.
        encoding: the encoding that was tried.
        records: number and text of each record. The error handler surrogateescape has turned every bad byte into a lone
            surrogate. Empty = the records are not known.
    """
    bad = {number: [char for char in text if "\udc80" <= char <= "\udcff"] for number, text in records}
    bad = {number: found for number, found in bad.items() if found}
    shown = "; ".join(f"row {number}: {_codes(found)}" for number, found in list(bad.items())[:_MAX_SHOWN])
    more = f"; … {len(bad) - _MAX_SHOWN} more rows" if len(bad) > _MAX_SHOWN else ""
    where = f"{_count(sum(map(len, bad.values())), 'byte')} in {_count(len(bad), 'row')}" if bad else "bytes"
    verb = "is" if where.startswith("1 ") else "are"
    other = "cp1252" if encoding.lower().startswith("utf") else "utf-8"
    return (
        f"{path.name}: {where} {verb} not {encoding.upper()}{f' ({shown}{more})' if bad else ''}; save the file as "
        f"UTF-8, or read it with the option encoding={other!r} (--data.options.encoding)"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _codes(surrogates: Sequence[str]) -> str:
    kinds = list(dict.fromkeys(f"\\x{ord(char) - 0xDC00:02x}" for char in surrogates))
    return " ".join(kinds[:8] + ["…"] * (len(kinds) > 8))


def _unpack(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(MAX_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: is a damaged gzip file ({error}); copy or download it again") from error
    if len(content) > MAX_UNPACKED_BYTES:
        raise CorpusError(f"{path}: holds more than 1 GiB when it is unpacked; split the table into several files")
    if content[:2] == b"\x1f\x8b":
        raise CorpusError(f"{path}: is a gzip file inside a gzip file; unpack it once")
    return content


def _check_workbook(path: Path, data: bytes) -> None:
    """Check that a zip file is an Excel workbook of a possible size."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CorpusError(f"{path}: is a damaged Excel file or zip archive ({error}); save it again") from error
    if not any(name.startswith("xl/") for name in sizes):
        if any(name.startswith("word/") for name in sizes):
            name, mend = "a Word document (.docx)", _TABLE
        elif "mimetype" in sizes:
            name, mend = "an OpenDocument file (.ods, .odt)", _TABLE
        elif sizes and all(name.endswith(".npy") for name in sizes):
            name, mend = "a file of numpy arrays (.npz)", _TABLE
        else:
            name, mend = "a zip archive", _UNPACK
        raise CorpusError(
            f"{path}: is not a CSV, TSV or JSON Lines file (nor JSON, Excel or parquet); it seems to be {name}; {mend}"
        )
    if sum(sizes.values()) > MAX_UNPACKED_BYTES:
        raise CorpusError(f"{path}: holds more than 1 GiB when it is unpacked; save the table as CSV")


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_unmarked_utf16(path: Path, data: bytes) -> None:
    """Refuse UTF-16 without a byte-order mark: nearly every second byte of it is zero."""
    sample = data[:4096]
    for byte, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(sample) >= 4 and sample[byte::2].count(0) > 0.8 * len(sample) / 2 and _decodes(data, encoding):
            raise CorpusError(
                f"{path}: seems to be UTF-16 without a byte-order mark; save it as UTF-8, or name its encoding "
                f"(option encoding: {encoding})"
            )
