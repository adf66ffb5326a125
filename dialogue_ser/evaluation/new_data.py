"""Score a trained model on labelled dialogues that its run did not know, e.g. on one CSV file.

The results get a folder of their own: ``predictions.parquet``, ``scores.json`` and, if wanted, a report. Files of the
run are not changed. ``scores.json`` has the keys of :mod:`dialogue_ser.evaluation.run`, and these:

``kind``
    ``new-data``
``evaluated``
    model, its checksum, the data and their fingerprint, and the version of the library
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.new_corpus import NewData, data_name, label_set_name, read_new_data, reader_of
from dialogue_ser.evaluation.run import (
    FORMAT,
    further_metrics,
    learn_floors,
    refuse_cross_validation,
    score_split,
    undefined_notes,
)
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.runs.lock import SHORT_WAIT_SECONDS, run_lock
from dialogue_ser.runs.run_files import RunFiles, to_json
from dialogue_ser.tasks import task_of
from dialogue_ser.tasks.base import Task

if TYPE_CHECKING:
    from dialogue_ser.inference.classifier import DialogueClassifier

KIND = "new-data"
#: The splits of the run from which floors learn. No split of a corpus can have these names.
_TRAIN, _DEV = "train of the run", "dev of the run"
#: Dialogues with fewer words than this may be equal by chance.
_WORDS_OF_A_COPY = 8


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The model and the run that it comes from. ``run`` is None for a model folder that lies alone."""

    classifier: "DialogueClassifier"
    folder: Path
    run: RunFiles | None

    @property
    def config(self) -> Mapping[str, Any]:
        return {} if self.run is None else self.run.config

    @property
    def name(self) -> str:
        return self.folder.resolve().name if self.run is None else self.run.name


def evaluate_on(
    model: str | Path,
    data: NewData,
    out: str | Path | None = None,
    *,
    features: Mapping[str, str | Path] | None = None,
    metrics: Sequence[str] | None = None,
    n_resamples: int = 2000,
    batch_size: int = 32,
    device: str = "auto",
    trust_code: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Predict new labelled dialogues with a trained model, score the predictions and write both into a new folder.

    Args:
        model: run directory (also of an ensemble), model folder or hub id.
        data: the dialogues. Their classes must be classes of the model, or their dimensions its dimensions. A table
            without splits is one split, ``test``.
        out: folder to write; None = ``runs/NAME-on-FILE``. Results of an earlier evaluation there are replaced.
        features: modality → file of precomputed features of these dialogues, keyed by utterance id.
        metrics: further metrics, by name or ``package.module:function``; None = those of the run's configuration.
        n_resamples: bootstrap draws of dialogues.
        batch_size: largest number of dialogues that are computed together.
        device: ``auto``, ``cpu`` or ``cuda``.
        trust_code: allow a model or an encoder that is given as ``package.module:attribute``. Its import runs code.

    Returns:
        the folder, and the content of its ``scores.json``.

    Raises:
        ConfigError: the data are not named, or the folder holds something else than an earlier evaluation.
        CorpusError: the data have bad rows, unknown labels or no labels.
        MissingDataError: model or data do not exist.
        DialogueSerError: the model cannot be loaded, or features cannot be made.
    """
    reader = reader_of(data)
    source = _load(model, device, data.on_bad, trust_code)
    folder = _folder(out, source, data, reader)
    task, on_bad = source.classifier.task, str((source.config.get("data") or {}).get("on_bad") or "error")
    corpus = read_new_data(data, reader, task, on_bad)
    predictions, masked = _predict(source, corpus, features, batch_size)
    task = task_of(predictions, {**(source.config.get("data") or {}), "labels": label_set_name(task)})
    extra, notes = further_metrics(source.run, task, metrics, trust_code)
    tables, floor_notes = _floors(source, predictions, task)
    labelled = [name for name in predictions.splits if predictions.split(name).has_gold]
    scored = {name: score_split(task, predictions.split(name), tables, _TRAIN, n_resamples, extra) for name in labelled}
    notes = [*_copies(source, corpus), *task.absent_notes(scored), *floor_notes, *notes]
    result = {
        "format": FORMAT,
        "kind": KIND,
        "run": f"{source.name} on {data_name(data, reader)}",
        "task": task.kind,
        task.names_key: list(task.names),
        "protocol": "dev",
        "train_split": "",
        "dev_split": "",
        "masked": masked,
        "leave_out": list(getattr(task, "leave_out", ())),
        "headings": task.own_headings(extra),
        "evaluated": _description(model, source, data, reader, corpus),
        "notes": [*notes, *undefined_notes(scored, extra), *corpus.warnings],
        "splits": scored,
    }
    with run_lock(folder, SHORT_WAIT_SECONDS):
        write_atomically(folder / "predictions.parquet", predictions.frame.to_parquet(index=False))
        write_atomically(folder / "scores.json", to_json(result))
    return folder, result


def _load(model: str | Path, device: str, on_bad: Any, trust_code: bool) -> _Source:
    from dialogue_ser.inference.classifier import DialogueClassifier  # imports torch, which is slow
    from dialogue_ser.inference.model_folder import find_model_folder

    given = Path(model).expanduser()
    if given.is_dir():
        refuse_cross_validation(RunFiles(given))
    classifier = DialogueClassifier.from_pretrained(model, device=device, on_bad=on_bad, trust_code=trust_code)
    folder = find_model_folder(model)
    is_part_of_run = folder.name == "model" and (folder.parent / "predictions.parquet").is_file()
    run = RunFiles(folder.parent) if is_part_of_run else None
    return _Source(classifier=classifier, folder=folder, run=run)


def _folder(out: str | Path | None, source: _Source, data: NewData, reader: str) -> Path:
    """Return the folder to write. Raises ConfigError if it holds anything but an earlier evaluation."""
    name = re.sub(r"[^\w.-]+", "-", f"{source.name}-on-{Path(data_name(data, reader)).stem}").strip(".-")
    folder = Path("runs") / name[:200] if out is None else Path(out)
    if folder.is_dir() and any(folder.iterdir()) and RunFiles(folder).scores.get("kind") != KIND:
        raise ConfigError(f"{folder}: holds something else than an earlier evaluation; choose another --out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; choose another --out")
    return folder


def _predict(
    source: _Source, corpus: Corpus, features: Mapping[str, str | Path] | None, batch_size: int
) -> tuple[Predictions, dict[str, int]]:
    """Return the predictions of all splits, and modality → number of turns without features in it."""
    from dialogue_ser.inference.feature_tables import feature_tables

    if batch_size < 1:
        raise ConfigError(f"--batch_size: found {batch_size}, expected at least 1")
    classifier = source.classifier
    everything = [dialogue for dialogues in corpus.splits.values() for dialogue in dialogues]
    tables = feature_tables(classifier.pipelines, everything, features)
    frames = [
        classifier.task.prediction_frame(dialogues, classifier.numbers_of(dialogues, tables, batch_size), split=split)
        for split, dialogues in corpus.splits.items()
    ]
    ids = [turn.id for turn in utterances(everything)]
    masked = {modality: sum(key not in table.rows for key in ids) for modality, table in tables.items()}
    return predictions_of(pd.concat(frames, ignore_index=True), origin=f"predictions of {corpus.name}"), masked


def _floors(source: _Source, predictions: Predictions, task: Task) -> tuple[dict[str, Predictions], list[str]]:
    """Return floor → its predictions of the new turns. Floors learn from the train turns of the model's run."""
    known = _turns_of_run(source)
    if known is None:
        return {}, ["floors left out: the model lies alone, without the training turns of its run"]
    frame = pd.concat([known, predictions.frame], ignore_index=True)
    return learn_floors(predictions_of(frame, predictions.origin), task.floors, _TRAIN, _DEV)


def _turns_of_run(source: _Source) -> pd.DataFrame | None:
    """Return the train and dev rows of the run's predictions, under the names _TRAIN and _DEV; None without a run."""
    if source.run is None:
        return None
    data = source.config.get("data") or {}
    names = dict.fromkeys(str(data.get("train", "train")).split("+"), _TRAIN) | {str(data.get("dev", "dev")): _DEV}
    frame = source.run.predictions.frame
    return frame[frame["split"].isin(names)].assign(split=lambda rows: rows["split"].map(names))


def _copies(source: _Source, corpus: Corpus) -> Iterator[str]:
    """Yield a note if dialogues were in the training data of the run: their scores are too high."""
    known = _turns_of_run(source)
    if known is None:
        return
    seen = {tuple(texts) for _, texts in known.fillna({"text": ""}).groupby("dialogue_id", sort=False)["text"]}
    for split, dialogues in corpus.splits.items():
        copies = [dialogue.id for dialogue in dialogues if _texts(dialogue) in seen and _is_long(dialogue)]
        if copies:
            yield (
                f"{split}: {len(copies)} of {len(dialogues)} dialogues have the same texts as a train or dev dialogue "
                f"of the run, e.g. {copies[0]}; scores on them are too high"
            )


def _texts(dialogue: Dialogue) -> tuple[str, ...]:
    return tuple(turn.text or "" for turn in dialogue)


def _is_long(dialogue: Dialogue) -> bool:
    return sum(len(text.split()) for text in _texts(dialogue)) >= _WORDS_OF_A_COPY


def _description(model: str | Path, source: _Source, data: NewData, reader: str, corpus: Corpus) -> dict[str, Any]:
    from dialogue_ser import __version__

    config = (source.folder / "config.json").read_bytes()
    settings = replace(data, reader=reader)
    return {
        "model": str(model),
        "model_sha256": hashlib.sha256(config).hexdigest(),
        "data": {name: value for name, value in vars(settings).items() if value not in (None, {})},
        "corpus_fingerprint": corpus.fingerprint(with_targets=True),
        "library_version": __version__,
    }
