"""Who does a trial, and whether this process is still alive, on this machine or on another one."""

import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

#: A process of another machine that gave no sign of life for this long counts as dead.
SILENT_SECONDS = 60.0
#: It gives one so often.
BEAT_SECONDS = 15.0
_SAME_START_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that hands out trials (the command ``sweep run``). Its trials end with it.

    Args:
        id: a random name.
        machine: what tells its machine (and container) from all others.
        host: name of its machine, for people.
        pid: number of the process.
        started: when the process began, in seconds since 1970. Numbers of processes are used again.
    """

    id: str
    machine: str
    host: str
    pid: int
    started: float

    @classmethod
    def here(cls) -> "Worker":
        """Return the worker that this process is."""
        return cls(
            id=secrets.token_hex(6),
            machine=this_machine(),
            host=platform.node(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def this_machine() -> str:
    """Return a text that no other machine has, and no other container with process numbers of its own."""
    parts = [platform.node()]
    with suppress(OSError, NotImplementedError):  # not Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)


class Watch:
    """Says which workers are dead.

    A worker of this machine is looked up. For one of another machine, the signs of life count: it is dead if it gave
    none while this process has watched it for SILENT_SECONDS. Clocks of two machines are never compared.

    Args:
        clock: seconds that pass.
        silent_seconds: how long a worker may give no sign.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, silent_seconds: float = SILENT_SECONDS) -> None:
        self._clock, self._silent = clock, silent_seconds
        self._machine = this_machine()
        self._seen: dict[str, tuple[Any, float]] = {}

    def is_dead(self, worker: Mapping[str, Any], beat: Any) -> bool | None:
        """Return whether a worker is dead; None = not known yet.

        Args:
            worker: its fields; empty = nobody.
            beat: its last sign of life; any value that changes.
        """
        if not worker:
            return True
        if worker.get("machine") == self._machine:
            return not is_running(int(worker.get("pid", 0)), float(worker.get("started", 0.0)))
        name, now = str(worker.get("id")), self._clock()
        before = self._seen.get(name)
        if before is None:
            self._seen[name] = (beat, now)
            return None
        if before[0] != beat:
            self._seen[name] = (beat, now)
            return False
        return True if now - before[1] >= self._silent else None


def is_running(pid: int, started: float) -> bool:
    """Return whether a process of this machine lives, and is the one that began at this time."""
    try:
        process = psutil.Process(pid)
        is_same = abs(float(process.create_time()) - started) < _SAME_START_SECONDS
        return is_same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, ValueError):
        return False
