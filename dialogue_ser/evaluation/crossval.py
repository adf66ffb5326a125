"""Cross-validation: every fold of a protocol fitted, chosen on its dev part and tested; pooled and per-fold scores."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, utterances
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.extraction import Report, extract
from dialogue_ser.evaluation.folds import PARTS, Fold, all_dialogues, make_folds, part_of
from dialogue_ser.evaluation.pooling import pooled_scores, scores_of
from dialogue_ser.features.store import FeatureStore
from dialogue_ser.features.transforms import TRANSFORMS
from dialogue_ser.inference.estimator import EstimatorSettings, fit_estimator, predict_stored
from dialogue_ser.inference.pipeline import FeaturePipeline
from dialogue_ser.metrics.predictions import prediction_rows, read_predictions
from dialogue_ser.metrics.run_files import to_json
from dialogue_ser.training.config import RunConfig
from dialogue_ser.training.config_io import config_to_dict, dump_config, load_config
from dialogue_ser.training.environment import config_differences, describe_environment
from dialogue_ser.training.outputs import write_predictions
from dialogue_ser.training.run import train

FORMAT = 1
SCORED = ("dev", "test")


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """What one fold gave.

    Args:
        fold: which.
        frame: predictions of dev and test in the columns of predictions.parquet, with the corpus's own ids.
        chosen: how dev chose: C and every candidate's UA, or the best epoch.
        seconds: wall clock.
    """

    fold: Fold
    frame: pd.DataFrame
    chosen: Mapping[str, Any]
    seconds: float


def cross_validate(
    config: RunConfig,
    out: Path,
    *,
    store: FeatureStore | None = None,
    report_features: Callable[[str], Report] | None = None,
    report_fold: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Run every fold of ``config.crossval.protocol`` and leave a directory that explains itself.

    ``out`` gets config.yaml, environment.json, predictions.parquet (dev and test of every fold: each utterance once as
    either, with its fold), scores.json, and ``folds/NAME/model`` (a dialogue model's whole run directory instead). A
    directory of the same configuration that is not finished is gone on with: dialogue models resume.

    Args:
        config: corpus, features, and what is fitted.
        out: directory.
        store: where frozen features are kept; None = the default one.
        report_features: modality → called with (done, total) utterances to encode.
        report_fold: called with (folds done, folds, name of the next).

    Returns:
        what scores.json holds, see :func:`~dialogue_ser.evaluation.pooling.pooled_scores`.

    Raises:
        ConfigError: unknown names, no features, or a directory that holds something else.
        CorpusError, MediaError, FeatureError, MissingDataError: data or features that cannot be had.
    """
    started = time.perf_counter()
    _check_out(config, out)
    data = config.data
    corpus = read_corpus(data.reader, data.path, data.labels, on_bad=data.on_bad, **data.options)
    dialogues = all_dialogues(corpus)
    folds = make_folds(config.crossval.protocol, dialogues)
    if not config.features:
        raise ConfigError("features: no modality; give at least one, e.g. --features.audio.encoder opensmile")
    store = store or FeatureStore()
    encoders = _pipelines(config, with_transforms=False)
    extraction = extract(encoders, dialogues, store, report_features)
    fingerprints = {modality: pipeline.state()[0]["fingerprint"] for modality, pipeline in encoders.items()}
    environment = describe_environment(config, corpus.fingerprint(), fingerprints, n_ranks=1)
    _write_head(config, environment, out)
    results = []
    for number, fold in enumerate(folds):
        if report_fold is not None:
            report_fold(number, len(folds), fold.name)
        results.append(_run_fold(config, corpus, dialogues, fold, out / "folds" / fold.name, store))
    if report_fold is not None:
        report_fold(len(folds), len(folds), "")
    frame = pd.concat([one.frame.assign(fold=one.fold.name) for one in results], ignore_index=True)
    write_predictions(out / "predictions.parquet", frame)
    scores = {
        "format": FORMAT,
        "kind": "crossval",
        "name": config.name,
        "protocol": config.crossval.protocol,
        "system": config.model.name if config.crossval.estimator == "none" else config.crossval.estimator,
        "uses_unlabelled_test_recordings": is_transductive(config),
        "labels": list(corpus.label_set),
        **pooled_scores(frame, corpus.label_set.labels),
        "folds": [_fold_entry(one, dialogues, corpus.label_set) for one in results],
        "extraction": {modality: one.to_dict() for modality, one in extraction.items()},
        "seconds": time.perf_counter() - started,
        "config": config_to_dict(config),
        "versions": {"python": environment["python"], **environment["packages"]},
        "machine": {name: environment[name] for name in ("platform", "cpu", "cpu_count", "device")},
    }
    write_atomically(out / "scores.json", to_json(scores))
    return scores


def is_transductive(config: RunConfig) -> bool:
    """Whether a transform learns from the test speakers' unlabelled recordings, so that scores stand apart."""
    names = [name for feature in config.features.values() for name in feature.transforms]
    return any(TRANSFORMS[name].is_transductive for name in names if name in TRANSFORMS)


def _check_out(config: RunConfig, out: Path) -> None:
    if (out / "scores.json").exists():
        raise ConfigError(f"{out}: holds a finished run; choose another --out")
    if not (out / "config.yaml").is_file():
        return
    if not (out / "environment.json").is_file():  # both are written; perhaps it is the very file given as --config
        raise ConfigError(f"{out}: holds a config.yaml that no run wrote; choose another --out, it would be replaced")
    differences = config_differences(load_config(out / "config.yaml"), config)
    if differences:
        mend = "continue it as it was begun, or choose another --out"
        raise ConfigError(*(f"{out}: {difference}" for difference in differences), f"{out}: {mend}")


def _write_head(config: RunConfig, environment: Mapping[str, Any], out: Path) -> None:
    """The first thing that is written: data and features that cannot be had leave no directory behind."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "config.yaml", dump_config(config))
    write_atomically(out / "environment.json", to_json(dict(environment)))


def _pipelines(config: RunConfig, *, with_transforms: bool = True) -> dict[str, FeaturePipeline]:
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


def _run_fold(
    config: RunConfig, corpus: Corpus, dialogues: Sequence[Dialogue], fold: Fold, folder: Path, store: FeatureStore
) -> FoldResult:
    started = time.perf_counter()
    if config.crossval.estimator == "none":
        frame, chosen = _train_fold(config, fold, folder)
    else:
        frame, chosen = _fit_fold(config, corpus.label_set, dialogues, fold, folder, store)
    return FoldResult(fold=fold, frame=frame, chosen=chosen, seconds=time.perf_counter() - started)


def _fit_fold(
    config: RunConfig,
    label_set: LabelSet,
    dialogues: Sequence[Dialogue],
    fold: Fold,
    folder: Path,
    store: FeatureStore,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """An estimator: dev predicted by the model that dev judged, test by the refitted one."""
    settings = EstimatorSettings(
        name=cast(Any, config.crossval.estimator),
        inverse_regularisation=config.crossval.inverse_regularisation,
        class_weight=config.crossval.class_weight,
        refit=config.crossval.refit,
        seed=config.seed,
    )
    parts = {part: part_of(dialogues, getattr(fold, part)) for part in PARTS}
    fitted = fit_estimator(parts["train"], parts["dev"], label_set, lambda: _pipelines(config), settings, store)
    fitted.classifier.save_pretrained(folder / "model")
    frames = [
        _frame(parts[part], part, label_set, predict_stored(model, parts[part], store))
        for part, model in (("dev", fitted.judged), ("test", fitted.classifier))
    ]
    chosen = {
        "inverse_regularisation": fitted.inverse_regularisation,
        "dev_ua": [{"inverse_regularisation": c, "ua": ua} for c, ua in fitted.dev_uar.items()],
        "refit": settings.refit,
    }
    return pd.concat(frames, ignore_index=True), chosen


def _frame(dialogues: Sequence[Dialogue], part: str, label_set: LabelSet, p_NC: Any) -> pd.DataFrame:
    rows = [
        {
            "split": part,
            "dialogue_id": dialogue.id,
            "utterance_id": turn.id,
            "turn": number,
            "speaker": turn.speaker,
            "text": turn.text,
            "gold": turn.label,
        }
        for dialogue in dialogues
        for number, turn in enumerate(dialogue)
    ]
    return prediction_rows(rows, label_set.labels, np.asarray(p_NC))


def _train_fold(config: RunConfig, fold: Fold, folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A dialogue model: a whole run, over a reader that cuts this fold."""
    data = config.data
    options = {
        "corpus": data.reader, "protocol": config.crossval.protocol, "fold": fold.name, "options": dict(data.options)
    }  # fmt: skip
    reader = "dialogue_ser.evaluation.folds:read_fold"
    own = replace(data, reader=reader, options=options, train="train", dev="dev")
    run = train(
        replace(config, name=fold.name, data=own),
        folder,
        resume=(folder / "config.yaml").is_file(),
        progress=False,
    )
    frame = read_predictions(run.folder / "predictions.parquet").frame
    frame = frame[frame["split"].isin(SCORED)].copy()
    for column in ("dialogue_id", "utterance_id"):
        frame[column] = [name.partition("/")[2] for name in frame[column]]
    return frame, {"best_epoch": run.best_epoch}


def _fold_entry(one: FoldResult, dialogues: Sequence[Dialogue], label_set: LabelSet) -> dict[str, Any]:
    speaker = {turn.id: turn.speaker for turn in utterances(dialogues)}
    parts = {split: one.frame[one.frame["split"] == split] for split in SCORED}
    return {
        "name": one.fold.name,
        **scores_of(parts["test"], label_set.labels),
        "dev": scores_of(parts["dev"], label_set.labels),
        "chosen": dict(one.chosen),
        "speakers": {part: sorted({speaker[name] for name in getattr(one.fold, part)}) for part in PARTS},
        "utterances": {part: len(getattr(one.fold, part)) for part in PARTS},
        "seconds": one.seconds,
    }
