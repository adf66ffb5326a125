"""Write ``report.html`` of a cross-validation, one self-contained page, from the files of its directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.html import render_page
from dialogue_ser.report.sections.composition import Subject, compose
from dialogue_ser.report.sections.crossval_sections import MAKERS, annotation_of
from dialogue_ser.runs.lock import SHORT_WAIT_SECONDS, run_lock
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of_scores

_REQUIRED_KEYS = ("scenario", "utterances", "interval_over", "attributes", "published")


def write_crossval_report(folder: Path) -> Path:
    """Write ``report.html`` and ``figures/`` (roc, confusion_matrix, class_f1, folds) of a finished cross-validation.

    Args:
        folder: directory with ``scores.json`` and ``predictions.parquet``.

    Returns:
        the path of ``report.html``.

    Raises:
        MissingDataError: there is no such directory, or no finished cross-validation in it.
        DialogueSerError: an older version of this package wrote ``scores.json``, and it lacks a key.
    """
    run = RunFiles(Path(folder))
    scores = run.scores
    if scores.get("kind") != "crossval":
        raise MissingDataError(f"{folder}: no finished cross-validation; run dialogue-ser crossval --out {folder}")
    missing = [name for name in _REQUIRED_KEYS if name not in scores]
    if missing:
        raise DialogueSerError(
            f"{folder}/scores.json: lacks {', '.join(missing)}; run the cross-validation again with this version"
        )
    task, test = task_of_scores(scores), run.predictions.split("test")
    subject = Subject(run=run, scores=scores, split_name="test", predictions=test, task=task, gallery=Gallery())
    composed = compose(task.crossval_sections, MAKERS, subject)
    path = run.folder / "report.html"
    page = render_page(scores["name"], _subtitle(scores), composed)
    with run_lock(run.folder, SHORT_WAIT_SECONDS):
        subject.gallery.write(run.folder / "figures")
        write_atomically(path, page)
    return path


def _subtitle(scores: Mapping[str, Any]) -> str:
    config = scores["config"]
    features = " + ".join(f"{name} ({value['encoder']})" for name, value in config["features"].items())
    corpus = f"{config['data']['reader']} {annotation_of(scores)} {scores['scenario']}".strip()
    return " · ".join((scores["system"], features, corpus, scores["protocol"], f"seed {config['seed']}"))
