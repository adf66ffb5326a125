"""Write ``report.html``, one self-contained page about a run, from the files of the run directory."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.html import render_page
from dialogue_ser.report.sections.composition import Section, Subject, compose
from dialogue_ser.report.sections.run_sections import MAKERS
from dialogue_ser.report.sections.settings import subtitle
from dialogue_ser.runs.lock import SHORT_WAIT_SECONDS, run_lock
from dialogue_ser.runs.run_files import REPORT, REPORT_WITHOUT_TEXTS, RunFiles
from dialogue_ser.tasks import task_of, task_of_scores

#: Sections that show what people said.
_WITH_TEXTS = ("dialogues", "errors", "courses", "deviations")


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` of a run from its files.

    A run that is sent to W&B without its texts also gets ``report-without-texts.html``, which W&B shows.

    Args:
        run_dir: run directory with ``predictions.parquet``; the other files are optional. Without ``scores.json`` the
            scores are computed here, without floors.

    Returns:
        the path of ``report.html``. The page has no script and loads nothing.

    Raises:
        MissingDataError: there is no run directory, or it has no predictions.
        DialogueSerError: a file is damaged, or the predictions have no gold labels.
    """
    run = RunFiles(Path(run_dir))
    scores = scores_of(run)
    name = headline_split(scores)
    task = task_of_scores(scores)
    subject = Subject(
        run=run, scores=scores, split_name=name, predictions=run.predictions.split(name), task=task, gallery=Gallery()
    )
    composed = compose(task.sections, MAKERS, subject)
    title, line = str(scores.get("run") or run.name), subtitle(run.config)
    pages = {REPORT: render_page(title, line, composed)}
    if _is_sent_without_texts(run.config):
        pages[REPORT_WITHOUT_TEXTS] = render_page(title, line, _without_texts(composed))
    with run_lock(run.folder, SHORT_WAIT_SECONDS):
        subject.gallery.write(run.folder / "figures")
        for file, page in pages.items():
            write_atomically(run.folder / file, page)
    return run.folder / REPORT


def _without_texts(sections: Mapping[str, Section]) -> dict[str, Section]:
    """Return the sections that show nothing that people said, and no command line."""
    return {
        name: replace(section, context={**section.context, "command": None}) if name == "run" else section
        for name, section in sections.items()
        if name not in _WITH_TEXTS
    }


def _is_sent_without_texts(config: Mapping[str, Any]) -> bool:
    """Return whether a run is sent to W&B, and its texts are not."""
    wandb = config.get("wandb")
    return isinstance(wandb, Mapping) and wandb.get("mode", "disabled") != "disabled" and not wandb.get("texts")


def scores_of(run: RunFiles) -> dict[str, Any]:
    """Return the content of ``scores.json``. If it is absent, compute the same from the predictions, without floors.

    Raises:
        DialogueSerError: no split has a labelled turn.
    """
    if run.scores:
        return run.scores
    predictions = run.predictions
    labelled = [name for name in predictions.splits if predictions.split(name).has_gold]
    if not labelled:
        raise DialogueSerError(
            f"{predictions.origin}: no split has gold labels, so no score can be reported; predict a labelled corpus"
        )
    task = task_of(predictions, run.config.get("data"))
    return {
        "run": run.name,
        "task": task.kind,
        task.names_key: list(task.names),
        "protocol": "dev",
        "dev_split": str((run.config.get("data") or {}).get("dev", "dev")),
        "masked": run.summary.get("masked", {}),
        "notes": ["scores.json is absent, so there are no floors; dialogue-ser evaluate writes it"],
        "splits": {name: task.summary(predictions.split(name)) for name in labelled},
    }


def headline_split(scores: Mapping[str, Any]) -> str:
    """Return the split of the headline: test, else one that was not used to train or to choose, else dev, else any."""
    names, used = list(scores["splits"]), (scores.get("train_split", "train"), scores.get("dev_split", "dev"))
    unused = [name for name in names if name not in used]
    for name in ("test", *unused, used[1], *names):
        if name in names:
            return str(name)
    raise DialogueSerError("scores.json has no split; run dialogue-ser evaluate again")
