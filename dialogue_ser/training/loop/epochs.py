"""The training loop: epochs and steps."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import TrainingError
from dialogue_ser.metrics.table import Metric
from dialogue_ser.training.config.run_config import TrainingConfig
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.interrupt import StopRequest
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.state import TrainState

Evaluate = Callable[[], "dict[str, Any] | None"]
"""Evaluates the weights on dev: ``{"dev_loss": …, "dev": {metric: value}}``; None if a signal stopped it.

With ``training.protocol: legacy-test-peek`` the result also has ``test_loss`` and ``test``."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The data of the loop and the evaluation on dev.

    Args:
        dialogues: dialogues of train.
        batches: makes the batches.
        evaluate: evaluates the learner's weights on dev.
        metric: metric on dev that chooses the best epoch; it knows whether higher or lower is better.
        seed: together with the epoch's number, it decides the order of the dialogues.
    """

    dialogues: Sequence[Dialogue]
    batches: Batches
    evaluate: Evaluate
    metric: Metric
    seed: int


def fit(
    learner: Learner,
    training: Training,
    config: TrainingConfig,
    state: TrainState,
    callbacks: Sequence[Callback],
    stop: StopRequest,
) -> bool:
    """Train from the position in ``state`` until the last epoch, until patience runs out, or until a signal stops it.

    Args:
        learner: makes the steps.
        training: the data and the evaluation on dev.
        config: number of epochs, patience, and which weights to keep.
        state: position of the run; it is changed.
        callbacks: called after each step and epoch, and at the end.
        stop: says whether a signal has asked to stop.

    Returns:
        True if training is done; False if a signal stopped it (``on_interrupt`` has been called).

    Raises:
        TrainingError: the loss or the gradient is not finite.
    """
    while state.epoch <= config.epochs and not state.is_out_of_patience(config.patience):
        started = time.monotonic()
        is_stopped = _train_epoch(learner, training, state, callbacks, stop)
        evaluation = None if is_stopped else training.evaluate()
        if evaluation is None:
            for callback in callbacks:
                callback.on_interrupt(state)
            return False
        row: dict[str, Any] = {"kind": "epoch", "epoch": state.epoch, "step": state.step}
        row["train_loss"] = state.loss_numerator / (state.loss_denominator or 1.0)
        row |= _auxiliary(state.auxiliary) | evaluation
        score = _dev_score(row["dev"], training.metric)
        row["is_best"] = state.note_score(score, is_better=training.metric.is_better, always=config.keep == "last")
        row["learning_rate"] = learner.learning_rate_of(max(state.step - 1, 0))
        row["seconds"] = round(time.monotonic() - started, 3)
        state.start_next_epoch(is_best=row["is_best"])
        for callback in callbacks:
            callback.on_epoch(state, row)
    for callback in callbacks:
        callback.on_end(state)
    return True


def _train_epoch(
    learner: Learner, training: Training, state: TrainState, callbacks: Sequence[Callback], stop: StopRequest
) -> bool:
    """Make the remaining steps of the current epoch; return True if a signal asked to stop."""
    for batches in training.batches.steps(
        training.dialogues, training.seed, state.epoch, first_step=state.step_in_epoch
    ):
        result = learner.step(batches, state.step, is_stop_requested=bool(stop.signal_number))
        state.step += 1
        state.step_in_epoch += 1
        state.add_losses(result.numerator, result.denominator, result.auxiliary)
        row = {
            "kind": "step",
            "epoch": state.epoch,
            "step": state.step,
            "loss": result.loss,
            "grad_norm": result.grad_norm,
            "learning_rate": result.learning_rate,
            **_auxiliary(result.auxiliary),
        }
        for callback in callbacks:
            callback.on_step(state, row)
        if result.is_stop_requested:
            return True
    return False


def _auxiliary(sums: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return what a line of metrics.jsonl says about the auxiliary losses: name → mean; nothing if there are none."""
    means = {name: value / count if count else 0.0 for name, (value, count) in sums.items()}
    return {"auxiliary": means} if means else {}


def _dev_score(dev: Mapping[str, float | None], metric: Metric) -> float:
    """Return the dev score that chooses the epoch; raise TrainingError if it is not defined."""
    value = dev.get(metric.key)
    if value is None:
        raise TrainingError(
            f"training.select: {metric.key} is not defined on dev, so it cannot choose an epoch; select another metric"
        )
    return value
