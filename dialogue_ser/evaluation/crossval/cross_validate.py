"""Cross-validation: train and test one model per fold of a protocol, and score each fold and all folds together."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.cut import all_dialogues, make_folds
from dialogue_ser.corpus.protocols import PARTS, Fold
from dialogue_ser.corpus.schema import Corpus, utterances
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.crossval.extraction import Extraction, Report, extract
from dialogue_ser.evaluation.crossval.fold_run import FoldResult, crossval_task, estimator_settings, pipelines
from dialogue_ser.evaluation.crossval.folds import run_folds
from dialogue_ser.evaluation.crossval.scores import crossval_scores, frame_of_all_folds
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.many.engines import JobEngine
from dialogue_ser.runs.checksums import with_checksum, with_checksum_line
from dialogue_ser.runs.intact import has_whole_predictions
from dialogue_ser.runs.lock import refuse_if_locked, run_lock
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.training.config.files import config_to_dict, dump_config, load_record
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import corpus_of, for_every_fold, log_warnings
from dialogue_ser.training.record.environment import config_differences, describe_environment
from dialogue_ser.training.record.outputs import write_predictions

logger = logging.getLogger(__name__)


def cross_validate(
    config: RunConfig,
    out: Path,
    *,
    corpus: Corpus | None = None,
    store: FeatureStore | None = None,
    report_features: Callable[[str], Report] | None = None,
    report_fold: Callable[[int, int, str], None] | None = None,
    engine: JobEngine | None = None,
) -> dict[str, Any]:
    """Run every fold of ``config.data.cut.protocol`` and write a directory with all results.

    ``out`` gets config.yaml, environment.json, predictions.parquet, scores.json and, for each fold, the model
    ``folds/NAME/model`` (for a dialogue model: the whole run directory ``folds/NAME``). predictions.parquet has the dev
    and test turns of every fold with the name of the fold; an utterance is a dev turn at most once, and a test turn at
    most once. If ``out`` is an unfinished cross-validation with the same configuration, it is continued.

    Args:
        config: corpus, features and model. Without a protocol the folds are those of leave-one-speaker-out.
        out: directory to write.
        corpus: corpus to cut; None = the corpus that ``config.data`` names is read.
        store: store of frozen features; None = the default store.
        report_features: function that gets a modality and returns a function, which is called with the numbers of
            utterances that are encoded and that are to encode.
        report_fold: function that is called with (number of finished folds, number of folds, name of the next fold).
        engine: where the folds are done; None = one after another in this process. Another engine reads the corpus
            again, so it cannot be used with ``corpus``.

    Returns:
        the content of scores.json, see :func:`~dialogue_ser.evaluation.crossval.scores.crossval_scores`; also
        ``extraction``, ``seconds``, ``config``, ``versions`` and ``machine``.

    Raises:
        ConfigError: a name is unknown, there are no features, the estimator cannot use a setting, or the directory has
            other content or cannot be created.
        CorpusError, MediaError, FeatureError, MissingDataError: the data or the features cannot be read or computed.
    """
    started = time.perf_counter()
    if corpus is not None and engine is not None:
        raise ConfigError("cross_validate: a corpus in memory is only in this process; leave engine out")
    config = for_every_fold(config)
    _check_settings(config)
    refuse_if_locked(out)
    _check_directory(config, out)
    corpus, folds = _corpus_and_folds(config, corpus)
    store = store or FeatureStore()
    extraction, environment = _extract(config, corpus, store, report_features)
    with run_lock(out):
        _check_directory(config, out)  # another process may have started here while the features were made
        _write_settings(config, environment, out)
        results = run_folds(config, corpus, folds, out, store, engine, report_fold)
        circumstances = _circumstances(config, extraction, environment, started)
        return _write_results(config, corpus, results, circumstances, out)


def _write_results(
    config: RunConfig, corpus: Corpus, results: Sequence[FoldResult], circumstances: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """Write the predictions and the scores of all folds, and return the content of scores.json."""
    frame = frame_of_all_folds(results, all_dialogues(corpus))
    write_predictions(out / "predictions.parquet", frame)
    scores = crossval_scores(config, corpus, results, frame) | dict(circumstances)
    write_atomically(out / "scores.json", to_json(scores))
    return scores


def _circumstances(
    config: RunConfig, extraction: Mapping[str, Extraction], environment: Mapping[str, Any], started: float
) -> dict[str, Any]:
    """Return the part of scores.json about the configuration, the versions, the machine and the time."""
    return {
        "extraction": {modality: one.to_dict() for modality, one in extraction.items()},
        "seconds": time.perf_counter() - started,
        "config": config_to_dict(config),
        "versions": {"python": environment["python"], **environment["packages"]},
        "machine": {name: environment[name] for name in ("platform", "cpu", "cpu_count", "device")},
    }


def _corpus_and_folds(config: RunConfig, corpus: Corpus | None) -> tuple[Corpus, tuple[Fold, ...]]:
    """Read the corpus and make its folds. Settings that do not fit the corpus are refused before anything is computed.

    Raises:
        ConfigError, CorpusError: settings that do not fit the corpus.
    """
    cut = config.data.cut
    is_given = corpus is not None
    corpus = corpus_of(config.data, corpus, every_fold=True)
    if not is_given:
        log_warnings(corpus)
    folds = make_folds(cut.protocol, all_dialogues(corpus), cut.seed, cut.n_folds)
    task = crossval_task(config, corpus)
    turns = {turn.id: turn for turn in utterances(all_dialogues(corpus))}
    counts = [{part: task.counts(turns[name] for name in getattr(fold, part)) for part in PARTS} for fold in folds]
    for note in task.lacking_notes(counts):
        logger.warning("%s: %s", cut.protocol, note)
    task.metrics(config.metrics)
    if config.crossval.estimator not in ("none", *task.estimators):
        raise ConfigError(
            f"crossval.estimator: {config.crossval.estimator} does not learn a {task.kind}; use "
            f"{' or '.join(task.estimators)}, or none to train a dialogue model"
        )
    return corpus, folds


def _check_settings(config: RunConfig) -> None:
    """Refuse settings that an estimator would ignore. It learns once, from the turns as they are.

    Raises:
        ConfigError: there is no modality, or there are settings that only trained models use. The message names all
            of them.
    """
    if not config.features:
        raise ConfigError("features: there is no modality; give at least one, e.g. --features.audio.encoder opensmile")
    estimator, training = config.crossval.estimator, config.training
    if estimator == "none":
        return
    estimator_settings(config)
    # Name of a setting → (its value, the value that switches it off).
    trained_only: dict[str, tuple[object, object]] = {
        f"features.{modality}.augment.copies": (feature.augment.copies, 0)
        for modality, feature in config.features.items()
    }
    trained_only |= {
        "training.balance": (training.balance, "none"),
        "training.ensemble": (training.ensemble, 1),
        "loss.soft_labels": (config.loss.soft_labels, False),
    }
    problems = [
        f"{name}: {value} is for trained models, and crossval.estimator {estimator} does not use it; switch it off "
        f"(--{name} {str(off).lower()}), or train a model in every fold (--crossval.estimator none)"
        for name, (value, off) in trained_only.items()
        if value != off
    ]
    if problems:
        raise ConfigError(*problems)


def _extract(
    config: RunConfig, corpus: Corpus, store: FeatureStore, report: Callable[[str], Report] | None
) -> tuple[dict[str, Extraction], dict[str, Any]]:
    """Put the frozen features of the whole corpus into the store.

    Returns:
        time and memory per modality, and the content of environment.json.
    """
    encoders = pipelines(config, with_transforms=False)
    extraction = extract(encoders, all_dialogues(corpus), store, report)
    fingerprints = {modality: pipeline.state()[0]["fingerprint"] for modality, pipeline in encoders.items()}
    version = crossval_task(config, corpus).fingerprint(corpus)
    return extraction, dict(describe_environment(config, version, fingerprints, n_ranks=1))


def _check_directory(config: RunConfig, out: Path) -> None:
    """Check that the results can be written, before hours are spent on encoding.

    Raises:
        ConfigError: the directory cannot be created, or it has results of another run.
    """
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = "is not writable" if existing.is_dir() else "is not a folder"
        raise ConfigError(f"{out}: cannot be created, because {existing} {reason}; choose another --out")
    if (out / "scores.json").exists() and has_whole_predictions(out):
        raise ConfigError(f"{out}: holds a finished run; choose another --out")
    if not (out / "config.yaml").is_file():
        return
    if not (out / "environment.json").is_file():  # a run writes both; perhaps this file was given as --config
        raise ConfigError(f"{out}: has a config.yaml that no run wrote, and it would be replaced; choose another --out")
    differences = config_differences(for_every_fold(load_record(out / "config.yaml")), config)
    if differences:
        mend = "continue the run with its own settings, or choose another --out"
        raise ConfigError(*(f"{out}: {difference}" for difference in differences), f"{out}: {mend}")


def _write_settings(config: RunConfig, environment: Mapping[str, Any], out: Path) -> None:
    """Create the directory and write its first files. Until then, missing data or features leave no directory."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "config.yaml", with_checksum_line(dump_config(config)))
    write_atomically(out / "environment.json", to_json(with_checksum(environment)))
