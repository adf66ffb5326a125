"""Jobs, what came of them, and the files that remember it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.durable import short_name, write_atomically
from dialogue_ser.trust import Trust

Status = Literal["finished", "failed", "stopped"]
#: Folder of the records and folder of the logs, inside the folder of all jobs.
RECORDS, LOGS = "jobs", "logs"


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A piece of work that somebody may repeat after it was stopped: the target continues what it finds.

    Args:
        key: name of the job, unique among the jobs of a folder, e.g. ``bigru/seed1``.
        target: ``module:function`` of this package. It is called with the payload and returns a plain JSON value.
        payload: the keyword arguments of the target. Plain JSON values, unless the job is done in this process.
        fingerprint: text that changes when the result would change. A record with another one does not count.
        trusted: code that the job may import by name, see :mod:`~dialogue_ser.trust`.
        is_complete: function that says whether the results are still there; None = they are.
        fraction: function that says how much of a running job is done, from 0 to 1; None = unknown.
    """

    key: str
    target: str
    payload: Mapping[str, Any]
    fingerprint: str
    trusted: Trust = field(default_factory=frozenset)
    is_complete: Callable[[], bool] | None = None
    fraction: Callable[[], float] | None = None

    def spec(self, folder: Path) -> dict[str, Any]:
        """Return what another process needs to do the job and to write its record, as plain JSON values.

        Args:
            folder: folder of all jobs.
        """
        return {
            "key": self.key,
            "target": self.target,
            "payload": dict(self.payload),
            "fingerprint": self.fingerprint,
            "trusted": self.trusted if isinstance(self.trusted, bool) else sorted(self.trusted),
            "record": str(record_path(folder, self.key).absolute()),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a job.

    Args:
        status: finished, failed, or stopped by a signal.
        seconds: wall-clock time of the last attempt, in seconds.
        value: what the target returned; None if it did not finish.
        reason: why it failed, one problem for each line; "" if it finished.
        fingerprint: fingerprint of the job.
        error: the exception, if the job was done in this process and failed.
        is_lost: whether its process ended without a word, e.g. because it was killed. The work itself may be good.
    """

    status: Status
    seconds: float = 0.0
    value: Any = None
    reason: str = ""
    fingerprint: str = ""
    error: Exception | None = None
    is_lost: bool = False

    def write(self, path: Path, key: str) -> None:
        """Write the record of a job. The file is complete or does not exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {name: getattr(self, name) for name in ("status", "seconds", "value", "reason", "fingerprint")}
        write_atomically(path, json.dumps({"key": key, **record}, indent=1, ensure_ascii=False) + "\n")


def record_path(folder: Path, key: str) -> Path:
    """Return the path of a job's record."""
    return folder / RECORDS / f"{file_name(key)}.json"


def log_path(folder: Path, key: str) -> Path:
    """Return the path of what a job prints in a process of its own."""
    return folder / LOGS / f"{file_name(key)}.log"


def file_name(key: str) -> str:
    """Return a name of a file for a key. Two keys never share one.

    >>> file_name("bigru/seed1"), file_name("b/ü")
    ('bigru-seed1-96f9f8', 'b-ü-345380')
    """
    words = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in key)
    return f"{short_name(words)}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def read_outcome(folder: Path, key: str) -> Outcome | None:
    """Return what the record of a job says; None if there is no record, or a damaged one."""
    try:
        record = json.loads(record_path(folder, key).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if (
        not isinstance(record, dict)
        or record.get("key") != key
        or record.get("status") not in ("finished", "failed", "stopped")
    ):
        return None
    known = ("status", "seconds", "value", "reason", "fingerprint")
    return Outcome(**{name: record[name] for name in known if name in record})


def finished_outcome(folder: Path, job: Job) -> Outcome | None:
    """Return the outcome of a job that need not be done again; None if it is to be done."""
    outcome = read_outcome(folder, job.key)
    if outcome is None or outcome.status != "finished" or outcome.fingerprint != job.fingerprint:
        return None
    return None if job.is_complete is not None and not job.is_complete() else outcome


def fingerprint_of(values: Any) -> str:
    """Return a short hash of plain JSON values. The order of the keys of a mapping does not matter.

    >>> fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
