"""A child process with a time limit."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL_CHARACTERS = 4000
LAST_WORDS_SECONDS = 3.0
"""A child that is stopped has this long to say where it stood."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended.

    Args:
        status: exit status. None: it was stopped at its limit.
        seconds: how long it ran.
        tail: the end of its output.
    """

    status: int | None
    seconds: float
    tail: str


def run_limited(
    command: Sequence[str], *, seconds: float, log: Path, cwd: Path, environment: Mapping[str, str]
) -> Ended:
    """Run a command in its own session. All processes that it started end with it.

    At its limit a Python child first gets SIGABRT, so faulthandler prints the position of every thread.

    Args:
        command: program and arguments.
        seconds: its limit.
        log: its output is added to this file at once.
        cwd: where it runs.
        environment: set for it beside this process's own variables.
    """
    own = {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1", **environment}
    started = time.monotonic()
    with log.open("ab") as output:
        first = output.tell()
        with _child(command, output.fileno(), cwd, {**os.environ, **own}) as child:
            try:
                status: int | None = child.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
                _signal(child.pid, signal.SIGABRT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(LAST_WORDS_SECONDS)
    text = log.read_bytes()[first:].decode("utf-8", "replace")
    return Ended(status=status, seconds=time.monotonic() - started, tail=text[-TAIL_CHARACTERS:])


@contextlib.contextmanager
def _child(
    command: Sequence[str], output: int, cwd: Path, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the child. End it with all processes that it started, even if this process is asked to stop."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=environment,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        _signal(child.pid, signal.SIGKILL)
        child.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
