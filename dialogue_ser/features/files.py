"""Hashes of files on disk and replacing a file so that no reader ever sees half of it."""

import os
import tempfile
from functools import lru_cache
from pathlib import Path

from dialogue_ser.media.hashing import content_hash


def file_sha256(path: Path) -> str:
    """SHA-256 of a file; read once per process as long as its size and time stay the same.

    Raises:
        OSError: no such file.
        MediaError: it cannot be read.
    """
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65536)
def _sha256(path: Path, size_bytes: int, modified_ns: int) -> str:
    return content_hash(path)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file through a temporary one beside it: content synced first, then the name.

    Raises:
        OSError: the disk is full or the folder not writable; nothing half-written stays behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
