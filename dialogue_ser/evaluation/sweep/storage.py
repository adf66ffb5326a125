"""Where the trials of a sweep are kept: an Optuna journal in the folder of the sweep, or any storage of Optuna."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from filelock import FileLock, Timeout

from dialogue_ser.errors import ConfigError, MissingDataError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

#: Name of the journal inside the folder of a sweep.
JOURNAL = "study.journal"
#: Only one process at a time hands out trials. None holds this lock for long.
_LOCK_SECONDS = 120.0
_BUSY_SECONDS = 60.0


def import_optuna() -> ModuleType:
    """Return the module optuna. It logs warnings only.

    Raises:
        MissingDataError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingDataError("sweep: optuna is not installed; pip install 'dialogue-ser[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@dataclass(frozen=True)
class Place:
    """The place of a storage.

    Args:
        url: a URL of a database (``sqlite:///file.db``, ``postgresql://…``), or the path of an Optuna journal.
    """

    url: str

    @classmethod
    def of(cls, storage: str | None, folder: Path) -> "Place":
        """Return the place that ``--storage`` names; if it is left out, the journal in the folder of the sweep."""
        return cls(storage or str(folder / JOURNAL))

    @property
    def is_database(self) -> bool:
        """Whether it is a database and not a journal."""
        return "://" in self.url

    @property
    def shown(self) -> str:
        """Its name for messages, without a password.

        >>> Place("postgresql://me:secret@host/db").shown
        'postgresql://me:***@host/db'
        """
        scheme, separator, rest = self.url.partition("://")
        account, at, host = rest.rpartition("@")
        name, colon, _ = account.partition(":")
        return f"{scheme}{separator}{name}{colon}{'***' if colon else ''}{at}{host}"

    @property
    def file(self) -> Path | None:
        """The file of a journal or of an SQLite database; None for a server."""
        if not self.is_database:
            return Path(self.url)
        scheme, _, rest = self.url.partition("://")
        path = rest.removeprefix("/").partition("?")[0]
        return Path(path) if scheme.partition("+")[0] == "sqlite" and path and path != ":memory:" else None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the storage. A server has none: there this does nothing.

        The operating system releases the lock of a process that dies.

        Raises:
            ConfigError: another process holds the lock for minutes.
        """
        if self.file is None:
            yield
            return
        lock = FileLock(f"{self.file}.claim", timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(
                f"{self.file}.claim: another process holds this lock for {_LOCK_SECONDS:.0f} s; end it, or use another "
                "--storage"
            ) from None
        try:
            yield
        finally:
            lock.release()


def open_storage(place: Place, *, may_create: bool = True) -> "BaseStorage":
    """Open a storage, and create it if it does not exist.

    Args:
        place: its place.
        may_create: False = a file that does not exist is an error.

    Raises:
        ConfigError: the database cannot be reached, or the file is no storage.
        MissingDataError: optuna is not installed, or the file does not exist.
    """
    import_optuna()
    file = place.file
    if file is not None:
        if not may_create and not file.is_file():
            raise MissingDataError(f"{file}: no such sweep; begin it with dialogue-ser sweep run, or correct --storage")
        if file.is_dir():
            raise ConfigError(
                f"--storage {place.shown}: is a folder; name a file, or give a URL such as sqlite:///a.db"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
    with place.lock():
        return _database(place) if place.is_database else _journal(Path(place.url))


def _journal(path: Path) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class Backend(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            with lock.held():  # also inside of it; the line of a writer that died would spoil the next one
                _cut_torn_line(path)
                super().append_logs(logs)

    lock = _JournalLock(path)
    with lock.held():
        _cut_torn_line(path)
    try:
        return JournalStorage(Backend(str(path), lock_obj=cast(Any, lock)))
    except (ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
        raise ConfigError(
            f"{path}: is no journal of Optuna, or is damaged ({type(error).__name__}: {error}); restore it from a "
            "copy, or give another --storage"
        ) from error


def _database(place: Place) -> "BaseStorage":
    from optuna.storages import RDBStorage, get_storage
    from sqlalchemy.exc import SQLAlchemyError

    options: dict[str, Any] = {"pool_pre_ping": True}
    if place.file is not None:
        options["connect_args"] = {"timeout": _BUSY_SECONDS}
    try:
        return get_storage(RDBStorage(place.url, engine_kwargs=options))  # with a cache of ended trials
    except (SQLAlchemyError, ImportError, RuntimeError, ValueError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"--storage {place.shown}: cannot be opened ({type(error).__name__}: {first}); give a URL "
            "such as sqlite:///sweep.db or the path of a journal, and install the driver of the database"
        ) from error


def _cut_torn_line(path: Path) -> None:
    """Cut a half-written last line of a journal: the disk was full, or the power failed. The caller holds the lock."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)


class _JournalLock:
    """The lock of a journal. Optuna's own locks stay for 30 seconds if their process is killed, and this one does not.

    Args:
        path: the journal.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(f"{path}.writing", timeout=_LOCK_SECONDS)

    def acquire(self) -> bool:
        """Take the lock. Who has it can take it again.

        Raises:
            ConfigError: another process holds it for minutes.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise ConfigError(f"{self._lock.lock_file}: another process holds this lock for minutes; end it") from None
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock while the context is open."""
        self.acquire()
        try:
            yield
        finally:
            self.release()
