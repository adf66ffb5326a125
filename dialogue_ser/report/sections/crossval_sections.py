"""The sections of the report of a cross-validation. Each function returns a template with its content."""

from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import shown_problems
from dialogue_ser.metrics.roc import roc_curves
from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.figures.class_figures import class_bars, confusion_heat_map, fold_dots, roc_figure
from dialogue_ser.report.figures.ruler import ruler
from dialogue_ser.report.sections.composition import Maker, Section, Subject, Tile, interval_tile
from dialogue_ser.report.sections.crossval_tables import (
    confusion_rows,
    fold_rows,
    group_rows,
    published_table,
    score_rows,
)
from dialogue_ser.report.sections.run_sections import class_predictions, errors, settings
from dialogue_ser.report.sections.tables import class_rows, format_interval, format_mean_std, format_score
from dialogue_ser.report.sections.value_sections import VALUE_MAKERS
from dialogue_ser.tasks import task_of_scores
from dialogue_ser.tasks.base import Task


def verdict(task: Task, scores: Mapping[str, Any]) -> str:
    """Return the result in two sentences."""
    key = task.fold_metric
    heading = heading_of(key)
    over_all_folds, headline, n_folds = scores["pooled"], scores["intervals"][key], len(scores["folds"])
    chance = "".join(f" (guessing gives {value:.3f})" for value in task.chance.values())
    text = (
        f"On {over_all_folds['n']:,} labelled test utterances of {n_folds} fold{'s' if n_folds > 1 else ''} "
        f"({scores['protocol']}) the {heading} of {scores['system']} is {over_all_folds[key]:.3f}{chance}. "
        f"{headline['level']:.0%} of the values lie in {format_interval(headline['low'], headline['high'])} if the "
        f"{scores['interval_over']} are resampled."
    )
    if n_folds > 1:
        mean = scores["fold_mean"][key]
        text += f" The mean {heading} of the folds is {format_mean_std(mean['mean'], mean['std'], 3)}."
    return text


def cautions(scores: Mapping[str, Any]) -> list[str]:
    """Return warnings that you must know before you compare the scores with others; often there is none."""
    found = []
    if scores["uses_unlabelled_test_recordings"]:
        found.append(
            "Transforms have learned from the unlabelled recordings of the test speakers. Do not compare the scores "
            "with those of systems that use each test utterance alone."
        )
    named = {name for fold in scores["folds"] for part in fold["speakers"].values() for name in part}
    both = sum(bool(set(fold["speakers"]["train"]) & set(fold["speakers"]["test"])) for fold in scores["folds"])
    if len(named) == 1:
        found.append(
            "The corpus names only one speaker, so it is unknown whether these scores hold for other speakers."
        )
    elif both:
        found.append(
            f"In {both} of {len(scores['folds'])} folds speakers of test are in train too. Expect worse scores for new "
            "speakers."
        )
    task = task_of_scores(scores)
    found += task.lacking_notes([fold[task.names_key] for fold in scores["folds"]])
    if scores["cut_dialogues"]:
        found.append(
            f"The folds cut {scores['cut_dialogues']:,} dialogues: a test turn lacks the turns of other parts as "
            "context, and other turns of the same conversation were used to train or to choose."
        )
    counts = scores["utterances"]
    if counts["tested"] < counts["all"]:
        found.append(f"{counts['tested']:,} of {counts['all']:,} utterances were tested.")
    return found


def result(subject: Subject) -> Section:
    """Return the section with the headline and its interval, warnings, and the other scores."""
    scores, task = subject.scores, subject.task
    over_all_folds, intervals, key = scores["pooled"], scores["intervals"], task.fold_metric
    tiles = [
        interval_tile(over_all_folds[other], intervals[other], heading_of(other))
        if other in intervals
        else Tile(value=format_score(over_all_folds[other], 3), name=heading_of(other), remark="")
        for other in task.crossval_tiles
    ]
    context = {
        "caption": f"{heading_of(key)}, over all folds",
        "interval": intervals[key],
        "drawn": ruler("this system", intervals[key], task.chance),
        "verdict": verdict(task, scores),
        "warnings": cautions(scores),
        "tiles": tiles,
    }
    return Section(template="result", context=context)


def annotation_of(scores: Mapping[str, Any]) -> str:
    """Return the name of the label set, or the dimensions that are predicted."""
    task = task_of_scores(scores)
    return str(scores["config"]["data"]["labels"]) if task.gives_probabilities else ", ".join(task.names)


def all_scores(subject: Subject) -> Section:
    """Return the section with every score over all folds and per fold, and the notes of the corpus reader."""
    scores, data = subject.scores, subject.scores["config"]["data"]
    facts: list[tuple[str, object]] = [
        ("corpus", f"{data['reader']}, {annotation_of(scores)}"),
        ("scenario", scores["scenario"]),
        ("protocol", scores["protocol"]),
    ]
    context = {
        "facts": facts,
        "score_rows": score_rows(scores),
        "remark": subject.task.score_remark,
        "notes": shown_problems(scores["notes"]),
    }
    return Section(template="crossval_scores", context=context)


def published(subject: Subject) -> Section | None:
    """Return the section that compares with published numbers; None if there are none on this corpus."""
    rows = published_table(subject.scores)
    if not rows:
        return None
    documents = list(dict.fromkeys((row["document"], row["title"]) for row in subject.scores["published"]))
    return Section(template="crossval_published", context={"rows": rows, "documents": documents})


def folds(subject: Subject) -> Section:
    """Return the section about the folds: scores, and number of turns per class."""
    scores, task = subject.scores, subject.task
    key = task.fold_metric
    dots = subject.gallery.draw(
        "folds",
        lambda theme: fold_dots(scores["folds"], key, scores["pooled"][key], task.chance, theme),
        f"{heading_of(key)} of every fold on test and dev; the table below has the numbers",
    )
    counts = [
        {"fold": fold["name"], "part": part, "utterances": fold["utterances"][part], **fold[task.names_key][part]}
        for fold in scores["folds"]
        for part in fold[task.names_key]
    ]
    return Section(template="crossval_folds", context={"dots": dots, "fold_rows": fold_rows(scores), "counts": counts})


def emotions(subject: Subject) -> Section:
    """Return the section about classes: how well each is found, confusions, and ROC curves."""
    scores, labels, predictions = subject.scores, subject.task.names, class_predictions(subject)
    over_all_folds, intervals, resampled = scores["pooled"], scores["class_intervals"], scores["interval_over"]
    curves = roc_curves(predictions.probabilities_NC, predictions.gold_N, labels)
    confusion = subject.gallery.draw(
        "confusion_matrix",
        lambda theme: confusion_heat_map(over_all_folds["confusion"], labels, theme),
        "Confusion matrix over all folds; the table below has the counts",
    )
    bars = subject.gallery.draw(
        "class_f1",
        lambda theme: class_bars(over_all_folds["per_class"], intervals, theme, resampled),
        "F1 of every class with its interval; the table below has the numbers",
    )
    roc = subject.gallery.draw(
        "roc",
        lambda theme: roc_figure(curves, theme),
        "ROC curve of every class against the rest; the table of classes has the areas",
    )
    context = {
        "confusion": confusion,
        "bars": bars,
        "interval_over": resampled,
        "class_rows": class_rows({"scores": over_all_folds, "class_intervals": intervals}),
        "roc": roc,
        "confusion_rows": confusion_rows(over_all_folds["confusion"], labels),
    }
    return Section(template="crossval_emotions", context=context)


def speakers(subject: Subject) -> Section:
    """Return the section with scores per speaker, and per session, scenario, … if the corpus has them."""
    groups = {"speaker": subject.scores["speakers"], **subject.scores["attributes"]}
    rows = {name: group_rows(subject.scores, found, name) for name, found in groups.items()}
    return Section(template="crossval_speakers", context={"groups": rows, "remark": subject.task.group_remark})


#: Every section that a cross-validation's page can have.
MAKERS: Mapping[str, Maker] = {
    "result": result,
    "scores": all_scores,
    "published": published,
    "folds": folds,
    "emotions": emotions,
    "speakers": speakers,
    "errors": errors,
    "run": settings,
    **VALUE_MAKERS,
}
