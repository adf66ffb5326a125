"""``report.html``: one self-contained page about a run, written from the run directory's files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.html import render_page
from dialogue_ser.report.sections.composition import Subject, compose
from dialogue_ser.report.sections.run_sections import MAKERS
from dialogue_ser.report.sections.settings import subtitle
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of, task_of_scores


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
    task = task_of_scores(scores)
    subject = Subject(
        run=run, scores=scores, split_name=name, predictions=run.predictions.split(name), task=task, gallery=Gallery()
    )
    composed = compose(task.sections, MAKERS, subject)
    subject.gallery.write(run.folder / "figures")
    path = run.folder / "report.html"
    write_atomically(path, render_page(run.name, subtitle(run.config), composed))
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
    task = task_of(predictions, run.config.get("data"))
    return {
        "run": run.name,
        "task": task.kind,
        task.names_key: list(task.names),
        "protocol": "dev",
        "dev_split": str((run.config.get("data") or {}).get("dev", "dev")),
        "masked": run.summary.get("masked", {}),
        "notes": ["scores.json is absent: floors were not computed; dialogue-ser evaluate writes it"],
        "splits": {name: task.summary(predictions.split(name)) for name in labelled},
    }


def headline_split(scores: Mapping[str, Any]) -> str:
    """The split that the page is about: test, else another one that neither taught nor chose, else dev, else any."""
    names, used = list(scores["splits"]), (scores.get("train_split", "train"), scores.get("dev_split", "dev"))
    unused = [name for name in names if name not in used]
    for name in ("test", *unused, used[1], *names):
        if name in names:
            return str(name)
    raise DialogueSerError("scores.json holds no split; run dialogue-ser evaluate again")
