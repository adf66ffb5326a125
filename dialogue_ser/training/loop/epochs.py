"""Epochs and steps, nothing else."""

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
"""Judges the weights on dev: ``{"dev_loss": …, "dev": {score: value}}``; None when it was asked to stop on the way."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the loop works on.

    Args:
        dialogues: train.
        batches: how they are cut.
        evaluate: judges the learner's weights on dev.
        metric: the dev score that chooses, and which way it is better.
        seed: decides, with the epoch, the order.
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
    """Trains from where ``state`` stands until the last epoch, until patience runs out, or until asked to stop.

    Returns:
        True if training is done; False if it was asked to stop (``on_interrupt`` has been called).

    Raises:
        TrainingError: loss or gradient not finite.
    """
    while state.epoch <= config.epochs and not state.is_out_of_patience(config.patience):
        started = time.monotonic()
        if _train_epoch(learner, training, state, callbacks, stop):
            return _interrupted(state, callbacks)
        judged = training.evaluate()
        if judged is None:
            return _interrupted(state, callbacks)
        row: dict[str, Any] = {"kind": "epoch", "epoch": state.epoch, "step": state.step}
        row["train_loss"] = state.loss_numerator / (state.loss_denominator or 1.0)
        row |= judged
        score = _dev_score(row["dev"], training.metric)
        row["is_best"] = state.offer(score, is_better=training.metric.is_better, always=config.keep == "last")
        row["learning_rate"] = learner.optimizer.param_groups[0]["lr"]
        row["seconds"] = round(time.monotonic() - started, 3)
        state.epoch, state.step_in_epoch = state.epoch + 1, 0
        state.loss_numerator = state.loss_denominator = 0.0
        if row["is_best"]:
            state.best_checkpoint = state.checkpoint_name
        for callback in callbacks:
            callback.on_epoch(state, row)
    for callback in callbacks:
        callback.on_end(state)
    return True


def _train_epoch(
    learner: Learner, training: Training, state: TrainState, callbacks: Sequence[Callback], stop: StopRequest
) -> bool:
    """The remaining steps of the epoch under way; True if asked to stop."""
    for batches in training.batches.steps(
        training.dialogues, training.seed, state.epoch, first_step=state.step_in_epoch
    ):
        result = learner.step(batches, state.step, is_stop_requested=bool(stop.signal_number))
        state.step += 1
        state.step_in_epoch += 1
        state.loss_numerator += result.numerator
        state.loss_denominator += result.denominator
        row = {
            "kind": "step",
            "epoch": state.epoch,
            "step": state.step,
            "loss": result.loss,
            "grad_norm": result.grad_norm,
            "learning_rate": result.learning_rate,
        }
        for callback in callbacks:
            callback.on_step(state, row)
        if result.is_stop_requested:
            return True
    return False


def _dev_score(dev: Mapping[str, float | None], metric: Metric) -> float:
    value = dev.get(metric.key)
    if value is None:
        raise TrainingError(f"training.select: {metric.key} is not defined on dev, so it cannot choose; select another")
    return value


def _interrupted(state: TrainState, callbacks: Sequence[Callback]) -> bool:
    for callback in callbacks:
        callback.on_interrupt(state)
    return False
