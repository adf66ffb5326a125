"""Check the frames of MP3 and of raw AAC (ADTS). Decoders skip what is damaged and go on with the next frame."""

from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.media.damage import DamagedFileError, read_at

# Bits in a second / 1000, by layer, for MPEG 1 and for MPEG 2 and 2.5.
_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SAMPLES = {(1, 1): 384, (1, 2): 1152, (1, 3): 1152, (2, 1): 384, (2, 2): 1152, (2, 3): 576}
# Bytes between the header of a frame and the place of the table ``Xing``: by MPEG 1 or 2, and one channel or more.
_SIDE_BYTES = {(1, False): 32, (1, True): 17, (2, False): 17, (2, True): 9}
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")
_ENCODERS = (b"LAME", b"Lavf", b"Lavc", b"L3.9")
_LAME_BYTES = 34  # of the encoder's facts that its checksum covers


class _Frame(NamedTuple):
    """What a header states.

    Args:
        kind: what all frames of one recording share, e.g. the version, the rate and the number of channels.
        n_bytes: size of the frame.
        n_samples: samples of each channel.
        side_bytes: bytes between the header and the table ``Xing``.
    """

    kind: tuple[int, ...]
    n_bytes: int
    n_samples: int
    side_bytes: int = 0


class Frames(NamedTuple):
    """The frames of a file that was checked.

    Args:
        n_samples: samples of each channel in all frames that hold sound.
        has_table: the first frame is a table (``Xing``) instead of sound.
    """

    n_samples: int
    has_table: bool


def check_mp3(file: BinaryIO, size: int) -> Frames | None:
    """Check that MP3 frames of one kind follow each other without a gap, and as many as the first one states.

    Args:
        file: open file. Tags (ID3) may lie before and behind the frames.
        size: size of the file in bytes.

    Returns:
        the number of samples; None = the file does not begin with a frame, or its frames do not state their size.

    Raises:
        DamagedFileError: bytes between two frames are no frame, the frames differ, the last one is cut off, or their
            number or the checksum of the first one is wrong.
    """
    first_at = _after_tags(file, size)
    first = _mp3_frame(read_at(file, first_at, 4))
    if first is None:
        return None
    table = read_at(file, first_at, first.n_bytes)
    stated = _check_table(table, first)
    n_frames = _walk("MP3", file, size, first_at, _mp3_frame, 4)
    has_table = stated is not None
    n_sound = n_frames - has_table
    # Some programs count the table too.
    if stated and n_sound not in (stated, stated - 1):
        kind = "truncated" if n_sound < stated else "damaged"
        raise DamagedFileError(f"{kind} MP3: the header states {stated} frames, but the file holds {n_sound}")
    if stated is not None:
        _check_sound(file, first_at, table, first)
    return Frames(n_sound * first.n_samples, has_table)


def check_adts(file: BinaryIO, size: int) -> Frames | None:
    """Check that the frames of a raw AAC stream follow each other without a gap.

    Returns:
        the number of samples; None = the file does not begin with such a frame.

    Raises:
        DamagedFileError: bytes between two frames are no frame, the frames differ, or the last one is cut off.
    """
    first_at = _after_tags(file, size)
    first = _adts_frame(read_at(file, first_at, 7))
    if first is None:
        return None
    return Frames(_walk("AAC", file, size, first_at, _adts_frame, 7) * first.n_samples, has_table=False)


def _walk(
    kind: str, file: BinaryIO, size: int, position: int, read_frame: Callable[[bytes], _Frame | None], n_head: int
) -> int:
    """Go from frame to frame and return their number; raise DamagedFileError if something else lies between them."""
    content = read_at(file, position, size - position)
    at, n_frames, frame = 0, 0, read_frame(content[:n_head])
    assert frame is not None
    first = frame.kind
    while frame is not None and frame.kind == first and at + frame.n_bytes <= len(content):
        at += frame.n_bytes
        n_frames += 1
        frame = read_frame(content[at : at + n_head])
    rest = content[at:]
    if not rest.strip(b"\0") or rest.lstrip(b"\0").startswith(_TAGS):
        return n_frames
    where = f"at byte {position + at}, after {n_frames} frames,"
    if frame is not None and frame.kind == first:
        raise DamagedFileError(
            f"truncated {kind}: {where} a frame needs {frame.n_bytes} bytes, but the file holds {len(rest)}"
        )
    what = "no frame begins"
    if frame is not None:
        what = (
            "the version, the rate or the number of channels changes; it seems to hold several recordings: save each "
            "in its own file"
        )
    raise DamagedFileError(f"damaged {kind}: {where} {what}")


def _after_tags(file: BinaryIO, size: int) -> int:
    """Return where the first frame should begin: after tags and empty bytes."""
    position = 0
    while True:
        start = read_at(file, position, 32)
        if start[:3] == b"ID3" and len(start) >= 10:
            n_bytes = sum((byte & 0x7F) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))
            position += 10 + n_bytes + (10 if start[5] & 0x10 else 0)
        elif start[:8] == b"APETAGEX":
            position += 32 + int.from_bytes(start[12:16], "little")
        elif start and not start.strip(b"\0") and position < size:
            position += len(start)
        else:
            return position + len(start) - len(start.lstrip(b"\0"))


@lru_cache(maxsize=4096)
def _mp3_frame(header: bytes) -> _Frame | None:
    """Return what the header of a frame states; None = this is not a header, or it does not state a size."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bits, rate_code, has_pad = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate_code == 3:
        return None
    rate, generation = _RATES_HZ[version][rate_code], 1 if version == 3 else 2
    is_mono = header[3] >> 6 == 3
    n_samples = _SAMPLES[generation, layer]
    bits_per_second = 1000 * _KBITS[generation, layer][bits]
    if layer == 1:
        n_bytes = (12 * bits_per_second // rate + has_pad) * 4
    else:
        n_bytes = n_samples // 8 * bits_per_second // rate + has_pad
    return _Frame((version, layer, rate, is_mono), n_bytes, n_samples, _SIDE_BYTES[generation, is_mono])


def _adts_frame(header: bytes) -> _Frame | None:
    """Return what the header of a raw AAC frame states; None = this is not a header."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    n_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if n_bytes < 7:
        return None
    kind = (header[1] & 0xF8, header[2] & 0xFD, header[3] >> 6)  # version, profile, rate and channels
    return _Frame(kind, n_bytes, 1024 * (1 + (header[6] & 3)))


def _check_table(frame: bytes, head: _Frame) -> int | None:
    """Check the table with which most encoders begin.

    Returns:
        the number of frames that it states, 0 if it does not state one; None = this frame is not a table.

    Raises:
        DamagedFileError: the checksum of the table is wrong, or its name is.
    """
    at = 4 + head.side_bytes
    is_table = frame[at : at + 4] in (b"Xing", b"Info")
    encoder_at = at + 120  # after the name, flags, frames, bytes, 100 entries and the quality
    encoder = frame[encoder_at : encoder_at + 4]
    if not is_table:
        if encoder in _ENCODERS:
            raise DamagedFileError(
                "damaged MP3: its first frame holds facts about the encoder, but has no name (Xing or Info)"
            )
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    places = frame[at + 16 : at + 116]  # where each percent of the sound begins
    if flags & 7 == 7 and sorted(places) != list(places):
        raise DamagedFileError("damaged MP3: the table in its first frame is not in order")
    checksum_at = encoder_at + _LAME_BYTES
    checksum = frame[checksum_at : checksum_at + 2]
    if encoder == b"LAME" and any(checksum) and len(checksum) == 2:  # others compute it otherwise
        found = _crc16(frame[:checksum_at])
        if found != int.from_bytes(checksum, "big"):
            raise DamagedFileError("damaged MP3: its first frame does not have the checksum that it states")
    return int.from_bytes(frame[at + 8 : at + 12], "big") if flags & 1 else 0


def _check_sound(file: BinaryIO, first_at: int, table: bytes, head: _Frame) -> None:
    """Compare the frames of sound with the checksum that most encoders write into the table.

    Raises:
        DamagedFileError: they do not have this checksum.
    """
    facts = table[4 + head.side_bytes + 120 :][: _LAME_BYTES + 2]
    n_bytes, checksum = int.from_bytes(facts[28:32], "big"), int.from_bytes(facts[32:34], "big")
    if facts[:4] not in _ENCODERS or not checksum or n_bytes <= len(table):
        return
    sound = read_at(file, first_at + len(table), n_bytes - len(table))
    if _crc16(sound) != checksum:
        raise DamagedFileError(
            "damaged MP3: its frames do not have the checksum that it states; if a program changed it on purpose (e.g. "
            "mp3gain), 'ffmpeg -i FILE -c copy NEW' states another"
        )


def _crc16(content: bytes) -> int:
    """Return the CRC-16 of some bytes (polynomial 0x8005, lowest bit first), which LAME writes.

    The content is divided into rows of equal length, which are computed side by side. The checksum is linear, so that
    the checksum of a row can be moved over the rows behind it. Zeros before the content change nothing.

    >>> hex(_crc16(b"123456789"))
    '0xbb3d'
    """
    n_rows = -(-len(content) // _ROW_BYTES)
    padded = bytes(n_rows * _ROW_BYTES - len(content)) + content
    rows = np.frombuffer(padded, np.uint8).reshape(n_rows, _ROW_BYTES)
    value = 0
    for row in _crc16_of_rows(np.zeros(n_rows, np.uint16), rows).tolist():
        value = _MOVED[0][value & 0xFF] ^ _MOVED[1][value >> 8] ^ row
    return value


def _crc16_of_rows(values: NDArray[np.uint16], rows: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the checksums of rows [R, B], which begin with the given values [R]."""
    for column in rows.T:
        values = (values >> np.uint16(8)) ^ _CRC16[(values ^ column) & np.uint16(0xFF)]
    return values


def _crc16_table() -> NDArray[np.uint16]:
    values = np.arange(256, dtype=np.uint16)
    for _ in range(8):
        values = (values >> np.uint16(1)) ^ (values & np.uint16(1)) * np.uint16(0xA001)
    return values


_ROW_BYTES = 256
_CRC16 = _crc16_table()
# Checksums after a row of zeros, for every low and every high byte of the checksum before it.
_MOVED = [
    _crc16_of_rows((np.arange(256) << shift).astype(np.uint16), np.zeros((256, _ROW_BYTES), np.uint8)).tolist()
    for shift in (0, 8)
]
