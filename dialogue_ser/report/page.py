"""``report.html``: one self-contained page about a run, written from the run directory's files."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.run_files import RunFiles
from dialogue_ser.metrics.summary import summarise
from dialogue_ser.report import sections
from dialogue_ser.report.figures import class_bars, confusion_heat_map, reliability_diagram, training_curves
from dialogue_ser.report.gallery import Draw, Gallery
from dialogue_ser.report.highlights import confident_errors, instructive_dialogues
from dialogue_ser.report.html import Picture, document
from dialogue_ser.report.settings import subtitle
from dialogue_ser.report.timeline import DialogueView, attention_heat_map, dialogue_view, emotion_timeline

NAVIGATION: Mapping[str, str] = {
    "result": "Result", "scores": "Scores", "training": "Training", "emotions": "Emotions",
    "conversation": "Conversation", "confidence": "Confidence", "dialogues": "Dialogues", "errors": "Errors",
    "run": "Run",
}  # fmt: skip


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` of a run from its files alone.

    Args:
        run_dir: run directory; ``predictions.parquet`` must be there, every other file is used where it is. Without
            ``scores.json`` the scores are computed here, without floors.

    Returns:
        path of report.html: no script, no address outside itself, readable light, dark and printed.

    Raises:
        MissingDataError: no run directory, or no predictions in it.
        DialogueSerError: damaged files, or predictions without any gold label.
    """
    run = RunFiles(Path(run_dir))
    scores = scores_of(run)
    name = headline_split(scores)
    split, predictions = scores["splits"][name], run.predictions.split(name)
    labels = predictions.labels
    gallery = Gallery()
    draw = gallery.draw
    confusion = draw(
        "confusion_matrix",
        lambda theme: confusion_heat_map(split["scores"]["confusion"], labels, theme),
        f"Confusion matrix of {name}; the table of classes beside it has the same facts",
    )
    bars = draw(
        "class_f1",
        lambda theme: class_bars(split["scores"]["per_class"], split.get("class_intervals", {}), theme),
        "F1 of every class with its interval; the table below has the numbers",
    )
    reliability = draw(
        "reliability",
        lambda theme: reliability_diagram(split["calibration"], theme),
        f"Reliability diagram, ECE {split['calibration']['ece']:.3f}",
    )
    body = sections.hero(run, scores, name) + sections.scores_section(run, scores, name)
    if run.epochs:
        metric = str((run.config.get("training") or {}).get("select", "weighted_f1"))
        curves = draw(
            "training_curves",
            lambda theme: training_curves(run.epochs, run.summary.get("best_epoch"), metric, theme),
            "Loss and score per epoch on train and dev",
        )
        body += sections.curves_section(run, curves)
    body += sections.classes_section(split, name, confusion, bars) + sections.slices_section(split)
    body += sections.calibration_section(split, reliability)
    body += sections.dialogues_section(_drawn_dialogues(run, predictions, draw))
    body += sections.errors_section(confident_errors(predictions), labels) + sections.run_section(run)
    gallery.write(run.folder / "figures")
    path = run.folder / "report.html"
    write_atomically(path, document(run.name, subtitle(run.config), NAVIGATION, body))
    return path


def scores_of(run: RunFiles) -> dict[str, Any]:
    """``scores.json``, or the same computed from the predictions (without floors) where it is absent.

    Raises:
        DialogueSerError: no labelled turn in any split.
    """
    if run.scores:
        return run.scores
    predictions = run.predictions
    labelled = [name for name in predictions.splits if predictions.split(name).has_gold]
    if not labelled:
        raise DialogueSerError(f"{predictions.origin}: no split has gold labels, so there is nothing to report")
    return {
        "run": run.name,
        "labels": list(predictions.labels),
        "protocol": "dev",
        "dev_split": str((run.config.get("data") or {}).get("dev", "dev")),
        "masked": run.summary.get("masked", {}),
        "notes": ["scores.json is absent: floors were not computed; dialogue-ser evaluate writes it"],
        "splits": {name: summarise(predictions.split(name)) for name in labelled},
    }


def headline_split(scores: Mapping[str, Any]) -> str:
    """The split that the page is about: test, else another one that neither taught nor chose, else dev, else any."""
    names, used = list(scores["splits"]), (scores.get("train_split", "train"), scores.get("dev_split", "dev"))
    unused = [name for name in names if name not in used]
    for name in ("test", *unused, used[1], *names):
        if name in names:
            return str(name)
    raise DialogueSerError("scores.json holds no split; run dialogue-ser evaluate again")


def _drawn_dialogues(
    run: RunFiles, predictions: Predictions, draw: Draw
) -> list[tuple[DialogueView, str, Picture, Picture | None]]:
    drawn = []
    for dialogue_id, reason in instructive_dialogues(predictions):
        view = dialogue_view(predictions, dialogue_id, run.attention(predictions.splits[0], dialogue_id))
        file = re.sub(r"[^\w.-]+", "_", f"{view.split}_{dialogue_id}")
        alt = f"Emotion timeline of {dialogue_id}: {len(view)} turns; the transcript below tells the same"
        timeline = draw(f"timeline_{file}", partial(emotion_timeline, view), alt)
        attention = None
        if view.attention:
            first = next(iter(view.attention))
            attention = draw(
                f"attention_{file}",
                partial(attention_heat_map, view, first),
                f"Attention {first} of {dialogue_id}, row looks at column",
            )
        drawn.append((view, reason, timeline, attention))
    return drawn
