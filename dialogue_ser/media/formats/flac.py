"""Check the header of a FLAC file against its first frame, its size and its samples. Source: RFC 9639."""

import hashlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.media.damage import DamagedFileError, check_rate, read_at

# The rates and sizes that a frame states with a number; None: it stands elsewhere.
_RATES_HZ = (None, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_BITS = (None, 8, 12, None, 16, 20, 24, 32)
# The smallest frame: a header of 6 bytes, a checksum of 2, and 2 for one channel that never changes.
_SMALLEST_FRAME_BYTES = 10
_STREAM_INFO_BYTES = 34


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """What the header of a FLAC file states about its sound.

    Args:
        n_samples: number of samples of each channel; 0 = not stated.
        bits: bits of a sample.
        md5: MD5 of all samples; None = not stated.
    """

    n_samples: int
    bits: int
    md5: bytes | None


def read_flac_header(file: BinaryIO, size: int) -> FlacHeader | None:
    """Read and check the header of a FLAC file, and the header of its first frame.

    Args:
        file: open file. Tags (ID3) may lie before the sound.
        size: size of the file in bytes.

    Returns:
        the header; None = this is not a FLAC file.

    Raises:
        DamagedFileError: the header contradicts itself, the first frame or the size of the file.
    """
    begin = _after_id3(file)
    start = read_at(file, begin, 8 + _STREAM_INFO_BYTES)
    if start[:4] != b"fLaC":
        return None
    n_bytes = int.from_bytes(start[5:8], "big")
    if len(start) < 8 + _STREAM_INFO_BYTES or start[4] & 0x7F or n_bytes != _STREAM_INFO_BYTES:
        raise DamagedFileError("damaged FLAC: its header does not begin with the facts about the sound (STREAMINFO)")
    info = start[8:]
    smallest, largest = int.from_bytes(info[0:2], "big"), int.from_bytes(info[2:4], "big")
    packed = int.from_bytes(info[10:18], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    n_samples = packed & (1 << 36) - 1
    check_rate("FLAC", rate)
    if largest < 16 or smallest > largest or bits < 4:
        raise DamagedFileError(
            f"damaged FLAC: the header states blocks of {smallest} to {largest} samples of {bits} bits"
        )
    frames_at = _frames_at(file, begin + 4, size)
    most = (size - frames_at) // _SMALLEST_FRAME_BYTES * largest
    if n_samples > most:
        raise DamagedFileError(
            f"damaged FLAC: the header states {n_samples} samples, but {size - frames_at} bytes hold at most {most}"
        )
    _check_first_frame(read_at(file, frames_at, 16), rate, channels, bits)
    return FlacHeader(n_samples, bits, info[18:34] if any(info[18:34]) else None)


def samples_md5(samples_NC: NDArray[np.int32], bits: int, digest: Any = None) -> Any:
    """Return the running MD5 of samples in the form in which FLAC computes it.

    Args:
        samples_NC: (n, channels), the highest bits of 32 hold the sample.
        bits: bits of a sample.
        digest: the result for the samples before these.
    """
    digest = hashlib.md5(usedforsecurity=False) if digest is None else digest
    n_bytes = (bits + 7) // 8
    if bits % 8:
        samples_NC = samples_NC >> (8 * n_bytes - bits)
    left = np.ascontiguousarray(samples_NC, dtype="<i4")
    unit, n_units = (np.dtype("<i2"), 2) if n_bytes == 2 else (np.dtype(np.uint8), 4)
    low = left.view(unit).reshape(-1, n_units)[:, n_units - n_bytes // unit.itemsize :]
    digest.update(np.ascontiguousarray(low))
    return digest


def _after_id3(file: BinaryIO) -> int:
    start = read_at(file, 0, 10)
    if start[:3] != b"ID3" or len(start) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))


def _frames_at(file: BinaryIO, position: int, size: int) -> int:
    """Go through the blocks of the header, and return where the first frame begins."""
    is_last = False
    while not is_last:
        block = read_at(file, position, 4)
        if len(block) < 4 or position > size:
            raise DamagedFileError(f"truncated FLAC: the header ends after byte {size}, before the first frame")
        is_last = block[0] >= 0x80
        position += 4 + int.from_bytes(block[1:4], "big")
    return position


def _check_first_frame(frame: bytes, rate: int, channels: int, bits: int) -> None:
    if len(frame) < 16 or frame[0] != 0xFF or frame[1] & 0xFC != 0xF8:
        raise DamagedFileError("damaged FLAC: no frame begins where its header ends")
    code_rate, code_channels, code_bits = frame[2] & 15, frame[3] >> 4, frame[3] >> 1 & 7
    in_frame = {
        "Hz": (rate, _RATES_HZ[code_rate] if code_rate < len(_RATES_HZ) else None),
        "channels": (channels, code_channels + 1 if code_channels < 8 else 2),
        "bits": (bits, _BITS[code_bits]),
    }
    for unit, (in_header, found) in in_frame.items():
        if found is not None and found != in_header:
            raise DamagedFileError(f"damaged FLAC: the header states {in_header} {unit}, but the first frame {found}")
