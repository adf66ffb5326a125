"""Check the pages of an Ogg file (Vorbis, Opus, FLAC, …). Decoders leave out a damaged page without an error."""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from dialogue_ser.media.damage import DamagedFileError

_HEADER = struct.Struct("<4sBBqIIIB")
_FIRST, _LAST = 2, 4  # bits of the flags of a page
# Every byte with its bits in reversed order.
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class _Page(NamedTuple):
    position: int
    flags: int
    stream: int
    number: int


def ogg_checksum(page: bytes) -> int:
    """Return the checksum of a page whose own checksum is set to zero.

    Ogg uses the polynomial of ``zlib.crc32``, but begins with the highest bit of a byte, with 0, and does not invert
    the result. So the bits of the bytes and of the result are reversed. Source: RFC 3533, section 6.

    >>> hex(ogg_checksum(b"123456789"))
    '0x89a1897f'
    """
    reversed_sum = ~zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) & 0xFFFFFFFF
    return int.from_bytes(reversed_sum.to_bytes(4, "little").translate(_REVERSED), "big")


def check_ogg(file: BinaryIO, size: int) -> None:
    """Check that an Ogg file is complete: every page has its checksum, no page is missing, and each stream has its end.

    Args:
        file: open file that begins with ``OggS``.
        size: size of the file in bytes.

    Raises:
        DamagedFileError: the file is damaged or truncated, or holds several recordings one after the other. libsndfile
            would decode only the first of them.
    """
    next_number: dict[int, int] = {}
    ended: set[int] = set()
    for page in _pages(file, size):
        if page.flags & _FIRST:
            if ended:
                raise DamagedFileError(
                    f"damaged Ogg: another recording begins at byte {page.position}; it seems to hold several "
                    "recordings: save each in its own file"
                )
            next_number[page.stream] = page.number
        if page.number != next_number.get(page.stream) or page.stream in ended:
            raise DamagedFileError(
                f"damaged Ogg: at byte {page.position} page {next_number.get(page.stream, 0)} of its stream is "
                f"expected, but page {page.number} was found; pages are missing"
            )
        next_number[page.stream] += 1
        if page.flags & _LAST:
            ended.add(page.stream)
    if len(ended) < len(next_number):
        raise DamagedFileError(
            "truncated Ogg: its last page is missing (no page has the mark of the end); if nothing is missing, "
            "'ffmpeg -i FILE -c copy NEW' writes the mark"
        )


def _pages(file: BinaryIO, size: int) -> Iterator[_Page]:
    """Yield all pages. Other bytes may follow the last page.

    Raises:
        DamagedFileError: a page is cut off or has a wrong checksum.
    """
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(_HEADER.size)
        if header[:4] != b"OggS":
            _check_rest(file, position, header)
            return
        if len(header) < _HEADER.size:
            raise DamagedFileError(
                f"truncated Ogg: a page needs {_HEADER.size} bytes, but the file holds {len(header)} of them"
            )
        _, _, flags, _, stream, number, checksum, n_segments = _HEADER.unpack(header)
        table = file.read(n_segments)
        body = file.read(sum(table))
        n_bytes = _HEADER.size + n_segments + sum(table)
        found = len(header) + len(table) + len(body)
        if found < n_bytes:
            raise DamagedFileError(
                f"truncated Ogg: its last page needs {n_bytes} bytes, but the file holds {found} of them"
            )
        if ogg_checksum(header[:22] + bytes(4) + header[26:] + table + body) != checksum:
            raise DamagedFileError(
                f"damaged Ogg: the page at byte {position} does not have the checksum that it states"
            )
        yield _Page(position, flags, stream, number)
        position += n_bytes


def _check_rest(file: BinaryIO, position: int, start: bytes) -> None:
    """Check the bytes where a page should begin. Some programs append tags, which are no sound."""
    piece = start + file.read(1 << 20)
    if position == 0 or b"OggS" in piece:
        raise DamagedFileError(f"damaged Ogg: no page begins at byte {position}, but others follow")
