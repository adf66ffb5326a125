"""A progress bar; it is shown on terminals only."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.state import TrainState


class ProgressBar(Callback):
    """A progress bar that shows steps, the loss and the best dev score.

    Args:
        total_steps: number of optimizer steps of the whole run.
        select: key of the dev score to show.
        is_shown: whether to show the bar; None = only on a terminal.
        console: where to draw the bar; None = standard error.
    """

    def __init__(
        self, total_steps: int, select: str, is_shown: bool | None = None, console: Console | None = None
    ) -> None:
        self.select = select
        self.total_steps = total_steps
        console = console or Console(stderr=True)
        shown = console.is_terminal if is_shown is None else is_shown
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=not shown)
        self._task: TaskID | None = None
        self._dev = ""

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Move the bar."""
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("training", total=self.total_steps)
        words = f"epoch {row['epoch']}  loss {row['loss']:.4f}{self._dev}"
        self._bar.update(self._task, completed=state.step, description=words)

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Show the new dev score from the next step on."""
        self._dev = f"  dev {self.select} {row['dev'][self.select]:.4f} (best {state.best_score:.4f})"

    def on_interrupt(self, state: TrainState) -> None:
        """Stop the bar; it stays visible."""
        self._bar.stop()

    def on_end(self, state: TrainState) -> None:
        """Stop the bar; it stays visible."""
        self._bar.stop()
