"""Is a WAV file as long as its header says? soundfile does not tell: it silently returns fewer samples."""

import struct
from pathlib import Path

# Writers that stream into a pipe cannot go back to fill in the sizes; these values mean "unknown".
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def truncation(path: Path) -> str | None:
    """Compare the sizes in a RIFF header with the size of the file.

    Args:
        path: any existing file.

    Returns:
        None for a file that is complete or is no RIFF/WAVE; otherwise what was expected and what was found, in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] != b"RIFF":
            return None
        if len(header) < 12:
            return f"the RIFF header needs 12 bytes, the file has {size}"
        riff_bytes = int(struct.unpack("<I", header[4:8])[0])
        if header[8:12] != b"WAVE":
            return None
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name, chunk_bytes = struct.unpack("<4sI", file.read(8))
            position += 8
            if name == b"data":
                if chunk_bytes not in _UNKNOWN_SIZES and position + chunk_bytes > size:
                    return f"the header promises {chunk_bytes} bytes of samples, the file holds {size - position}"
                break
            position += chunk_bytes + chunk_bytes % 2  # chunks are padded to even sizes
        else:
            return f"the file ends after {size} bytes, before any samples"
    # One byte of tolerance: some writers leave out the last padding byte.
    if riff_bytes not in _UNKNOWN_SIZES and riff_bytes + 8 > size + 1:
        return f"the header promises {riff_bytes + 8} bytes, the file has {size}"
    return None
