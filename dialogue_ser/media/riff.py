"""Sizes in RIFF headers (WAV, AVI, and the 64-bit RF64): soundfile reads a shorter file without a word."""

import struct
from typing import BinaryIO

# Writers that stream into a pipe cannot go back to fill in the sizes; these values mean "unknown".
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def riff_truncation(file: BinaryIO, size: int) -> str | None:
    """Compare the sizes in a RIFF header with the size of the file.

    Args:
        file: open, begins with RIFF, RIFX (big-endian) or RF64.
        size: of the file in bytes.

    Returns:
        None for a file that is complete or of unknown length; otherwise what was expected and what was found, in bytes.
    """
    file.seek(0)
    header = file.read(12)
    if len(header) < 12:
        return f"WAV: the RIFF header needs 12 bytes, the file has {size}"
    order = ">" if header[:4] == b"RIFX" else "<"
    (riff_bytes,) = struct.unpack(f"{order}I", header[4:8])
    if header[8:12] == b"WAVE":
        problem = _data_chunk(file, size, order)
        if problem is not None:
            return problem
    # One byte of tolerance: some writers leave out the last padding byte.
    if riff_bytes not in _UNKNOWN_SIZES and riff_bytes + 8 > size + 1:
        kind = "WAV" if header[8:12] == b"WAVE" else header[8:12].decode("ascii", errors="replace").strip()
        return f"{kind}: the header promises {riff_bytes + 8} bytes, the file has {size}"
    return None


def _data_chunk(file: BinaryIO, size: int, order: str) -> str | None:
    """Walks the chunks of a WAVE up to its samples."""
    position = 12
    long_data_bytes: int | None = None
    while position + 8 <= size:
        file.seek(position)
        name, chunk_bytes = struct.unpack(f"{order}4sI", file.read(8))
        position += 8
        if name == b"ds64":  # RF64: 64-bit sizes of the file and of the samples, as the 32-bit ones are too small
            sizes = file.read(16)
            long_data_bytes = int.from_bytes(sizes[8:16], "little") if len(sizes) == 16 else None
        if name == b"data":
            if chunk_bytes == 0xFFFFFFFF and long_data_bytes is not None:
                chunk_bytes = long_data_bytes
            if chunk_bytes not in _UNKNOWN_SIZES and position + chunk_bytes > size:
                return f"WAV: the header promises {chunk_bytes} bytes of samples, the file holds {size - position}"
            return None
        position += chunk_bytes + chunk_bytes % 2  # chunks are padded to even sizes
    return f"WAV: the file ends after {size} bytes, before any samples"
