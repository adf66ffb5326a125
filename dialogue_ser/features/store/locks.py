"""Locks of the store: only one process writes an index at a time, and no process deletes a folder that is in use."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dialogue_ser.errors import FeatureError

LOCK_SECONDS = 120.0
_MARK_PREFIX = "using-"


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file. The operating system releases it if the process dies.

    Raises:
        FeatureError: another process has held the lock for two minutes.
        OSError: the lock file cannot be made.
    """
    lock = FileLock(path, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise FeatureError(
            f"feature store {path.parent}: another process has held {path.name} for {LOCK_SECONDS:.0f} s; "
            "end that process, then try again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def index_lock(folder: Path) -> Path:
    """Return the lock file that a process holds while it replaces the index of an encoder."""
    return folder / "index.lock"


def store_lock(root: Path) -> Path:
    """Return the lock file that a process holds while it marks or deletes the folder of an encoder."""
    return root / "store.lock"


@contextmanager
def mark_in_use(folder: Path) -> Iterator[None]:
    """Mark a folder as used by this process. Hold the store's lock while this begins.

    If the store cannot be written, there is no mark, but its features can still be read.
    """
    mark = folder / f"{_MARK_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
    lock = FileLock(mark, timeout=0)
    try:
        lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()
        mark.unlink(missing_ok=True)


def is_in_use(folder: Path) -> bool:
    """Whether a living process uses a folder. Marks of dead processes are deleted."""
    for mark in folder.glob(f"{_MARK_PREFIX}*.lock"):
        try:
            with FileLock(mark, timeout=0):
                mark.unlink(missing_ok=True)
        except (Timeout, OSError):
            return True
    return False
