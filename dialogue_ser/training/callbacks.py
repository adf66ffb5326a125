"""The few places where something may hook into the loop."""

from typing import Any

from dialogue_ser.training.state import TrainState


class Callback:
    """Does nothing; a subclass overrides what it needs. Callbacks are called in the order they are given."""

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """After an optimizer step; ``row`` is its line of metrics.jsonl."""

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """After an epoch was evaluated; ``state`` already points at the next epoch, ``row`` is its metrics line."""

    def on_interrupt(self, state: TrainState) -> None:
        """At the step boundary where a signal stops the run."""

    def on_end(self, state: TrainState) -> None:
        """When training is done."""
