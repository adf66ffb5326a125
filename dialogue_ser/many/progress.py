"""The progress of many jobs: a bar on a terminal, plain lines elsewhere, with the time that is probably left."""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.many.jobs import Outcome

_SECONDS_BETWEEN_LINES = 60.0


class Progress(Protocol):
    """The interface of what shows progress. It is a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, total: int | None, finished: int) -> None:
        """Note how many jobs there are (None = nobody knows) and how many of them were finished before."""
        ...

    def done_before(self, number: int) -> None:
        """Note how many jobs were finished before or by other processes."""
        ...

    def started(self, key: str) -> None:
        """Note that a job has begun."""
        ...

    def ended(self, key: str, outcome: Outcome) -> None:
        """Note that a job has ended."""
        ...

    def tick(self, fractions: Mapping[str, float]) -> None:
        """Note how much of each running job is done. This is called several times in a second."""
        ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, total: int | None, finished: int) -> None:
        """Do nothing."""

    def done_before(self, number: int) -> None:
        """Do nothing."""

    def started(self, key: str) -> None:
        """Do nothing."""

    def ended(self, key: str, outcome: Outcome) -> None:
        """Do nothing."""

    def tick(self, fractions: Mapping[str, float]) -> None:
        """Do nothing."""


class Shown(Silent):
    """A bar if the stream is a terminal; otherwise one line for every job that ends, and one line in a minute.

    Args:
        title: what the jobs are, e.g. ``runs``.
        stream: where it is shown; None = standard error.
        clock: seconds that pass.
        result: function that says in words what came of a finished job; None = nothing is said about it.
    """

    def __init__(
        self,
        title: str = "runs",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        result: Callable[[Outcome], str] | None = None,
    ) -> None:
        self._title, self._stream, self._clock = title, stream or sys.stderr, clock
        self._result, self._are = result, "are finished" if result is None else "have ended"
        self._total: int | None = 0
        self._before = self._ended = self._failed = 0
        self._fractions: Mapping[str, float] = {}
        self._started = self._last_line = clock()
        self._bar = _bar(self._stream) if self._stream.isatty() else None
        self._task = None if self._bar is None else self._bar.add_task(title, total=None, left="", running="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, total: int | None, finished: int) -> None:
        """Note how many jobs there are; say it if some were finished before."""
        self._total, self._before, self._started = total, finished, self._clock()
        if finished:
            of_all = "" if total is None else f" of {total}"
            self._print(f"{finished}{of_all} {self._title} {self._are} already")

    def done_before(self, number: int) -> None:
        """Note how many jobs were finished before or by other processes."""
        self._before = number

    def ended(self, key: str, outcome: Outcome) -> None:
        """Show a line about a job that has ended."""
        self._ended += 1
        self._failed += outcome.status != "finished"
        first = outcome.reason.partition("\n")[0]
        how = f"{outcome.status.upper()}: {first}"
        if outcome.status == "finished":
            result = self._result(outcome) if self._result is not None else ""
            how = f"{result}{', ' if result else ''}{outcome.seconds:.0f} s"
        of_all = "" if self._total is None else f"/{self._total}"
        self._print(f"[{self._before + self._ended}{of_all}] {key}: {how}{self._left_text()}")

    def tick(self, fractions: Mapping[str, float]) -> None:
        """Draw the bar, or show a line if the last one is a minute old."""
        self._fractions = fractions
        if self._bar is not None and self._task is not None:
            done = self._before + self._ended + sum(fractions.values())
            running = ", ".join(visible(f"{key} {share:.0%}") for key, share in fractions.items())
            left = self._left_text().removeprefix(", ")
            self._bar.update(self._task, completed=done, total=self._total, left=left, running=running)
        elif self._clock() - self._last_line >= _SECONDS_BETWEEN_LINES and fractions:
            running = ", ".join(f"{key} {share:.0%}" for key, share in fractions.items())
            of_all = "" if self._total is None else f" of {self._total}"
            self._print(f"{self._before + self._ended}{of_all} done; now {running}{self._left_text()}")

    def seconds_left(self) -> float | None:
        """Return the time that is probably left, if all jobs take equally long; None while nothing is known."""
        work = self._ended + sum(self._fractions.values())
        passed = self._clock() - self._started
        if self._total is None or work < 0.02 or passed <= 0:
            return None
        return passed / work * max(0.0, self._total - self._before - work)

    def _left_text(self) -> str:
        left = self.seconds_left()
        if left is None or self._total is None or self._before + self._ended >= self._total:
            return ""
        return f", about {duration(max(left, 1.0))} left"

    def _print(self, line: str) -> None:
        self._last_line = self._clock()
        if self._bar is not None:
            self._bar.console.print(visible(line), markup=False, highlight=False)
        else:
            print(visible(line), file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(8), duration(95), duration(7260)
    ('8 s', '2 min', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[running]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )
