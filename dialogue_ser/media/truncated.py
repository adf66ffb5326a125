"""Is a file as long as its own headers say? Decoders do not tell: they silently return fewer samples."""

import struct
from pathlib import Path
from typing import BinaryIO

from dialogue_ser.media.riff import riff_truncation

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_FIRST_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide")
_OGG_PAGE_HEADER, _LARGEST_OGG_PAGE = 27, 65307


def truncation(path: Path) -> str | None:
    """Compare the sizes in a file's headers with the size of the file: WAV, AVI, MP4/MOV/M4A, MKV/WebM, Ogg.

    Args:
        path: any existing file.

    Returns:
        None for a file that is complete or of a kind that does not say how long it is; otherwise its kind, what was
        expected and what was found, in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] in (b"RIFF", b"RIFX", b"RF64"):
            return riff_truncation(file, size)
        if start[:4] == _EBML:
            return _matroska(file, size)
        if start[:4] == b"OggS":
            return _ogg(file, size)
        if start[4:8] in _FIRST_BOXES:
            return _boxes(file, size)
    return None


def _boxes(file: BinaryIO, size: int) -> str | None:
    """ISO base media: boxes behind one another, each with its size."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        n_bytes, name = struct.unpack(">I4s", header[:8])
        if n_bytes == 1 and len(header) == 16:
            (n_bytes,) = struct.unpack(">Q", header[8:])
        if n_bytes < 8:  # 0 = to the end of the file; anything else is no box
            return None
        if position + n_bytes > size:
            what = name.decode("ascii", errors="replace")
            return f"MP4: box {what!r} promises {n_bytes} bytes, the file holds {size - position} of them"
        position += n_bytes
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    """Matroska: an EBML header, then one segment with its size (unknown where it was streamed)."""
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
    return f"Matroska: the header promises {segment_bytes} bytes, the file holds {found} of them"


def _variable_size(file: BinaryIO) -> int | None:
    """EBML size: as many bytes as the first has leading zeros, and one; None where unknown (all bits set)."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    n_more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - n_more)) - 1)]) + file.read(n_more), "big")
    return None if value == (1 << 7 * (n_more + 1)) - 1 else value


def _ogg(file: BinaryIO, size: int) -> str | None:
    """Ogg: the last page must be whole. Where the file ends exactly between two pages nothing can be told."""
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
    return f"Ogg: its last page needs at least {expected} bytes, the file holds {len(page)} of them"
