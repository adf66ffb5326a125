"""One model of a run: trained on data that are loaded, with everything it leaves in its directory."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from accelerate import Accelerator

from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.metrics.predictions import predictions_of
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import Data, balanced, dev_metrics, metric_key
from dialogue_ser.training.loop.callbacks import Callback, own_callbacks
from dialogue_ser.training.loop.epochs import fit
from dialogue_ser.training.loop.interrupt import Interrupted, StopRequest
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.predict import evaluation_batches
from dialogue_ser.training.loop.progress import ProgressBar
from dialogue_ser.training.loop.rng import seed_everything
from dialogue_ser.training.loop.setup import build_learner, build_system, build_training, make_batches, values_of
from dialogue_ser.training.loop.state import TrainState
from dialogue_ser.training.record import outputs
from dialogue_ser.training.record.checkpointing import Checkpointer, judged_weights, restore
from dialogue_ser.training.record.environment import describe_environment
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.record.tracking import MetricsFile, WandbMirror

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is gone about; changes none of its numbers.

    Args:
        resume: continue from the newest whole checkpoint.
        allow_mismatch: although settings, data or versions differ.
        progress: show a progress bar; None = only on a terminal.
        started: ``time.monotonic()`` from which its seconds are counted.
        place: the directory to resume, as a stopped run says it; of a member that of the whole run.
    """

    resume: bool
    allow_mismatch: bool
    progress: bool | None
    started: float
    place: Path


def train_single(
    config: RunConfig, directory: RunDirectory, data: Data, accelerator: Accelerator, execution: Execution
) -> None:
    """Trains one model, predicts every split with it and fills its run directory.

    Args:
        config: of this model.
        directory: its own, already checked.
        data: of the run.
        accelerator: a new one: it carries the scale of fp16.
        execution: whether to resume, and the like.

    Raises:
        ConfigError, CheckpointError, TrainingError, Interrupted: as :func:`~dialogue_ser.training.run.train`.
    """
    data = balanced(config, data)
    seed_everything(config.seed)  # how much randomness came before must not matter
    learner = build_learner(config, data, build_system(config, data), accelerator)
    own = own_callbacks(config.training.callbacks)
    # The first thing that is written: data, features, model and callbacks that cannot be had leave no directory behind.
    begin(config, directory, data, accelerator, execution)
    seed_everything(config.seed, rank=accelerator.process_index)
    metrics = MetricsFile(directory.metrics if accelerator.is_main_process else None)
    try:
        state = _train(config, directory, data, learner, metrics, own, execution)
    finally:
        metrics.close()
    accelerator.wait_for_everyone()
    logger.info("run %s finished: best epoch %d", directory.folder, state.best_epoch)


def begin(
    config: RunConfig, directory: RunDirectory, data: Data, accelerator: Accelerator, execution: Execution
) -> None:
    """Writes what the run is made with, or refuses to continue one that was made with something else.

    Raises:
        ConfigError: every difference.
    """
    environment = describe_environment(
        config,
        data.task.fingerprint(data.corpus),
        data.feature_fingerprints,
        accelerator.num_processes,
    )
    if execution.resume:
        directory.check_environment(environment, allow_mismatch=execution.allow_mismatch)
    accelerator.wait_for_everyone()  # all have checked before the main process writes
    if accelerator.is_main_process:
        directory.write_config(config)
        directory.write_environment(environment)


def scores_of(config: RunConfig, task: Task, frame: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Split → scores of a table of predictions as metrics.jsonl carries them, for every split with gold."""
    predictions, metrics = predictions_of(frame), dev_metrics(config, task)
    return {
        name: values_of(split, metrics) for name in predictions.splits if (split := predictions.split(name)).has_gold
    }


def _train(
    config: RunConfig,
    directory: RunDirectory,
    data: Data,
    learner: Learner,
    metrics: MetricsFile,
    own: Sequence[Callback],
    execution: Execution,
) -> TrainState:
    """Loop, then everything that comes after it; the main process mirrors, predicts and writes."""
    is_main = learner.accelerator.is_main_process
    state = _position(directory, learner, metrics, resume=execution.resume)
    mirror = WandbMirror(directory.folder, config.wandb) if is_main else None
    try:
        with StopRequest() as stop:
            checkpointer = Checkpointer(directory.checkpoints, learner, metrics, config.training, learner.accelerator)
            select = metric_key(str(config.training.select))
            bar = ProgressBar(learner.total_steps, select, execution.progress if is_main else False)
            is_done = fit(
                learner,
                build_training(config, data, learner, stop),
                config.training,
                state,
                [metrics, checkpointer, bar, *own],
                stop,
            )
        if not is_done or stop.signal_number:
            raise _interrupted(stop, execution.place, state)
        if is_main:
            _finish(config, directory, data, learner, metrics, state, execution.started)
        if mirror is not None:
            mirror.finish()
    except BaseException:
        if mirror is not None:
            mirror.abandon()
        raise
    return state


def _position(directory: RunDirectory, learner: Learner, metrics: MetricsFile, *, resume: bool) -> TrainState:
    """Where to go on: the newest whole checkpoint, or the beginning."""
    checkpoint = directory.checkpoints.load_newest() if resume else None
    if checkpoint is not None:
        return restore(checkpoint, learner, metrics, learner.accelerator)
    if resume:
        logger.warning("%s: no whole checkpoint yet; the run starts from its beginning", directory.folder)
    metrics.truncate(0)
    return TrainState()


def _interrupted(stop: StopRequest, place: Path, state: TrainState) -> Interrupted:
    number = stop.signal_number or 15  # another rank was asked
    message = f"stopped at step {state.step}; continue with dialogue-ser train --resume {place}"
    logger.warning(message)
    return Interrupted(number, message)


def _finish(
    config: RunConfig,
    directory: RunDirectory,
    data: Data,
    learner: Learner,
    metrics: MetricsFile,
    state: TrainState,
    started: float,
) -> None:
    """Loads the weights dev chose, predicts every split, writes predictions, attention, model and the summary line."""
    if state.best_checkpoint is not None:
        learner.system.load_state_dict(judged_weights(directory.checkpoints.load(state.best_checkpoint)))
    batches = evaluation_batches(replace(make_batches(config, data, learner.accelerator), rank=0, n_ranks=1))
    predictions = outputs.predict_splits(learner, data.corpus, batches, with_attention=config.save_attention)
    frame = outputs.predictions_frame(predictions, data.task)
    outputs.write_predictions(directory.folder / "predictions.parquet", frame)
    outputs.write_attention(directory.folder, predictions)
    classifier = DialogueClassifier(learner.system.cpu(), data.task, data.pipelines)
    classifier.save_pretrained(directory.folder / "model")
    metrics.write(
        {
            "kind": "summary",
            "best_epoch": state.best_epoch,
            "select": metric_key(str(config.training.select)),
            "n_parameters": outputs.n_parameters(learner),
            "peak_memory_bytes": outputs.peak_memory_bytes(),
            "seconds": round(time.monotonic() - started, 3),
            "scores": scores_of(config, data.task, frame),
            "masked": data.masked,
            **({"absent": data.absent} if data.absent else {}),
            **({"balance": data.balance} if data.balance else {}),
        }
    )
    metrics.sync()
