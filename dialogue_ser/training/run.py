"""A whole run: read the corpus, make features, train the model, fill the run directory."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.errors import CheckpointError
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.models import resolve_options
from dialogue_ser.runs.lock import refuse_if_locked, run_lock
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import code_of_run, load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import Data, load_data
from dialogue_ser.training.ensemble import train_ensemble
from dialogue_ser.training.loop import devices
from dialogue_ser.training.loop.callbacks import Callback, find_callbacks
from dialogue_ser.training.loop.devices import main_first, make_accelerator
from dialogue_ser.training.loop.rng import seed_everything
from dialogue_ser.training.record.mirror.process import WandbMirror
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.single import Execution, train_single
from dialogue_ser.trust import Trust

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Args:
        folder: the run directory.
        config: its configuration.
        best_epoch: the epoch that dev chose; None for an ensemble, where each member has its own.
        scores: split → metric → value: the task's headline metrics and the metrics in ``config.metrics``.
    """

    folder: Path
    config: RunConfig
    best_epoch: int | None
    scores: dict[str, dict[str, float]]

    @classmethod
    def load(cls, folder: Path, *, trust_code: Trust = False) -> "Run":
        """Return a finished run from its directory.

        Args:
            folder: the run directory.
            trust_code: allow code that its config.yaml names, see
                :func:`~dialogue_ser.training.config.files.load_config`. Nothing is imported here, but ``config`` could
                be given to :func:`train`.

        Raises:
            CheckpointError: the run is not finished.
            ConfigError: its config.yaml names code that is not trusted.
        """
        summary = RunFiles(folder).summary
        if not summary:
            raise CheckpointError(f"{folder}: the run is not finished; continue it with --resume")
        config = load_config(folder / "config.yaml", trust_code=trust_code)
        return cls(folder=folder, config=config, best_epoch=summary["best_epoch"], scores=summary["scores"])

    def classifier(self, *, trust_code: Trust = False) -> DialogueClassifier:
        """Return the model that dev chose, ready to predict.

        Args:
            trust_code: allow the model to import your own encoders (``package.module:function``), see
                :meth:`DialogueClassifier.from_pretrained`. Set it only if you trust their code.
        """
        return DialogueClassifier.from_pretrained(self.folder / "model", trust_code=trust_code)


def train(
    config: RunConfig,
    out: Path | str | None = None,
    *,
    corpus: Corpus | None = None,
    resume: bool = False,
    allow_mismatch: bool = False,
    progress: bool | None = None,
    store: FeatureStore | None = None,
    on_environment: Callable[[Mapping[str, Any]], None] | None = None,
    complete: Callable[[Path], object] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Train a model, choose its epoch on dev, predict every split and write all results into one run directory.

    Args:
        config: all settings of the run.
        out: run directory; None = ``runs/NAME``.
        corpus: use this corpus instead of reading the one in ``config.data``; ``config.data.cut`` is applied to it. To
            resume such a run, give the same corpus again.
        resume: continue the run in ``out`` from its newest complete checkpoint. A finished run is only loaded; if its
            predictions or its model were deleted or cut off, they are made again.
        allow_mismatch: resume even if settings, data or versions are different from those of the run.
        progress: whether to show a progress bar; None = only on a terminal.
        store: feature store for the features of frozen encoders; None = the default store.
        on_environment: is called once with the content of environment.json, when the data are loaded and nothing is
            written yet. An error that it raises ends the run.
        complete: called with the run directory when the training is done, in the main process. What it writes there,
            e.g. scores and a report, is sent to W&B too.
        callbacks: called after those that ``config.training.callbacks`` names. They are no part of the configuration.

    Raises:
        ConfigError: wrong settings, or the directory already holds a run, or another process is writing in it.
        CheckpointError: there is nothing to resume, or a checkpoint cannot be written.
        TrainingError: the loss or the gradient is not finite.
        Interrupted: SIGTERM or Ctrl-C stopped the run after a checkpoint was written.
        CorpusError, MediaError, FeatureError, MissingDataError: the data or features cannot be read or made.
    """
    started = time.monotonic()
    options = resolve_options(config.model.name, config.model.options)
    config = replace(config, model=replace(config.model, options=options))
    directory = RunDirectory(Path(out) if out is not None else Path("runs") / config.name)
    finished = _finished_run(directory, config, resume=resume, allow_mismatch=allow_mismatch)
    if finished is not None:
        if complete is not None and devices.is_main_process():
            complete(directory.folder)
        return finished
    find_callbacks(config.training.callbacks)  # an unknown name is an error before anything is written or encoded
    accelerator = make_accelerator(config.training)
    data = _load_data(config, accelerator, store, corpus)
    mirror = WandbMirror(directory.folder, config.wandb) if accelerator.is_main_process else None
    execution = Execution(
        resume=resume,
        allow_mismatch=allow_mismatch,
        progress=progress,
        started=started,
        run_folder=directory.folder,
        on_environment=on_environment,
        mirror=mirror,
        callbacks=tuple(callbacks),
    )
    train_models = train_single if config.training.ensemble == 1 else train_ensemble
    with mirror or nullcontext():
        with run_lock(directory.folder) if accelerator.is_main_process else nullcontext():
            if accelerator.is_main_process:  # another process may have started a run here while the data were read
                directory.check(config, resume=resume, allow_mismatch=allow_mismatch)
            train_models(config, directory, data, accelerator, execution)
        if complete is not None and devices.is_main_process():
            complete(directory.folder)
    return Run.load(directory.folder, trust_code=code_of_run(config))


def _finished_run(directory: RunDirectory, config: RunConfig, *, resume: bool, allow_mismatch: bool) -> Run | None:
    """Check the directory. Return the run in it if it is to be resumed, but is finished and complete.

    Raises:
        ConfigError, CheckpointError: no run may be started or resumed here.
    """
    refuse_if_locked(directory.folder)
    directory.check(config, resume=resume, allow_mismatch=allow_mismatch)
    if not resume or not directory.is_finished:
        return None
    if directory.has_outputs:
        return None if allow_mismatch else Run.load(directory.folder, trust_code=code_of_run(config))
    problem = "the run is finished, but its predictions or its model are missing or damaged; they are made again"
    logger.warning("%s: %s", directory.folder, problem)
    return None


def _load_data(config: RunConfig, accelerator: Accelerator, store: FeatureStore | None, corpus: Corpus | None) -> Data:
    """Return the data of the run; warn about what is odd in the corpus, and about classes that a split lacks."""
    seed_everything(config.seed)
    with main_first(accelerator):  # the other processes then find the features in the store
        data = load_data(config, store, corpus, with_warnings=accelerator.is_main_process)
    if accelerator.is_main_process:
        for split, absent in data.absent.items():
            logger.warning(data.task.absent_note(split, absent))
    return data
