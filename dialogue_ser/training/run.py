"""A whole run: corpus → features → model → loop → run directory."""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dialogue_ser.errors import CheckpointError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.metrics.run_files import RunFiles
from dialogue_ser.models import resolve_options
from dialogue_ser.training import outputs
from dialogue_ser.training.checkpointing import Checkpointer, judged_weights, restore
from dialogue_ser.training.config import RunConfig
from dialogue_ser.training.config_io import load_config
from dialogue_ser.training.devices import make_accelerator
from dialogue_ser.training.environment import describe_environment
from dialogue_ser.training.interrupt import Interrupted, StopRequest
from dialogue_ser.training.learner import Learner
from dialogue_ser.training.loop import fit
from dialogue_ser.training.predict import evaluation_batches, gold_labels
from dialogue_ser.training.prepare import (
    Data,
    build_learner,
    build_system,
    build_task,
    headline,
    load_data,
    make_batches,
)
from dialogue_ser.training.progress import ProgressBar
from dialogue_ser.training.rng import seed_everything
from dialogue_ser.training.run_directory import RunDirectory
from dialogue_ser.training.state import TrainState
from dialogue_ser.training.tracking import MetricsFile, WandbMirror

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Args:
        folder: the run directory.
        config: what it was made with.
        best_epoch: the epoch dev chose.
        scores: split → weighted_f1, macro_f1, accuracy, uar.
    """

    folder: Path
    config: RunConfig
    best_epoch: int
    scores: dict[str, dict[str, float]]

    @classmethod
    def load(cls, folder: Path) -> "Run":
        """A finished run from its directory.

        Raises:
            CheckpointError: it is not finished.
        """
        summary = RunFiles(folder).summary
        if not summary:
            raise CheckpointError(f"{folder}: the run is not finished; continue it with --resume")
        config = load_config(folder / "config.yaml")
        return cls(folder=folder, config=config, best_epoch=summary["best_epoch"], scores=summary["scores"])

    def classifier(self, *, trust_code: bool = False) -> DialogueClassifier:
        """The dev-selected model, ready to predict; ``trust_code`` if an encoder of your own is given by its module."""
        return DialogueClassifier.from_pretrained(self.folder / "model", trust_code=trust_code)


def train(
    config: RunConfig,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    allow_mismatch: bool = False,
    progress: bool | None = None,
) -> Run:
    """Trains, chooses on dev, predicts every split and leaves a self-contained run directory.

    Args:
        config: everything the run is decided by.
        out: run directory; None = ``runs/NAME``.
        resume: continue the run in ``out`` from its newest whole checkpoint; a finished one is only loaded.
        allow_mismatch: resume although settings, data or versions differ.
        progress: show a progress bar; None = only on a terminal.

    Raises:
        ConfigError: settings that do not fit, or a directory that already holds a run.
        CheckpointError: nothing to resume, or a checkpoint cannot be written.
        TrainingError: loss or gradient not finite.
        Interrupted: stopped by SIGTERM or Ctrl-C after a checkpoint was written.
        CorpusError, MediaError, FeatureError, MissingDataError: data or features that cannot be had.
    """
    started = time.monotonic()
    config = replace(
        config, model=replace(config.model, options=resolve_options(config.model.name, config.model.options))
    )
    directory = RunDirectory(Path(out) if out is not None else Path("runs") / config.name)
    directory.check(config, resume=resume, allow_mismatch=allow_mismatch)
    if resume and directory.is_finished and not allow_mismatch:
        return Run.load(directory.folder)
    accelerator = make_accelerator(config.training)
    seed_everything(config.seed)
    with accelerator.main_process_first():  # the others find the features in the store
        data = load_data(config)
    seed_everything(config.seed)  # again: how much randomness features took must not matter
    learner = build_learner(config, data, build_system(config, data), accelerator)
    # The first thing that is written: data, features and model that cannot be had leave no directory behind.
    _check_environment(directory, config, data, accelerator, resume=resume, allow_mismatch=allow_mismatch)
    seed_everything(config.seed, rank=accelerator.process_index)
    metrics = MetricsFile(directory.metrics if accelerator.is_main_process else None)
    try:
        state = _train(config, directory, data, learner, metrics, resume=resume, progress=progress, started=started)
    finally:
        metrics.close()
    accelerator.wait_for_everyone()
    logger.info("run %s finished: best epoch %d", directory.folder, state.best_epoch)
    return Run.load(directory.folder)


def _check_environment(
    directory: RunDirectory,
    config: RunConfig,
    data: Data,
    accelerator: Accelerator,
    *,
    resume: bool,
    allow_mismatch: bool,
) -> None:
    environment = describe_environment(
        config, data.corpus.fingerprint(), data.feature_fingerprints, accelerator.num_processes
    )
    if resume:
        directory.check_environment(environment, allow_mismatch=allow_mismatch)
    accelerator.wait_for_everyone()  # all have checked before the main process writes
    if accelerator.is_main_process:
        directory.write_config(config)
        directory.write_environment(environment)


def _train(
    config: RunConfig,
    directory: RunDirectory,
    data: Data,
    learner: Learner,
    metrics: MetricsFile,
    *,
    resume: bool,
    progress: bool | None,
    started: float,
) -> TrainState:
    """Loop, then everything that comes after it; the main process mirrors, predicts and writes."""
    is_main = learner.accelerator.is_main_process
    state = _position(directory, learner, metrics, resume=resume)
    mirror = WandbMirror(directory.folder, config.wandb) if is_main else None
    try:
        with StopRequest() as stop:
            checkpointer = Checkpointer(directory.checkpoints, learner, metrics, config.training, learner.accelerator)
            bar = ProgressBar(learner.total_steps, config.training.select, progress if is_main else False)
            is_done = fit(
                learner,
                build_task(config, data, learner, stop),
                config.training,
                state,
                [metrics, checkpointer, bar],
                stop,
            )
        if not is_done or stop.signal_number:
            raise _interrupted(stop, directory, state)
        if is_main:
            _finish(config, directory, data, learner, metrics, state, started)
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


def _interrupted(stop: StopRequest, directory: RunDirectory, state: TrainState) -> Interrupted:
    number = stop.signal_number or 15  # another rank was asked
    message = f"stopped at step {state.step}; continue with --resume {directory.folder}"
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
    label_set = data.corpus.label_set
    predictions = outputs.predict_splits(learner, data.corpus, batches, with_attention=config.save_attention)
    frame = outputs.predictions_frame(predictions, label_set.labels)
    outputs.write_predictions(directory.folder / "predictions.parquet", frame)
    outputs.write_attention(directory.folder, predictions)
    classifier = DialogueClassifier(learner.system.cpu(), label_set, data.pipelines)
    classifier.save_pretrained(directory.folder / "model")
    scores: dict[str, Any] = {}
    for split, (dialogues, predicted) in predictions.items():
        gold = gold_labels(dialogues)
        if any(label is not None for label in gold):
            scores[split] = headline(gold, predicted.predicted_N.tolist(), label_set.labels)
    metrics.write(
        {
            "kind": "summary",
            "best_epoch": state.best_epoch,
            "n_parameters": outputs.n_parameters(learner),
            "peak_memory_bytes": outputs.peak_memory_bytes(),
            "seconds": round(time.monotonic() - started, 3),
            "scores": scores,
            "masked": data.masked,
        }
    )
    metrics.sync()
