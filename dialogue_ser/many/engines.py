"""Engines decide where jobs are done: in this process, in processes of this machine, or on Ray (``ray_engine``)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dialogue_ser.many.cores import SAFE_PATH, count_workers, thread_limits
from dialogue_ser.many.jobs import Job, Outcome, log_path, read_outcome, record_path
from dialogue_ser.many.work import do_job

#: Pairs of a job and its outcome; (job, None) when a job begins; None from time to time, so that progress can be shown.
Events = Generator[tuple[Job, Outcome | None] | None, None, None]

_TICK_SECONDS = 0.2
#: A stopped job has this long to write its checkpoint.
GRACE_SECONDS = 60.0
_MOST_OF_A_LOG = 4000


class JobEngine(Protocol):
    """The interface of engines."""

    def events(self, jobs: Iterable[Job], folder: Path) -> Events:
        """Do the jobs. A closed generator stops the jobs that run.

        Args:
            jobs: the jobs, in the order in which they begin.
            folder: folder of the records and logs.
        """
        ...


class InProcess:
    """Does one job after the other in this process. An outcome then has the exception of a failed job."""

    def events(self, jobs: Iterable[Job], folder: Path) -> Events:
        """Do the jobs in their order."""
        for job in jobs:
            yield job, None
            outcome = do_job(job.target, job.payload, job.fingerprint, job.trusted)
            outcome.write(record_path(folder, job.key), job.key)
            yield job, outcome


class Processes:
    """Does every job in a new process of this machine, several at the same time.

    A new process for each job keeps the jobs apart: one that dies takes no other with it, and its peak memory is its
    own. The threads of the machine are divided among the processes. Ctrl-C does not reach them; this process asks them
    to stop. They end when this process ends, also if it is killed.

    Args:
        n_jobs: number of jobs at the same time; 0 = one for each CPU core.

    Raises:
        ConfigError: the number is negative.
    """

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = count_workers(n_jobs, "--jobs")

    def events(self, jobs: Iterable[Job], folder: Path) -> Events:
        """Do the jobs; as soon as one ends, the next one begins."""
        waiting = iter(jobs)
        running: dict[Job, subprocess.Popen[bytes]] = {}
        try:
            while True:
                for job in take(waiting, self.n_jobs - len(running)):
                    running[job] = self._start(job, folder)
                    yield job, None
                if not running:
                    return
                time.sleep(_TICK_SECONDS)
                for job in [job for job, process in running.items() if process.poll() is not None]:
                    yield job, _outcome_of(job, running.pop(job).returncode, folder)
                yield None
        finally:
            _stop(list(running.values()))

    def _start(self, job: Job, folder: Path) -> "subprocess.Popen[bytes]":
        """Start the process of a job."""
        record_path(folder, job.key).unlink(missing_ok=True)
        log = log_path(folder, job.key)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - this Python and this package
                [sys.executable, "-m", "dialogue_ser.many.child", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **thread_limits(self.n_jobs), **SAFE_PATH},
                start_new_session=True,  # Ctrl-C on the terminal does not reach it
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once; its status says so
            process.stdin.write(json.dumps(job.spec(folder)).encode())
            process.stdin.close()
        return process


def take(jobs: Iterator[Job], most: int) -> Iterator[Job]:
    """Yield up to some jobs."""
    for _, job in zip(range(most), jobs, strict=False):
        yield job


def _outcome_of(job: Job, status: int, folder: Path) -> Outcome:
    """Return the outcome of a job whose process has ended: what it wrote, or why it could write nothing."""
    outcome = read_outcome(folder, job.key)
    if outcome is not None and outcome.fingerprint == job.fingerprint:
        return outcome
    if status in (128 + 15, -15, 128 + 2):
        return Outcome(status="stopped", reason="a signal stopped it", fingerprint=job.fingerprint)
    how = f"its process was ended by signal {-status}" if status < 0 else f"its process ended with status {status}"
    memory = "; perhaps the memory was not enough: do fewer at the same time" if status == -9 else ""
    last = _last_line(log_path(folder, job.key))
    reason = f"{how}{memory}; {log_path(folder, job.key)} has its output" + (f", at last: {last}" if last else "")
    return Outcome(status="failed", reason=reason, fingerprint=job.fingerprint, is_lost=True)


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _MOST_OF_A_LOG))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _stop(processes: "list[subprocess.Popen[bytes]]") -> None:
    """Ask processes to stop, wait for them, and end those that do not. A second Ctrl-C ends them at once."""
    try:
        for process in processes:
            process.terminate()
        limit = time.monotonic() + GRACE_SECONDS
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, limit - time.monotonic()))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
