"""Files that are whole or not there, also after a crash: synced content, then the name."""

import os
import tempfile
from pathlib import Path

#: Temporary files begin with it; one that is old was left by a process that died.
TEMPORARY_PREFIX = ".writing-"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: temporary file beside it, fsync, rename, fsync of the folder.

    Args:
        path: replaced if it exists; its folder must exist.
        content: text (as UTF-8) or bytes.

    Raises:
        OSError: the disk is full or the folder not writable; the old file stays and nothing half-written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write_synced(temporary, content.encode() if isinstance(content, str) else content)
        temporary.chmod(0o644)  # mkstemp makes it private; a report is for reading
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on disk.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut (POSIX; elsewhere folders cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
