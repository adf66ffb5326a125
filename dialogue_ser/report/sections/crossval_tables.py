"""Rows of the tables about a cross-validation, from its ``scores.json``, for the terminal and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from dialogue_ser.metrics.table import METRICS, heading_of
from dialogue_ser.report.sections.tables import format_interval, format_mean_std, format_score, heading_in
from dialogue_ser.tasks import task_of_scores

Rows = list[dict[str, object]]

_SHORT_NAMES = {"inverse_regularisation": "C", "best_epoch": "epoch"}


def fold_rows(scores: Mapping[str, Any]) -> Rows:
    """Return one row per fold, then rows for the mean ± std of several folds, all folds together, and the intervals.

    Args:
        scores: the content of ``scores.json``.
    """
    task = task_of_scores(scores)
    chooser = f"dev {heading_of(task.fold_metric)}"
    keys = dict.fromkeys((task.fold_metric, *task.headline, *task.crossval_tiles, "micro_f1"))
    names = {key: heading_of(key) for key in keys if key in scores["pooled"]}
    rows: Rows = [
        {"fold": fold["name"], "turns": fold["n"], chooser: format_score(fold["dev"][task.fold_metric], 3)}
        | {name: format_score(fold[key], 3) for key, name in names.items()}
        | {
            "chosen on dev": ", ".join(
                f"{_SHORT_NAMES[k]} {v:g}" for k, v in fold["chosen"].items() if k in _SHORT_NAMES
            )
        }
        for fold in scores["folds"]
    ]

    def row(name: str, turns: object, dev: str, cells: Mapping[str, str]) -> dict[str, object]:
        return {"fold": name, "turns": turns, chooser: dev, **cells, "chosen on dev": ""}

    if len(rows) > 1:
        rows.append(row("mean ± std", "", "", {name: _mean(scores, key) for key, name in names.items()}))
    together = {name: format_score(scores["pooled"][key], 3) for key, name in names.items()}
    rows.append(
        row("over all folds", scores["pooled"]["n"], format_score(scores["dev"][task.fold_metric], 3), together)
    )
    intervals = {name: _interval(scores, key) for key, name in names.items()}
    rows.append(row(f"95 % over {scores['interval_over']}", "", "", intervals))
    return rows


def score_rows(scores: Mapping[str, Any]) -> Rows:
    """Return one row per metric: its value over all folds with the interval, mean ± std of the folds, value on dev."""
    task = task_of_scores(scores)
    library = task.metrics()
    first = [task.fold_metric, *(key for key in library if key != task.fold_metric)]
    user_metrics = [key for key, value in scores["pooled"].items() if key not in METRICS and isinstance(value, float)]
    rows: Rows = []
    for key in (key for key in (*first, *user_metrics) if key in scores["pooled"]):
        several = {"mean ± std of folds": _mean(scores, key)} if len(scores["folds"]) > 1 else {}
        rows.append(
            {
                "score": library[key].heading if key in library else heading_in(scores, key),
                "over all folds": format_score(scores["pooled"][key], 3),
                f"95 % over {scores['interval_over']}": _interval(scores, key),
                **several,
                "dev (used to choose)": format_score(scores["dev"][key], 3),
            }
        )
    return rows


def group_rows(scores: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], heading: str) -> Rows:
    """Return one row per group, e.g. per speaker or per session.

    Args:
        scores: the content of ``scores.json``.
        groups: name of the group → its number of turns and its scores.
        heading: heading of the first column.
    """
    task = task_of_scores(scores)
    names = {key: heading_of(key) for key in dict.fromkeys((task.fold_metric, *task.headline))}
    return [
        {heading: name, "turns": row["n"]} | {text: format_score(row[key], 3) for key, text in names.items()}
        for name, row in groups.items()
    ]


def confusion_rows(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> Rows:
    """Return one row per gold class: how many of its turns are predicted as each class."""
    return [
        {"gold": gold, **{f"as {label}": count for label, count in zip(labels, row, strict=True)}}
        for gold, row in zip(labels, confusion, strict=True)
    ]


def published_table(scores: Mapping[str, Any], *, same_conditions: bool = False) -> Rows:
    """Return rows of measured scores, then rows of published ones; no rows if nothing is published on the corpus.

    Args:
        scores: the content of ``scores.json``.
        same_conditions: keep only published numbers with the same number of classes and, if stated, the same scenario.
    """
    published = [row for row in scores["published"] if row["same_conditions"] or not same_conditions]
    if not published:
        return []
    own = {
        "system": scores["system"],
        "modalities": ", ".join(scores["config"]["features"]),
        "classes": str(len(scores["labels"])),
        "scenario": scores["scenario"] or None,
        "protocol": scores["protocol"],
    }
    together = {name: format_score(scores["pooled"][_STORED_AS.get(key, key)]) for key, (name, _) in _PUBLISHED.items()}
    rows: Rows = [{"numbers": "measured here: over all folds"} | own | together]
    if len(scores["folds"]) > 1:
        means = {name: _mean(scores, _STORED_AS.get(key, key), 4) for key, (name, _) in _PUBLISHED.items()}
        rows.append({"numbers": "measured here: mean of folds"} | own | means)
    return [*rows, *document_rows(published)]


def document_rows(published: Sequence[Mapping[str, Any]]) -> Rows:
    """Return one row per published number, marked as published.

    Args:
        published: rows as :meth:`~dialogue_ser.evaluation.published.PublishedRow.to_dict` gives them.
    """
    return [
        {
            "numbers": f"published: {'quoted by ' if row['is_quoted'] else ''}{row['document']}",
            "system": row["system"],
            "modalities": ", ".join(row["modalities"]),
            "classes": None if row["classes"] is None else str(row["classes"]),
            "scenario": row["scenario"] or None,
            "protocol": row["protocol"] or None,
        }
        | {name: _published_score(row["scores"].get(key)) for name, key in _PUBLISHED.values()}
        for row in published
    ]


#: Key of a measured score → (column, key of the published score). The documents do not say which average they use.
_PUBLISHED: Mapping[str, tuple[str, str]] = {
    "accuracy": ("WA", "wa"),
    "uar": ("UA", "ua"),
    "weighted_precision": ("precision", "precision"),
    "weighted_recall": ("recall", "recall"),
    "weighted_f05": ("F0.5", "f05"),
}
#: Score → its key in ``scores.json``. Weighted recall is the same number as accuracy and is stored as that.
_STORED_AS: Mapping[str, str] = {"weighted_recall": "accuracy"}


def _mean(scores: Mapping[str, Any], key: str, digits: int = 3) -> str:
    found = scores["fold_mean"].get(key)
    return "–" if found is None else format_mean_std(found["mean"], found["std"], digits)


def _interval(scores: Mapping[str, Any], key: str) -> str:
    found = scores["intervals"].get(key)
    return "–" if found is None else format_interval(found["low"], found["high"])


def _published_score(score: Mapping[str, Any] | None) -> str:
    return "–" if score is None else format_mean_std(score["value"], score["std"])
