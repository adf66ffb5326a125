"""Run one fold of a cross-validation: fit on train, choose on dev, predict dev and test.

A fold is a job (:mod:`~dialogue_ser.many`). Its folder keeps what the whole cross-validation needs of it, so that a
finished fold is not repeated.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from dialogue_ser.corpus.cut import all_dialogues, folder_name, select_turns
from dialogue_ser.corpus.protocols import PARTS, Fold
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.metrics.predictions import read_predictions
from dialogue_ser.tasks import find_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.estimators.fitting import fit_estimator, predict_stored
from dialogue_ser.training.estimators.linear_fits import EstimatorSettings
from dialogue_ser.training.record.outputs import write_predictions
from dialogue_ser.training.run import train

SCORED = ("dev", "test")
#: File in the folder of a fold: the predictions of dev and test, with the ids of the corpus.
PREDICTIONS = "fold.parquet"


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """The result of one fold.

    Args:
        fold: the fold.
        frame: predictions of dev and test, with the columns of predictions.parquet and the ids of the corpus.
        chosen: what was chosen on dev: C with the score of every candidate, or the best epoch. It is empty for an
            ensemble, because each member's own run contains it.
        seconds: wall-clock time in seconds.
    """

    fold: Fold
    frame: pd.DataFrame
    chosen: Mapping[str, Any]
    seconds: float


def run_fold(config: RunConfig, corpus: Corpus, fold: Fold, folder: Path, store: FeatureStore) -> dict[str, Any]:
    """Fit an estimator, or train a dialogue model like ``train``. An unfinished training is continued.

    Args:
        config: configuration of the whole cross-validation.
        corpus: the whole corpus.
        fold: the fold to run.
        folder: folder to write: ``model/`` of an estimator, or the whole run directory of a dialogue model; and
            PREDICTIONS.
        store: store of frozen features.

    Returns:
        ``chosen`` and ``seconds`` of :class:`FoldResult`.

    Raises:
        DialogueSerError: the fitting or the training fails.
    """
    started = time.perf_counter()
    if config.crossval.estimator == "none":
        frame, chosen = _train_fold(config, corpus, fold, folder, store)
    else:
        frame, chosen = _fit_fold(config, corpus, fold, folder, store)
    write_predictions(folder / PREDICTIONS, frame)
    return {"chosen": chosen, "seconds": time.perf_counter() - started}


def fold_result(fold: Fold, folder: Path, value: Mapping[str, Any]) -> FoldResult:
    """Return the result of a fold from its folder and from what :func:`run_fold` returned."""
    frame = pd.read_parquet(folder / PREDICTIONS)
    return FoldResult(fold=fold, frame=frame, chosen=value["chosen"], seconds=value["seconds"])


def pipelines(config: RunConfig, *, with_transforms: bool = True) -> dict[str, FeaturePipeline]:
    """Return modality → new, unfitted pipeline."""
    return {
        modality: FeaturePipeline.build(
            modality,
            feature.encoder,
            feature.options,
            transforms=feature.transforms if with_transforms else (),
            on_bad=config.data.on_bad,
        )
        for modality, feature in config.features.items()
    }


def crossval_task(config: RunConfig, corpus: Corpus) -> Task:
    """Return the task of the configuration on the corpus.

    Raises:
        ConfigError, CorpusError: the settings and the corpus do not fit each other.
    """
    return find_task(config.task).of_corpus(corpus, targets=config.data.targets, leave_out=config.data.leave_out)


def estimator_settings(config: RunConfig) -> EstimatorSettings:
    """Return the settings of the estimator that section ``crossval`` names.

    Raises:
        ConfigError: the candidates for C are not valid.
    """
    return EstimatorSettings(
        name=cast(Any, config.crossval.estimator),
        inverse_regularisation=config.crossval.inverse_regularisation,
        class_weight=config.crossval.class_weight,
        refit=config.crossval.refit,
        seed=config.seed,
    )


def _fit_fold(
    config: RunConfig,
    corpus: Corpus,
    fold: Fold,
    folder: Path,
    store: FeatureStore,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fit an estimator. The model that was scored on dev predicts dev. The refitted model predicts test."""
    settings, task, dialogues = estimator_settings(config), crossval_task(config, corpus), all_dialogues(corpus)
    parts = {part: select_turns(dialogues, getattr(fold, part)) for part in PARTS}
    fitted = fit_estimator(parts["train"], parts["dev"], task, lambda: pipelines(config), settings, store)
    fitted.classifier.save_pretrained(folder / "model")
    frames = [
        task.prediction_frame(parts[part], predict_stored(model, parts[part], store), split=part)
        for part, model in (("dev", fitted.fitted_on_train), ("test", fitted.classifier))
    ]
    chosen = {
        "inverse_regularisation": fitted.inverse_regularisation,
        "dev_scores": [{"inverse_regularisation": c, fitted.metric: value} for c, value in fitted.dev_scores.items()],
        "refit": settings.refit,
    }
    return pd.concat(frames, ignore_index=True), chosen


def _train_fold(
    config: RunConfig, corpus: Corpus, fold: Fold, folder: Path, store: FeatureStore
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Train a dialogue model in a separate run, on the corpus of this fold."""
    data = replace(config.data, cut=replace(config.data.cut, fold=fold.name), train="train", dev="dev")
    begin_from = {
        modality: str(Path(run_dir) / "folds" / folder.name) for modality, run_dir in config.training.begin_from.items()
    }
    training = replace(config.training, begin_from=begin_from)
    tags = (*config.wandb.tags, f"seed{config.seed}")
    wandb = replace(config.wandb, group=config.wandb.group or config.name, tags=tags, job_type="fold")
    run = train(
        replace(config, name=folder_name(fold.name), data=data, training=training, wandb=wandb),
        folder,
        corpus=corpus,
        resume=(folder / "config.yaml").is_file(),
        progress=False,
        store=store,
    )
    frame = read_predictions(run.folder / "predictions.parquet").frame
    frame = frame[frame["split"].isin(SCORED)].copy()
    for column in ("dialogue_id", "utterance_id"):
        frame[column] = [name.partition("/")[2] for name in frame[column]]
    return frame, {} if run.best_epoch is None else {"best_epoch": run.best_epoch}
