"""The progress of encoding: a bar with rate and remaining time on a terminal, or a function of the user."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dialogue_ser.features.core.api import UtteranceEncoder

Progress = Callable[[int, int], None]


class EncodingProgress:
    """A progress function that counts utterances and can draw a bar. It is a context manager.

    Args:
        title: text before the bar.
        is_shown: whether the bar is drawn; None = if standard error is a terminal.

    Attributes:
        n_done: number of utterances encoded so far.
        n_total: number of utterances to encode; 0 until the store has found some.

    >>> with EncodingProgress("text: minilm", is_shown=False) as progress:
    ...     progress(2, 5)
    >>> progress.n_done, progress.n_total
    (2, 5)
    """

    def __init__(self, title: str, *, is_shown: bool | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        shown = sys.stderr.isatty() if is_shown is None else is_shown
        self.n_done = self.n_total = 0
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not shown,
        )
        self._task = self._bar.add_task(title, total=None, rate="")

    @property
    def seconds(self) -> float:
        """The time since this object was made, in seconds."""
        return time.monotonic() - self._started

    def __enter__(self) -> "EncodingProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Note that ``done`` of ``total`` utterances are encoded, and draw the bar again."""
        self.n_done, self.n_total = done, total
        task = next(task for task in self._bar.tasks if task.id == self._task)
        rate = f"{task.speed:.1f}/s" if task.speed else ""  # the mean of the last half minute
        self._bar.update(self._task, completed=done, total=total, rate=rate)


@contextmanager
def progress_reporter(
    progress: Progress | bool | None, encoder: UtteranceEncoder, total: int, *, runs_in_process: bool
) -> Iterator[Callable[[int], None]]:
    """Yield a function. Call it with the number of utterances that have just been encoded.

    An encoder with ``on_progress`` that runs in this process reports by itself; the yielded function then does nothing.

    Args:
        progress: function of (done, total); True = a bar, False = nothing, None = a bar if stderr is a terminal.
        encoder: the encoder whose progress is shown.
        total: number of utterances to encode.
        runs_in_process: whether the encoder runs in this process.
    """
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda n: None
        return
    if progress is True or progress is None:
        title = f"{encoder.modality}: {encoder.name}"
        with (
            EncodingProgress(title, is_shown=True) as bar,
            progress_reporter(bar, encoder, total, runs_in_process=runs_in_process) as inner,
        ):
            yield inner
        return
    show = progress
    done = 0

    def report(n: int) -> None:
        nonlocal done
        done = min(done + n, total)
        show(done, total)

    if not (runs_in_process and getattr(encoder, "reports_progress", False)):
        yield report
        return
    encoder.on_progress = report  # type: ignore[attr-defined]
    try:
        yield lambda n: None
    finally:
        encoder.on_progress = None  # type: ignore[attr-defined]
