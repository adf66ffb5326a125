"""Check the elements of a Matroska or WebM file: their sizes, and the checksums that most programs write.

Source: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from dialogue_ser.media.damage import DamagedFileError, read_at

EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_CHECKSUM, _VOID = 0xBF, 0xEC
# The elements that can lie directly in a segment: index of elements, facts, tracks, clusters, cues, tags, ….
_TOP = {0x114D9B74, 0x1549A966, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1941A469, _CHECKSUM, _VOID}
_TRACK, _TRACK_NUMBER, _TRACK_TYPE = 0xAE, 0xD7, 0x83
_BLOCK_GROUP, _BLOCK, _SIMPLE_BLOCK = 0xA0, 0xA1, 0xA3
_SOUND = 2


def check_matroska(file: BinaryIO, size: int) -> int | None:
    """Check a Matroska file: an EBML header, then one segment of elements.

    Args:
        file: open file that begins with :data:`EBML`.
        size: size of the file in bytes.

    Returns:
        the number of blocks of the first sound track; a block holds one packet or more. None = the file was streamed
        and does not state its sizes, or it has no sound.

    Raises:
        DamagedFileError: an element is cut off, is unknown, or has another checksum than it states.
    """
    header = _element(file, 0)
    if header is None or header[2] is None:
        raise DamagedFileError("damaged Matroska: its header states no size")
    segment_at = header[1] + header[2]
    segment = _element(file, segment_at)
    if segment is None or segment[0] != _SEGMENT:
        raise DamagedFileError(f"damaged Matroska: no segment begins at byte {segment_at}")
    _, position, n_bytes = segment
    if n_bytes is not None and position + n_bytes > size:
        raise DamagedFileError(
            f"truncated Matroska: the header states {n_bytes} bytes, but the file holds {size - position} of them"
        )
    end = size if n_bytes is None else position + n_bytes
    sound_track, n_blocks = None, Counter[int]()
    while position < end:
        found = _element(file, position)
        if found is None or found[0] not in _TOP:
            raise DamagedFileError(f"damaged Matroska: no known element begins at byte {position}")
        name, begin, n_bytes = found
        if n_bytes is None:  # a streamed cluster ends where the next element begins
            return None
        if begin + n_bytes > end:
            kind = "truncated" if end == size else "damaged"
            raise DamagedFileError(
                f"{kind} Matroska: the element at byte {position} states {n_bytes} bytes, but {end - begin} follow"
            )
        content = read_at(file, begin, n_bytes)
        if content[:2] == b"\xbf\x84" and zlib.crc32(content[6:]) != int.from_bytes(content[2:6], "little"):
            raise DamagedFileError(
                f"damaged Matroska: the element at byte {position} does not have the checksum that it states"
            )
        if name == _TRACKS and sound_track is None:
            sound_track = _sound_track(content, position)
        if name == _CLUSTER:
            n_blocks.update(_block_tracks(content, position))
        position = begin + n_bytes
    return None if sound_track is None else n_blocks[sound_track]


def _element(file: BinaryIO, position: int) -> tuple[int, int, int | None] | None:
    """Return the number of an element, where its content begins, and its size (None = it is not stated)."""
    found = _head(read_at(file, position, 12), 0)
    return None if found is None else (found[0], position + found[1], found[2])


def _head(content: bytes, at: int) -> tuple[int, int, int | None] | None:
    """Return the same as :func:`_element` for a part of an element; None = no element begins here."""
    name = _number(content[at : at + 4], keep_mark=True)
    if name is None:
        return None
    size_at = at + 9 - content[at].bit_length()
    n_bytes = _number(content[size_at : size_at + 8], keep_mark=False)
    if n_bytes is None:
        return None
    n_size = 9 - content[size_at].bit_length()
    is_unknown = n_bytes == (1 << 7 * n_size) - 1
    return name, size_at + n_size, None if is_unknown else n_bytes


def _number(content: bytes, *, keep_mark: bool) -> int | None:
    """Read a number in EBML's form. It has one byte more than its first byte has leading zero bits.

    Returns:
        the number; None = these bytes are not a number.
    """
    if not content or not content[0]:
        return None
    n = 9 - content[0].bit_length()
    if len(content) < n:
        return None
    value = int.from_bytes(content[:n], "big")
    return value if keep_mark else value & (1 << 7 * n) - 1


def _parts(content: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each part of an element. They must fill the element.

    Args:
        content: the content of the element.
        position: where the element begins in the file, for the message.

    Raises:
        DamagedFileError: they do not.
    """
    at = 0
    while at < len(content):
        name, begin, n_bytes = _head(content, at) or (0, 0, None)
        if n_bytes is None or begin + n_bytes > len(content):
            raise DamagedFileError(f"damaged Matroska: its parts do not fill the element at byte {position}")
        yield name, content[begin : begin + n_bytes]
        at = begin + n_bytes


def _sound_track(content: bytes, position: int) -> int | None:
    """Return the number of the first track with sound."""
    for name, track in _parts(content, position):
        if name == _TRACK:
            facts = {key: int.from_bytes(value, "big") for key, value in _parts(track, position) if len(value) <= 8}
            if facts.get(_TRACK_TYPE) == _SOUND:
                return facts.get(_TRACK_NUMBER)
    return None


def _block_tracks(content: bytes, position: int) -> Iterator[int]:
    """Yield the number of the track of each block in a cluster."""
    for name, part in _parts(content, position):
        blocks = [part] if name == _SIMPLE_BLOCK else []
        if name == _BLOCK_GROUP:
            blocks = [block for key, block in _parts(part, position) if key == _BLOCK]
        for block in blocks:
            track = _number(block[:8], keep_mark=False)
            if track is None:
                raise DamagedFileError(f"damaged Matroska: a block of the cluster at byte {position} has no track")
            yield track
