"""Cross-validation: every fold of a protocol fitted, chosen on its dev part and tested; pooled and per-fold scores."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.cut import all_dialogues, folder_name, make_folds
from dialogue_ser.corpus.protocols import Fold
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.crossval.extraction import Extraction, Report, extract
from dialogue_ser.evaluation.crossval.fold_run import FoldResult, crossval_task, estimator_settings, pipelines, run_fold
from dialogue_ser.evaluation.crossval.scores import crossval_scores, frame_of_all_folds
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.training.config.files import config_to_dict, dump_config, load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import corpus_of, for_every_fold
from dialogue_ser.training.record.environment import config_differences, describe_environment
from dialogue_ser.training.record.outputs import write_predictions


def cross_validate(
    config: RunConfig,
    out: Path,
    *,
    corpus: Corpus | None = None,
    store: FeatureStore | None = None,
    report_features: Callable[[str], Report] | None = None,
    report_fold: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Run every fold of ``config.data.cut.protocol`` and leave a directory that explains itself.

    ``out`` gets config.yaml, environment.json, predictions.parquet (dev and test of every fold, each utterance at most
    once as either, with its fold), scores.json, and ``folds/NAME/model`` (a dialogue model's whole run directory
    instead). A directory of the same configuration that is not finished is gone on with: dialogue models resume.

    Args:
        config: corpus, features, and what is fitted; without a protocol the folds are those of leave-one-speaker-out.
        out: directory.
        corpus: cut this one instead of reading the one that ``config.data`` names.
        store: where frozen features are kept; None = the default one.
        report_features: modality → called with (done, total) utterances to encode.
        report_fold: called with (folds done, folds, name of the next).

    Returns:
        what scores.json holds, see :func:`~dialogue_ser.evaluation.crossval.scores.crossval_scores`; also
        ``extraction``, ``seconds``, ``config``, ``versions`` and ``machine``.

    Raises:
        ConfigError: unknown names, no features, settings that an estimator would pass over, or a directory that holds
            something else or cannot be made.
        CorpusError, MediaError, FeatureError, MissingDataError: data or features that cannot be had.
    """
    started = time.perf_counter()
    config = for_every_fold(config)
    _check_settings(config)
    _check_out(config, out)
    corpus, folds = _cut(config, corpus)
    store = store or FeatureStore()
    extraction, environment = _extract(config, corpus, store, report_features)
    _write_head(config, environment, out)
    results = _run_folds(config, corpus, folds, out / "folds", store, report_fold)
    frame = frame_of_all_folds(results, all_dialogues(corpus))
    write_predictions(out / "predictions.parquet", frame)
    scores = {
        **crossval_scores(config, corpus, results, frame),
        "extraction": {modality: one.to_dict() for modality, one in extraction.items()},
        "seconds": time.perf_counter() - started,
        "config": config_to_dict(config),
        "versions": {"python": environment["python"], **environment["packages"]},
        "machine": {name: environment[name] for name in ("platform", "cpu", "cpu_count", "device")},
    }
    write_atomically(out / "scores.json", to_json(scores))
    return scores


def _cut(config: RunConfig, corpus: Corpus | None) -> tuple[Corpus, tuple[Fold, ...]]:
    """The corpus and its folds; whatever in the settings does not fit them is found before anything is computed."""
    own = config.data.cut
    corpus = corpus_of(config.data, corpus, every_fold=True)
    folds = make_folds(own.protocol, all_dialogues(corpus), own.seed, own.n_folds)
    task = crossval_task(config, corpus)
    task.metrics(config.metrics)
    if config.crossval.estimator not in ("none", *task.estimators):
        raise ConfigError(
            f"crossval.estimator: {config.crossval.estimator} does not learn a {task.kind}; use "
            f"{' or '.join(task.estimators)}, or none for a dialogue model"
        )
    return corpus, folds


def _check_settings(config: RunConfig) -> None:
    """Nothing that is asked for may be passed over: an estimator learns once, from the turns as they are.

    Raises:
        ConfigError: no modality, or settings of training beside an estimator: all of them.
    """
    if not config.features:
        raise ConfigError("features: no modality; give at least one, e.g. --features.audio.encoder opensmile")
    estimator, training = config.crossval.estimator, config.training
    if estimator == "none":
        return
    estimator_settings(config)
    asked: dict[str, tuple[object, object]] = {
        f"features.{modality}.augment.copies": (feature.augment.copies, 0)
        for modality, feature in config.features.items()
    }
    asked |= {
        "training.balance": (training.balance, "none"),
        "training.ensemble": (training.ensemble, 1),
        "loss.soft_labels": (config.loss.soft_labels, False),
    }
    problems = [
        f"{name}: {value} is for trained models, crossval.estimator {estimator} would not see it; drop it "
        f"(--{name} {str(without).lower()}), or train in every fold (--crossval.estimator none)"
        for name, (value, without) in asked.items()
        if value != without
    ]
    if problems:
        raise ConfigError(*problems)


def _extract(
    config: RunConfig, corpus: Corpus, store: FeatureStore, report: Callable[[str], Report] | None
) -> tuple[dict[str, Extraction], dict[str, Any]]:
    """Frozen features of the whole corpus into the store; what that took, and environment.json."""
    encoders = pipelines(config, with_transforms=False)
    extraction = extract(encoders, all_dialogues(corpus), store, report)
    fingerprints = {modality: pipeline.state()[0]["fingerprint"] for modality, pipeline in encoders.items()}
    version = crossval_task(config, corpus).fingerprint(corpus)
    return extraction, dict(describe_environment(config, version, fingerprints, n_ranks=1))


def _run_folds(
    config: RunConfig,
    corpus: Corpus,
    folds: Sequence[Fold],
    folder: Path,
    store: FeatureStore,
    report: Callable[[int, int, str], None] | None,
) -> list[FoldResult]:
    tell = report or (lambda done, total, name: None)
    results = []
    for number, fold in enumerate(folds):
        tell(number, len(folds), fold.name)
        place = folder / folder_name(fold.name)
        results.append(run_fold(config, corpus, fold, place, store))
    tell(len(folds), len(folds), "")
    return results


def _check_out(config: RunConfig, out: Path) -> None:
    place = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):  # else it would be found after hours of encoding
        reason = "may not be written in" if place.is_dir() else "is no folder"
        raise ConfigError(f"{out}: cannot be made, since {place} {reason}; choose another --out")
    if (out / "scores.json").exists():
        raise ConfigError(f"{out}: holds a finished run; choose another --out")
    if not (out / "config.yaml").is_file():
        return
    if not (out / "environment.json").is_file():  # both are written; perhaps it is the very file given as --config
        raise ConfigError(f"{out}: holds a config.yaml that no run wrote; choose another --out, it would be replaced")
    differences = config_differences(for_every_fold(load_config(out / "config.yaml")), config)
    if differences:
        mend = "continue it as it was begun, or choose another --out"
        raise ConfigError(*(f"{out}: {difference}" for difference in differences), f"{out}: {mend}")


def _write_head(config: RunConfig, environment: Mapping[str, Any], out: Path) -> None:
    """The first thing that is written: data and features that cannot be had leave no directory behind."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "config.yaml", dump_config(config))
    write_atomically(out / "environment.json", to_json(dict(environment)))
