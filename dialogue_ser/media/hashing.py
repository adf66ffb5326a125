"""Content hashes of files, read in pieces so that a ten-gigabyte archive fits into memory."""

import hashlib
import stat
from functools import lru_cache
from pathlib import Path

from dialogue_ser.errors import MediaError

_PIECE_BYTES = 1 << 20


def content_hash(path: Path | str) -> str:
    """SHA-256 of a file's bytes as 64 lower-case hexadecimal digits.

    Raises:
        MediaError: the file is missing, cannot be read, or is none: a pipe would be waited for, a device never ends.
    """
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise MediaError(f"{path}: is not a file; give the file itself")
        with Path(path).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        raise MediaError(
            f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions"
        ) from error
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """As :func:`content_hash`, but read once per process as long as the file's size and time stay the same.

    Raises:
        OSError: no such file.
        MediaError: it cannot be read.
    """
    status = path.stat()
    return _remembered(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65536)
def _remembered(path: Path, size_bytes: int, modified_ns: int) -> str:
    return content_hash(path)
