"""Check the sizes in RIFF headers (WAV, AVI, and the 64-bit RF64). soundfile does not: it reads truncated files."""

import struct
from typing import BinaryIO

# These values mean "unknown". A program that writes into a pipe cannot go back and fill in the sizes.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def find_riff_truncation(file: BinaryIO, size: int) -> str | None:
    """Compare the sizes in a RIFF header with the size of the file.

    Args:
        file: open file that begins with RIFF, RIFX (big-endian) or RF64.
        size: size of the file in bytes.

    Returns:
        None if the file is complete or its length is unknown; otherwise a text with the sizes that were expected and
        found, in bytes.
    """
    file.seek(0)
    header = file.read(12)
    if len(header) < 12:
        return f"WAV: the RIFF header needs 12 bytes, but the file has {size}"
    order = ">" if header[:4] == b"RIFX" else "<"
    (riff_bytes,) = struct.unpack(f"{order}I", header[4:8])
    if header[8:12] == b"WAVE":
        problem = _wave_truncation(file, size, order)
        if problem is not None:
            return problem
    # One byte may be missing, because some programs leave out the last padding byte.
    if riff_bytes not in _UNKNOWN_SIZES and riff_bytes + 8 > size + 1:
        kind = "WAV" if header[8:12] == b"WAVE" else header[8:12].decode("ascii", errors="replace").strip()
        return f"{kind}: the header states {riff_bytes + 8} bytes, but the file has {size}"
    return None


def _wave_truncation(file: BinaryIO, size: int, order: str) -> str | None:
    """Go through the chunks of a WAVE up to its samples, and check that these are complete."""
    position = 12
    long_data_bytes: int | None = None
    while position + 8 <= size:
        file.seek(position)
        name, chunk_bytes = struct.unpack(f"{order}4sI", file.read(8))
        position += 8
        if name == b"ds64":  # RF64 has the sizes of the file and of the samples here, with 64 bits
            sizes = file.read(16)
            long_data_bytes = int.from_bytes(sizes[8:16], "little") if len(sizes) == 16 else None
        if name == b"data":
            if chunk_bytes == 0xFFFFFFFF and long_data_bytes is not None:
                chunk_bytes = long_data_bytes
            if chunk_bytes not in _UNKNOWN_SIZES and position + chunk_bytes > size:
                return f"WAV: the header states {chunk_bytes} bytes of samples, but the file holds {size - position}"
            return None
        position += chunk_bytes + chunk_bytes % 2  # chunks are padded to even sizes
    return f"WAV: the file ends after {size} bytes, before the first sample"
