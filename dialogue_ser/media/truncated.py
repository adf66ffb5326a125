"""Check that a file is as long as its headers state. Decoders do not: they return fewer samples without an error."""

import struct
from pathlib import Path
from typing import BinaryIO

from dialogue_ser.media.riff import find_riff_truncation

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# Types of the boxes with which an MP4 or MOV file can begin.
_FIRST_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide")
_W64, _W64_HEADER = b"riff\x2e\x91\xcf\x11", 24
_AU_UNKNOWN = 0xFFFFFFFF
_OGG_PAGE_HEADER, _LARGEST_OGG_PAGE = 27, 65307


def find_truncation(path: Path) -> str | None:
    """Compare the sizes in a file's headers with the size of the file.

    It knows WAV, W64, AIFF, AU, CAF, AVI, MP4/MOV/M4A, MKV/WebM and Ogg.

    Args:
        path: any existing file.

    Returns:
        None if the file is complete, or if its format does not state a length; otherwise a text with the format and the
        sizes that were expected and found, in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_W64_HEADER)
        if start[:4] in (b"RIFF", b"RIFX", b"RF64"):
            return find_riff_truncation(file, size)
        if start[:4] == _EBML:
            return _matroska_truncation(file, size)
        if start[:4] == b"OggS":
            return _ogg_truncation(file, size)
        if start[4:8] in _FIRST_BOXES:
            return _mp4_truncation(file, size)
        if start[:4] == b"caff":
            return _caf_truncation(file, size)
    kind, expected = _stated_size(start)
    return f"{kind}: the header states {expected} bytes, but the file has {size}" if expected > size else None


def _stated_size(start: bytes) -> tuple[str, int]:
    """Return the format and the size that the first bytes of an AIFF, AU or W64 file state; 0 = no size is stated."""
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF", int.from_bytes(start[4:8], "big") + 8
    if start[:4] == b".snd" and len(start) >= 12:
        first, n_bytes = struct.unpack(">II", start[4:12])
        return "AU", 0 if n_bytes == _AU_UNKNOWN else first + n_bytes
    if start[:8] == _W64 and len(start) == _W64_HEADER:
        return "W64", int.from_bytes(start[16:24], "little")
    return "", 0


def _caf_truncation(file: BinaryIO, size: int) -> str | None:
    """Check a Core Audio file: a sequence of chunks with sizes. The size −1 means up to the end of the file."""
    position = 8
    while position + 12 <= size:
        file.seek(position)
        name, n_bytes = struct.unpack(">4sq", file.read(12))
        position += 12
        if n_bytes < 0:
            return None
        if position + n_bytes > size:
            shown = name.decode("ascii", errors="replace")
            return f"CAF: chunk {shown!r} states {n_bytes} bytes, but the file holds {size - position} of them"
        position += n_bytes
    return None


def _mp4_truncation(file: BinaryIO, size: int) -> str | None:
    """Check an ISO base media file: a sequence of boxes with sizes."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        n_bytes, name = struct.unpack(">I4s", header[:8])
        if n_bytes == 1 and len(header) == 16:
            (n_bytes,) = struct.unpack(">Q", header[8:])
        if n_bytes < 8:  # 0 means up to the end of the file; no box has fewer than 8 bytes
            return None
        if position + n_bytes > size:
            shown = name.decode("ascii", errors="replace")
            return f"MP4: box {shown!r} states {n_bytes} bytes, but the file holds {size - position} of them"
        position += n_bytes
    return None


def _matroska_truncation(file: BinaryIO, size: int) -> str | None:
    """Check a Matroska file: an EBML header, then one segment with its size (unknown if the file was streamed)."""
    file.seek(len(_EBML))
    header_bytes = _variable_size(file)
    if header_bytes is None:
        return None
    file.seek(header_bytes, 1)
    if file.read(4) != _SEGMENT:
        return None
    segment_bytes = _variable_size(file)
    found = size - file.tell()
    if segment_bytes is None or segment_bytes <= found:
        return None
    return f"Matroska: the header states {segment_bytes} bytes, but the file holds {found} of them"


def _variable_size(file: BinaryIO) -> int | None:
    """Read a size in EBML's form. It has one byte more than its first byte has leading zero bits.

    Returns:
        The size; None = it is unknown (all bits are set), or these bytes are not a size.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    n_more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - n_more)) - 1)]) + file.read(n_more), "big")
    return None if value == (1 << 7 * (n_more + 1)) - 1 else value


def _ogg_truncation(file: BinaryIO, size: int) -> str | None:
    """Check an Ogg file: its last page must be complete. A file that ends exactly after a page looks complete."""
    start = max(0, size - _LARGEST_OGG_PAGE)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return None
    page = tail[at:]
    n_segments = page[26] if len(page) >= _OGG_PAGE_HEADER else 255
    table = page[_OGG_PAGE_HEADER : _OGG_PAGE_HEADER + n_segments]
    expected = _OGG_PAGE_HEADER + n_segments + sum(table)
    if len(page) >= expected:
        return None
    return f"Ogg: its last page needs at least {expected} bytes, but the file holds {len(page)} of them"
