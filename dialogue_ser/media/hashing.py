"""Content hashes of files. Files are read in pieces, so that an archive of ten gigabytes needs little memory."""

import hashlib
import stat
from functools import lru_cache
from pathlib import Path

from dialogue_ser.errors import MediaError

_PIECE_BYTES = 1 << 20


def content_hash(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes as 64 lower-case hexadecimal digits.

    Raises:
        MediaError: the file is missing, cannot be read, or is not an ordinary file.
    """
    digest = hashlib.sha256()
    try:
        # Reading a pipe could wait for ever, and a device may have no end.
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
    """Return the :func:`content_hash` of a file, but read the file again only if its size or its time has changed.

    Raises:
        OSError: the file does not exist.
        MediaError: the file cannot be read.
    """
    status = path.stat()
    return _cached_hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65536)
def _cached_hash(path: Path, size_bytes: int, modified_ns: int) -> str:
    return content_hash(path)
