"""The lock of a run directory: only one process at a time writes in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dialogue_ser.errors import ConfigError

LOCK_FILE = ".lock"
#: Commands that only add small files, such as scores or a report, wait this long for another one of their kind.
SHORT_WAIT_SECONDS = 20.0


@contextmanager
def run_lock(folder: Path, wait_seconds: float = 1.0) -> Iterator[None]:
    """Hold the lock of a run directory while this process writes in it.

    The operating system releases the lock if the process dies, so a dead process never blocks a run. The folder is
    created if it is absent. If it is still empty at the end, it is removed again.

    Args:
        folder: run directory.
        wait_seconds: how long to wait if another process holds the lock. It is not 0, because :func:`refuse_if_locked`
            of another process holds the lock for a moment.

    Raises:
        ConfigError: another process is writing in the run directory.
        OSError: the folder cannot be created, or the lock file cannot be written.
    """
    created = _create(folder)
    lock = FileLock(folder / LOCK_FILE, timeout=wait_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(folder) from None
    try:
        yield
    finally:
        lock.release()
        _remove_if_empty(folder, created)


def refuse_if_locked(folder: Path) -> None:
    """Refuse a run directory in which another process is writing, before any work is done for it.

    Raises:
        ConfigError: another process holds the lock.
    """
    if not (folder / LOCK_FILE).is_file():
        return
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(folder) from None
    except OSError:  # the directory cannot be written; the error comes when something is to be written
        return
    lock.release()


def _busy(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder}: another process is writing in this run directory; wait until it has finished, or choose another "
        "--out or --name"
    )


def _create(folder: Path) -> list[Path]:
    """Create a folder and return the folders that were absent, the innermost first."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return absent


def _remove_if_empty(folder: Path, created: list[Path]) -> None:
    """Remove what :func:`run_lock` created, if nothing else was written."""
    if not created:
        return
    with suppress(OSError):  # another process has begun to use the folder, or has deleted it
        if {path.name for path in folder.iterdir()} - {LOCK_FILE}:
            return
        (folder / LOCK_FILE).unlink(missing_ok=True)
        for path in created:
            path.rmdir()
