"""Write files so that they are complete or do not exist, even after a crash.

The content is first written to disk under a temporary name. After that the file gets its final name.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: Names of temporary files begin with it. An old temporary file was left by a process that died.
TEMPORARY_PREFIX = ".writing-"

#: Names of files may have 255 bytes on most disks; endings and temporary names need some of them.
_MOST_BYTES_OF_A_NAME = 120


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: write a temporary file in the same folder, fsync it, rename it, fsync the folder.

    Args:
        path: file to write. It is replaced if it exists. Its folder must exist.
        content: bytes, or text that is written as UTF-8.

    Raises:
        OSError: the disk is full or the folder is not writable. The old file stays as it was.
    """
    with writing_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to. It becomes ``path`` if the block ends without an error, as in write_atomically.

    Raises:
        OSError: the disk is full or the folder is not writable. The old file stays as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp creates a file that only its owner may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on disk.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder's files are on disk. This does nothing where folders cannot be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def short_name(name: str) -> str:
    """Return a name that is short enough for a file. A long name is cut, and a part of its hash makes it unique.

    >>> short_name("Ses01F"), len(short_name("x" * 5000))
    ('Ses01F', 73)
    """
    if len(name.encode()) <= _MOST_BYTES_OF_A_NAME:
        return name
    return f"{name.encode()[:60].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
