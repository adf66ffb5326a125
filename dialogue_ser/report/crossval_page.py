"""``report.html`` of a cross-validation: one self-contained page, written from the files of its directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.metrics.roc import roc_curves
from dialogue_ser.metrics.run_files import RunFiles
from dialogue_ser.report import crossval_sections as sections
from dialogue_ser.report.figures import class_bars, confusion_heat_map, fold_dots, roc_figure
from dialogue_ser.report.gallery import Gallery
from dialogue_ser.report.highlights import confident_errors
from dialogue_ser.report.html import document
from dialogue_ser.report.sections import errors_section, run_section

NAVIGATION: Mapping[str, str] = {
    "result": "Result", "scores": "Scores", "published": "Published", "folds": "Folds", "emotions": "Emotions",
    "speakers": "Speakers", "errors": "Errors", "run": "Run",
}  # fmt: skip
_COUNTED = ("scenario", "utterances", "interval_over", "class_intervals", "attributes", "published")


def write_crossval_report(folder: Path) -> Path:
    """Write ``report.html`` and ``figures/`` (roc, confusion_matrix, class_f1, folds) of a finished cross-validation.

    Args:
        folder: directory with ``scores.json`` and ``predictions.parquet``.

    Returns:
        path of report.html.

    Raises:
        MissingDataError: no such directory, or no finished cross-validation in it.
        DialogueSerError: one by a version of this package that counted less.
    """
    run = RunFiles(Path(folder))
    scores = run.scores
    if scores.get("kind") != "crossval":
        raise MissingDataError(f"{folder}: no finished cross-validation; run dialogue-ser crossval --out {folder}")
    missing = [name for name in _COUNTED if name not in scores]
    if missing:
        raise DialogueSerError(f"{folder}/scores.json: lacks {', '.join(missing)}; run it again with this version")
    predictions, labels = run.predictions.split("test"), scores["labels"]
    curves = roc_curves(predictions.probabilities_NC, predictions.gold_N, labels)
    pooled, gallery = scores["pooled"], Gallery()
    dots = gallery.draw(
        "folds",
        lambda theme: fold_dots(scores["folds"], pooled["ua"], 1 / len(labels), theme),
        "UA of every fold on test and dev; the table below has the numbers",
    )
    confusion = gallery.draw(
        "confusion_matrix",
        lambda theme: confusion_heat_map(pooled["confusion"], labels, theme),
        "Confusion matrix of all test turns; the table below has the counts",
    )
    bars = gallery.draw(
        "class_f1",
        lambda theme: class_bars(pooled["per_class"], scores["class_intervals"], theme, scores["interval_over"]),
        "F1 of every class with its interval; the table below has the numbers",
    )
    roc = gallery.draw(
        "roc",
        lambda theme: roc_figure(curves, theme),
        "ROC curve of every class against the rest; the table of classes has the areas",
    )
    body = sections.hero(scores) + sections.scores_section(scores) + sections.published_section(scores)
    body += sections.folds_section(scores, dots) + sections.classes_section(scores, confusion, bars, roc)
    body += sections.groups_section(scores) + errors_section(confident_errors(predictions), labels) + run_section(run)
    gallery.write(run.folder / "figures")
    path = run.folder / "report.html"
    write_atomically(path, document(scores["name"], _subtitle(scores), NAVIGATION, body))
    return path


def _subtitle(scores: Mapping[str, Any]) -> str:
    config = scores["config"]
    features = " + ".join(f"{name} ({value['encoder']})" for name, value in config["features"].items())
    corpus = f"{config['data']['reader']} {config['data']['labels']} {scores['scenario']}".strip()
    return " · ".join((scores["system"], features, corpus, scores["protocol"], f"seed {config['seed']}"))
