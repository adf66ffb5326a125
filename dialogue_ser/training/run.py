"""A whole run: corpus → features → model → loop → run directory."""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.errors import CheckpointError
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.models import resolve_options
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.ensemble import train_ensemble
from dialogue_ser.training.loop.callbacks import find_callbacks
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.rng import seed_everything
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.single import Execution, train_single

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Args:
        folder: the run directory.
        config: what it was made with.
        best_epoch: the epoch dev chose; None of an ensemble, whose members have one each.
        scores: split → metric → value: the task's headline metrics, and those that were asked for.
    """

    folder: Path
    config: RunConfig
    best_epoch: int | None
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
    corpus: Corpus | None = None,
    resume: bool = False,
    allow_mismatch: bool = False,
    progress: bool | None = None,
    store: FeatureStore | None = None,
) -> Run:
    """Trains, chooses on dev, predicts every split and leaves a self-contained run directory.

    Args:
        config: everything the run is decided by.
        out: run directory; None = ``runs/NAME``.
        corpus: taken instead of reading the one that ``config.data`` names; ``config.data.cut`` cuts it too. Such a run
            is resumed with the same corpus.
        resume: continue the run in ``out`` from its newest whole checkpoint; a finished one is only loaded,
            unless its predictions or its model are gone: then they are made again.
        allow_mismatch: resume although settings, data or versions differ.
        progress: show a progress bar; None = only on a terminal.
        store: where frozen features are kept; None = the default one.

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
    find_callbacks(config.training.callbacks)  # before anything is written or encoded
    directory.check(config, resume=resume, allow_mismatch=allow_mismatch)
    if resume and directory.is_finished and directory.has_outputs and not allow_mismatch:
        return Run.load(directory.folder)
    accelerator = make_accelerator(config.training)
    seed_everything(config.seed)
    with accelerator.main_process_first():  # the others find the features in the store
        data = load_data(config, store, corpus)
    if accelerator.is_main_process:
        for split, absent in data.absent.items():
            logger.warning(data.task.absent_note(split, absent))
    execution = Execution(
        resume=resume, allow_mismatch=allow_mismatch, progress=progress, started=started, place=directory.folder
    )
    train_it = train_single if config.training.ensemble == 1 else train_ensemble
    train_it(config, directory, data, accelerator, execution)
    return Run.load(directory.folder)
