"""Rows about a cross-validation, from its ``scores.json``: the terminal and the page show the same ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from dialogue_ser.metrics.table import METRICS, heading_of
from dialogue_ser.report.sections.tables import format_interval, format_mean_std, format_score, own_heading
from dialogue_ser.tasks import task_of_scores

Rows = list[dict[str, object]]

_CHOSEN = {"inverse_regularisation": "C", "best_epoch": "epoch"}


def fold_rows(scores: Mapping[str, Any]) -> Rows:
    """One row per fold, then their mean ± std (where there are several), the pooled scores and their intervals.

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
        | {"chosen on dev": ", ".join(f"{_CHOSEN[k]} {v:g}" for k, v in fold["chosen"].items() if k in _CHOSEN)}
        for fold in scores["folds"]
    ]

    def row(name: str, turns: object, dev: str, cells: Mapping[str, str]) -> dict[str, object]:
        return {"fold": name, "turns": turns, chooser: dev, **cells, "chosen on dev": ""}

    if len(rows) > 1:
        rows.append(row("mean ± std", "", "", {name: _mean(scores, key) for key, name in names.items()}))
    pooled = {name: format_score(scores["pooled"][key], 3) for key, name in names.items()}
    rows.append(row("pooled", scores["pooled"]["n"], format_score(scores["dev"][task.fold_metric], 3), pooled))
    spans = {name: _span(scores, key) for key, name in names.items()}
    rows.append(row(f"95 % over {scores['interval_over']}", "", "", spans))
    return rows


def score_rows(scores: Mapping[str, Any]) -> Rows:
    """One row per metric: of all test turns together, with its interval; mean ± std of folds; of dev."""
    task = task_of_scores(scores)
    library = task.metrics()
    first = [task.fold_metric, *(key for key in library if key != task.fold_metric)]
    own = [key for key, value in scores["pooled"].items() if key not in METRICS and isinstance(value, float)]
    rows: Rows = []
    for key in (key for key in (*first, *own) if key in scores["pooled"]):
        several = {"mean ± std of folds": _mean(scores, key)} if len(scores["folds"]) > 1 else {}
        rows.append(
            {
                "score": library[key].heading if key in library else own_heading(scores, key),
                "pooled": format_score(scores["pooled"][key], 3),
                f"95 % over {scores['interval_over']}": _span(scores, key),
                **several,
                "dev, which chose": format_score(scores["dev"][key], 3),
            }
        )
    return rows


def group_rows(scores: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], heading: str) -> Rows:
    """One row per speaker, session, ….

    Args:
        scores: the content of ``scores.json``.
        groups: name → n and scores.
        heading: of the first column.
    """
    task = task_of_scores(scores)
    names = {key: heading_of(key) for key in dict.fromkeys((task.fold_metric, *task.headline))}
    return [
        {heading: name, "turns": row["n"]} | {text: format_score(row[key], 3) for key, text in names.items()}
        for name, row in groups.items()
    ]


def confusion_rows(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> Rows:
    """One row per gold class: how many of its turns were said to be which."""
    return [
        {"gold": gold, **{f"as {label}": count for label, count in zip(labels, row, strict=True)}}
        for gold, row in zip(labels, confusion, strict=True)
    ]


def published_table(scores: Mapping[str, Any], *, same_conditions: bool = False) -> Rows:
    """What was measured here, then what documents print about the same corpus, marked as such; empty without any.

    Args:
        scores: the content of ``scores.json``.
        same_conditions: only rows under as many classes and, where they state one, the same scenario.
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
    pooled = {name: format_score(scores["pooled"][_SAME.get(key, key)]) for key, (name, _) in _PUBLISHED.items()}
    rows: Rows = [{"numbers": "measured here: pooled"} | own | pooled]
    if len(scores["folds"]) > 1:
        means = {name: _mean(scores, _SAME.get(key, key), 4) for key, (name, _) in _PUBLISHED.items()}
        rows.append({"numbers": "measured here: folds"} | own | means)
    return [*rows, *document_rows(published)]


def document_rows(published: Sequence[Mapping[str, Any]]) -> Rows:
    """One row per published number, marked as published.

    Args:
        published: rows as :meth:`~dialogue_ser.evaluation.crossval.published.PublishedRow.to_dict` gives them.
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


#: Own score → (column, the documents' key); the documents do not say which average theirs are.
_PUBLISHED: Mapping[str, tuple[str, str]] = {
    "accuracy": ("WA", "wa"),
    "uar": ("UA", "ua"),
    "weighted_precision": ("precision", "precision"),
    "weighted_recall": ("recall", "recall"),
    "weighted_f05": ("F0.5", "f05"),
}
#: Weighted recall is accuracy, under which name it is counted.
_SAME: Mapping[str, str] = {"weighted_recall": "accuracy"}


def _mean(scores: Mapping[str, Any], key: str, digits: int = 3) -> str:
    found = scores["fold_mean"].get(key)
    return "–" if found is None else format_mean_std(found["mean"], found["std"], digits)


def _span(scores: Mapping[str, Any], key: str) -> str:
    found = scores["intervals"].get(key)
    return "–" if found is None else format_interval(found["low"], found["high"])


def _published_score(score: Mapping[str, Any] | None) -> str:
    return "–" if score is None else format_mean_std(score["value"], score["std"])
