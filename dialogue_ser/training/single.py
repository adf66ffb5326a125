"""Train one model on loaded data and fill its run directory."""

import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator

from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.metrics.predictions import predictions_of
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.files import resume_command
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import Data, balanced, dev_metrics, metric_key
from dialogue_ser.training.loop.callbacks import Callback, make_callbacks
from dialogue_ser.training.loop.devices import is_true_anywhere, wait_for_all
from dialogue_ser.training.loop.epochs import fit
from dialogue_ser.training.loop.interrupt import Interrupted, StopRequest
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.predict import evaluation_batches
from dialogue_ser.training.loop.progress import ProgressBar
from dialogue_ser.training.loop.rng import seed_everything
from dialogue_ser.training.loop.setup import (
    build_learner,
    build_system,
    build_training,
    make_batches,
    peek_split,
    values_of,
)
from dialogue_ser.training.loop.state import TrainState
from dialogue_ser.training.record import outputs
from dialogue_ser.training.record.attention_file import AttentionFile
from dialogue_ser.training.record.checkpoint import Checkpoint, CheckpointFolder
from dialogue_ser.training.record.checkpointing import (
    Checkpointer,
    check_metrics,
    check_nothing_is_lost,
    evaluated_weights,
    restore,
)
from dialogue_ser.training.record.environment import describe_environment
from dialogue_ser.training.record.manifest import RunIdentity
from dialogue_ser.training.record.mirror.process import WandbMirror
from dialogue_ser.training.record.peek import peek_of
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.record.tracking import MetricsFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is executed. None of this changes its results.

    Args:
        resume: continue from the newest complete checkpoint.
        allow_mismatch: resume even if settings, data or versions are different from those of the run.
        progress: whether to show a progress bar; None = only on a terminal.
        started: ``time.monotonic()`` at the start of the run.
        run_folder: the run directory to resume, for the message of a stopped run. For a member of an ensemble it is the
            directory of the whole run.
        on_environment: is called with the content of environment.json before anything is written. An error that it
            raises ends the run.
        mirror: sends the run to W&B; None in all processes except the main one.
        callbacks: called after those that the configuration names.
    """

    resume: bool
    allow_mismatch: bool
    progress: bool | None
    started: float
    run_folder: Path
    on_environment: Callable[[Mapping[str, Any]], None] | None = None
    mirror: WandbMirror | None = None
    callbacks: tuple[Callback, ...] = ()


def train_single(
    config: RunConfig, directory: RunDirectory, data: Data, accelerator: Accelerator, execution: Execution
) -> None:
    """Train one model, predict every split with it and fill its run directory.

    Args:
        config: configuration of this model.
        directory: run directory of this model, already checked.
        data: data of the run, before balancing.
        accelerator: an accelerator that no other model has used, because it keeps the loss scale of fp16.
        execution: how the run is executed, e.g. whether it is resumed.

    Raises:
        ConfigError, CheckpointError, TrainingError, Interrupted: as :func:`~dialogue_ser.training.run.train`.
    """
    data = balanced(config, data)
    seed_everything(config.seed)  # the random numbers that were drawn before must not matter
    if config.training.protocol != "dev":
        peek_split(config, data)  # an error leaves no directory behind
    learner = build_learner(config, data, build_system(config, data), accelerator)
    user_callbacks = [*make_callbacks(config.training.callbacks), *execution.callbacks]
    # Write to the directory only now: errors in data, features, model or callbacks leave no directory behind.
    identity = record_configuration(config, directory, data, accelerator, execution)
    checkpoints = directory.checkpoints_of(identity)
    seed_everything(config.seed, rank=accelerator.process_index)
    metrics = MetricsFile(directory.metrics if accelerator.is_main_process else None)
    try:
        state = _train_and_finish(config, directory, checkpoints, data, learner, metrics, user_callbacks, execution)
    finally:
        metrics.close()
    wait_for_all(accelerator)
    logger.info("run %s finished: best epoch %d", directory.folder, state.best_epoch)


def record_configuration(
    config: RunConfig, directory: RunDirectory, data: Data, accelerator: Accelerator, execution: Execution
) -> RunIdentity:
    """Write config.yaml and environment.json; if the run is resumed, first check that its environment is the same.

    Returns:
        what ties checkpoints to this run.

    Raises:
        CheckpointError: it is not clear whether the checkpoints belong to the resumed run.
        ConfigError: data, versions or the machine differ from those of the resumed run. The error names every
            difference.
    """
    environment = describe_environment(
        config,
        data.task.fingerprint(data.corpus),
        data.feature_fingerprints,
        accelerator.num_processes,
    )
    if execution.on_environment is not None:
        execution.on_environment(environment)
    if execution.resume:
        directory.check_environment(environment, allow_mismatch=execution.allow_mismatch)
    identity = directory.identity(config, resume=execution.resume, allow_mismatch=execution.allow_mismatch)
    wait_for_all(accelerator)  # the main process writes after all processes have checked
    if accelerator.is_main_process:
        directory.write_config(config)
        directory.write_environment(environment, identity)
    return identity


def scores_of(config: RunConfig, task: Task, frame: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Return the scores of a table of predictions: split → metric → value, for every split with gold labels."""
    predictions, metrics = predictions_of(frame), dev_metrics(config, task)
    return {
        name: values_of(split, metrics) for name in predictions.splits if (split := predictions.split(name)).has_gold
    }


def _train_and_finish(
    config: RunConfig,
    directory: RunDirectory,
    checkpoints: CheckpointFolder,
    data: Data,
    learner: Learner,
    metrics: MetricsFile,
    user_callbacks: Sequence[Callback],
    execution: Execution,
) -> TrainState:
    """Run the training loop, then predict and write the results; only the main process does the latter."""
    is_main = learner.accelerator.is_main_process
    state = _load_position(directory, checkpoints, learner, metrics, execution)
    if execution.mirror is not None:
        execution.mirror.start()
    with StopRequest() as stop:
        checkpointer = Checkpointer(checkpoints, learner, metrics, config.training, learner.accelerator)
        select = metric_key(str(config.training.select))
        bar = ProgressBar(learner.total_steps, select, execution.progress if is_main else False)
        is_done = fit(
            learner,
            build_training(config, data, learner, stop),
            config.training,
            state,
            [metrics, checkpointer, bar, *user_callbacks],
            stop,
        )
    # All processes decide together: a signal may reach one of them later than the others.
    if not is_done or is_true_anywhere(learner.accelerator, bool(stop.signal_number)):
        raise _interruption(stop, execution.run_folder, config, state)
    if is_main:
        if state.best_checkpoint is not None:
            best = checkpoints.load(state.best_checkpoint)
            learner.system.load_state_dict(evaluated_weights(best))
        _finish(config, directory, data, learner, metrics, state, execution.started)
    return state


def _load_position(
    directory: RunDirectory,
    checkpoints: CheckpointFolder,
    learner: Learner,
    metrics: MetricsFile,
    execution: Execution,
) -> TrainState:
    """Restore the newest usable checkpoint if the run is resumed; return the position to train from.

    Raises:
        CheckpointError: no checkpoint can be used, or all are gone although the run had got further than its first
            epoch. metrics.jsonl is not changed then.
    """

    def check(checkpoint: Checkpoint) -> None:
        check_metrics(checkpoint, directory.metrics, allow_mismatch=execution.allow_mismatch)

    checkpoint = checkpoints.load_newest(check) if execution.resume else None
    if execution.resume and checkpoint is None:
        check_nothing_is_lost(directory.folder)
        logger.warning("%s: there is no complete checkpoint yet; the run starts from its beginning", directory.folder)
    wait_for_all(learner.accelerator)  # metrics.jsonl is cut after all processes have read it
    if checkpoint is not None:
        return restore(checkpoint, learner, metrics, learner.accelerator)
    metrics.truncate(0)
    return TrainState()


def _interruption(stop: StopRequest, run_folder: Path, config: RunConfig, state: TrainState) -> Interrupted:
    """Return the exception of a stopped run, and log how to continue it."""
    number = stop.signal_number or signal.SIGTERM.value  # without a number, the signal went to another process
    message = f"stopped at step {state.step}; continue with {resume_command(run_folder, config)}"
    logger.warning(message)
    return Interrupted(number, message)


def _peek(config: RunConfig, directory: RunDirectory, data: Data, state: TrainState) -> dict[str, Any]:
    """Return what the summary says about the epoch that test would have chosen; nothing with the protocol dev."""
    if config.training.protocol == "dev":
        return {}
    metric = dev_metrics(config, data.task)[metric_key(str(config.training.select))]
    epochs = RunFiles(directory.folder).epochs
    return {"legacy_test_peek": peek_of(epochs, metric, peek_split(config, data), state.best_epoch)}


def _finish(
    config: RunConfig,
    directory: RunDirectory,
    data: Data,
    learner: Learner,
    metrics: MetricsFile,
    state: TrainState,
    started: float,
) -> None:
    """Predict every split with the weights that dev chose; write predictions, attention, model and summary."""
    batches = evaluation_batches(replace(make_batches(config, data, learner.accelerator), rank=0, n_ranks=1))
    with AttentionFile(directory.folder, config.attention_turns) as attention:
        predictions = outputs.predict_splits(
            learner, data.corpus, batches, attention if config.save_attention else None
        )
        frame = outputs.predictions_frame(predictions, data.task)
        outputs.write_predictions(directory.folder / "predictions.parquet", frame)
        attention.write()
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
            **_peek(config, directory, data, state),
        }
    )
    metrics.sync()
