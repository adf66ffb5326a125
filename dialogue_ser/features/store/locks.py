"""Who may touch a folder of the store: one writer of its index at a time, and nobody deletes what is in use."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dialogue_ser.errors import FeatureError

LOCK_SECONDS = 120.0
_USING = "using-"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; the operating system lets go of it when the process dies.

    Raises:
        FeatureError: somebody has held it for two minutes.
        OSError: it cannot be made.
    """
    lock = FileLock(path, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise FeatureError(
            f"feature store {path.parent}: another process has held {path.name} for {LOCK_SECONDS:.0f} s; "
            "end it, then try again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def index_lock(folder: Path) -> Path:
    """Held while an encoder's index is replaced."""
    return folder / "index.lock"


def store_lock(root: Path) -> Path:
    """Held while an encoder's folder is entered or removed."""
    return root / "store.lock"


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Mark a folder as used by this process; enter it under the store's lock.

    A store that cannot be written is used without a mark: what lies in it can still be read.
    """
    mark = folder / f"{_USING}{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
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
    """Whether a living process uses a folder; marks of dead ones are removed."""
    for mark in folder.glob(f"{_USING}*.lock"):
        try:
            with FileLock(mark, timeout=0):
                mark.unlink(missing_ok=True)
        except (Timeout, OSError):
            return True
    return False
