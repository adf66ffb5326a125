"""Do many jobs: skip those that are finished, do the others, go on when one fails, and show the progress."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from dialogue_ser.many.engines import InProcess, JobEngine
from dialogue_ser.many.jobs import Job, Outcome, finished_outcome
from dialogue_ser.many.progress import Progress, Silent


def run_many(
    jobs: Sequence[Job],
    folder: Path,
    engine: JobEngine | None = None,
    progress: Progress | None = None,
    *,
    raises: bool = False,
) -> dict[str, Outcome]:
    """Do every job that is not finished, and return the outcome of all.

    ``folder/jobs`` gets a record of every job, ``folder/logs`` what the processes print. A job whose record says that
    it is finished, with the same fingerprint, is not repeated. A job that failed or was stopped is done again by the
    next call; its target continues what it finds.

    Args:
        jobs: the jobs. Their keys must differ.
        folder: folder of the records and logs. The caller holds its lock.
        engine: where the jobs are done; None = in this process.
        progress: shows the progress; None = nothing is shown.
        raises: raise the exception of the first job that fails in this process, and do no further job.

    Raises:
        KeyboardInterrupt, SystemExit: Ctrl-C or SIGTERM. The running jobs were stopped; the same call continues them.
    """
    if len({job.key for job in jobs}) < len(jobs):
        raise ValueError("two jobs have the same key")
    done = {job.key: outcome for job in jobs if (outcome := finished_outcome(folder, job)) is not None}
    open_jobs = [job for job in jobs if job.key not in done]
    outcomes = dict(done)

    def note(job: Job, outcome: Outcome) -> None:
        outcomes[job.key] = outcome
        shown.ended(job.key, outcome)
        if raises and outcome.error is not None:
            raise outcome.error

    with progress or Silent() as shown, sigterm_ends():
        shown.begin(len(jobs), len(done))
        do_jobs(open_jobs, folder, engine or InProcess(), shown, note)
    return {job.key: outcomes[job.key] for job in jobs}


def do_jobs(
    jobs: Iterable[Job],
    folder: Path,
    engine: JobEngine,
    shown: Progress,
    ended: Callable[[Job, Outcome], None],
    tick: Callable[[], None] | None = None,
) -> None:
    """Do jobs as they come. The next job is asked for when there is room for it, so it may depend on those before.

    Args:
        jobs: the jobs. An iterator that has no job at this moment may have one again after another job has ended.
        folder: folder of the records and logs. The caller holds its lock.
        engine: where the jobs are done.
        shown: shows the progress.
        ended: called with each job that has ended.
        tick: called several times in a second.
    """
    running: dict[str, Job] = {}
    with closing(engine.events(jobs, folder)) as events:
        for event in events:
            if event is not None:
                job, outcome = event
                if outcome is None:
                    running[job.key] = job
                    shown.started(job.key)
                else:
                    del running[job.key]
                    ended(job, outcome)
            if tick is not None:
                tick()
            shown.tick(_fractions(running))


def failures(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """Return key → reason of every job that is not finished."""
    return {key: one.reason or one.status for key, one in outcomes.items() if one.status != "finished"}


def _fractions(running: Mapping[str, Job]) -> dict[str, float]:
    """Return key → how much of a running job is done."""
    return {key: 0.0 if job.fraction is None else job.fraction() for key, job in running.items()}


@contextmanager
def sigterm_ends() -> Iterator[None]:
    """While the context is open, SIGTERM raises SystemExit(143), so that the running jobs are stopped in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> Any:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
