"""Tables of the error analysis of a suite, from its ``errors.json``: systems in rows, groups of turns in columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dialogue_ser.metrics.table import METRICS, heading_of
from dialogue_ser.report.sections.tables import format_difference, format_interval, format_score

Errors = Mapping[str, Any]
Cell = dict[str, object]
Table = dict[str, Any]

#: A difference to the reference of this size has the strongest colour.
STRONG_DIFFERENCE = 0.1
_STRONGEST_PER_CENT = 38
#: Most confusions that have a column.
MOST_CONFUSIONS = 8
#: Kind of grouping → its title, and what it divides.
KINDS: Mapping[str, tuple[str, str]] = {
    "speaker": ("By speaker", "The most frequent speakers. All others are together."),
    "speaker_in_train": ("Speakers that train has or lacks", "Whether a train turn has the same speaker."),
    "fold": ("By fold", "The folds of the cross-validation."),
    "emotion_shift": (
        "Shift of the speaker",
        "The emotion shifted if it differs from that of the same speaker's previous turn in the dialogue. Otherwise it "
        "stayed.",
    ),
    "emotion_change": (
        "Change from the previous turn",
        "The emotion changed if it differs from that of the previous turn of the dialogue, whoever spoke.",
    ),
    "turn_position": ("Position", "The number of the turn in its dialogue, counted from 1."),
    "dialogue_length": ("Length of the dialogue", "The number of turns of the dialogue."),
    "turn_words": ("Words of the turn", "The number of words. A Chinese or Japanese letter counts as a word."),
    "turn_seconds": ("Duration of the turn", "The duration that the corpus states. Turns without times are left out."),
}


def ranked(errors: Errors) -> list[Mapping[str, Any]]:
    """Return the systems, the best mean of the default metric first."""
    key = errors["metric"]
    return sorted(errors["systems"], key=lambda one: -METRICS[key].sign * one["scores"][key]["mean"])


def group_table(errors: Errors, grouping: Mapping[str, Any], metric: str) -> Table:
    """Return the table of a metric for one grouping. The default metric has a row with the difference of the pair."""
    small = [group["is_small"] for group in grouping["groups"]]
    table = _table(
        errors,
        [(group["name"], f"{group['n']:,} turns") for group in grouping["groups"]],
        lambda label: [None if one is None else (one["mean"], one["std"]) for one in grouping["scores"][label][metric]],
        METRICS[metric].sign,
        small,
    )
    if metric == errors["metric"] and any(grouping["differences"]):
        table["difference"] = [_difference_cell(one) for one in grouping["differences"]]
    return table


def item_table(errors: Errors, name: str, sign: int = 1) -> Table:
    """Return the table of one score of classes or dimensions, e.g. ``precision``. That of F1 or CCC has differences."""
    systems = {one["label"]: one for one in errors["systems"]}
    items = errors["systems"][0]["items"]
    n = {item: value.get("support", value.get("n")) for item, value in items.items()}

    def values(label: str) -> list[tuple[float, float] | None]:
        found = (systems[label]["items"][item][name] for item in items)
        return [None if one is None else (one["mean"], one["std"]) for one in found]

    small = [(count or 0) < errors["few_turns"] for count in n.values()]
    table = _table(errors, [(item, f"{count:,} turns") for item, count in n.items()], values, sign, small)
    if name in ("f1", "ccc") and any(errors["item_differences"]):
        table["difference"] = [_difference_cell(one) for one in errors["item_differences"]]
    return table


def confusion_table(errors: Errors) -> Table:
    """Return the most frequent confusions: for each system the share of the turns of a class that get another one."""
    labels = errors["labels"]
    counts_SCC = np.array([one["confusion"] for one in errors["systems"]])
    support_C = counts_SCC[0].sum(-1)
    mean_CC = counts_SCC.mean(0)
    np.fill_diagonal(mean_CC, 0.0)
    order = [divmod(int(i), len(labels)) for i in np.argsort(-mean_CC, axis=None, kind="stable")[:MOST_CONFUSIONS]]
    pairs = [(gold, given) for gold, given in order if mean_CC[gold, given]]
    of = {one["label"]: counts for one, counts in zip(errors["systems"], counts_SCC, strict=True)}
    return _table(
        errors,
        [(f"{labels[gold]} → {labels[given]}", f"{support_C[gold]:,.0f} turns") for gold, given in pairs],
        lambda label: [(float(of[label][gold, given] / support_C[gold]), None) for gold, given in pairs],
        -1,
        [support_C[gold] < errors["few_turns"] for gold, _ in pairs],
    )


def _table(
    errors: Errors,
    heads: Sequence[tuple[str, str]],
    values: Callable[[str], Sequence[tuple[float, float | None] | None]],
    sign: int,
    small: Sequence[bool],
) -> Table:
    """Return a table: ``heads``, and ``rows`` with the cells of each system and their differences to its reference."""
    found = {one["label"]: list(values(one["label"])) for one in errors["systems"]}
    references = {one["reference"] for one in errors["systems"]}
    rows = []
    for system in ranked(errors):
        label, theirs = system["label"], found.get(system["reference"])
        several = len(system["seeds"]) > 1
        cells = [
            _cell(value, several, None if theirs is None else theirs[column], sign, small[column])
            for column, value in enumerate(found[label])
        ]
        rows.append({"label": label, "is_reference": label in references, "cells": cells})
    shown = [{"name": name, "n": n, "is_small": is_small} for (name, n), is_small in zip(heads, small, strict=True)]
    return {"heads": shown, "rows": rows, "difference": None}


def _cell(
    value: tuple[float, float | None] | None,
    has_seeds: bool,
    reference: tuple[float, float | None] | None,
    sign: int,
    is_small: bool,
) -> Cell:
    """Return what a cell shows: text, spread over seeds, difference to the reference, and the strength of colour."""
    if value is None:
        return {"text": "–", "spread": "", "difference": "", "colour": 0, "is_small": is_small}
    mean, std = value
    cell: Cell = {
        "text": format_score(mean, 3),
        "spread": f"± {std:.3f}" if has_seeds and std is not None else "",
        "difference": "",
        "colour": 0,
        "is_small": is_small,
    }
    if reference is not None and not is_small:
        difference = mean - reference[0]
        strength = max(-1.0, min(1.0, sign * difference / STRONG_DIFFERENCE))
        cell |= {"difference": format_difference(difference), "colour": round(_STRONGEST_PER_CENT * strength)}
    return cell


def _difference_cell(found: Mapping[str, Any] | None) -> Mapping[str, object]:
    if found is None:
        return {"text": "–", "interval": "", "is_sure": False}
    return {
        "text": format_difference(found["estimate"]),
        "interval": format_interval(found["low"], found["high"], 2).replace("-", "−"),
        "is_sure": found["low"] > 0 or found["high"] < 0,
    }


def sure_groups(errors: Errors) -> dict[str, list[str]]:
    """Return the groups where the first system of the pair is ``better`` or ``worse``, by an interval without 0.

    The largest differences come first.
    """
    sign = METRICS[errors["metric"]].sign
    found: dict[str, list[tuple[float, str]]] = {"better": [], "worse": []}
    for grouping in errors["groupings"]:
        title = KINDS.get(grouping["kind"], (grouping["kind"], ""))[0]
        for group, one in zip(grouping["groups"], grouping["differences"], strict=True):
            if one is not None and (one["low"] > 0 or one["high"] < 0):
                name = f"{title[:1].lower()}{title[1:]}: {group['name']} ({format_difference(one['estimate'])})"
                found["better" if sign * one["estimate"] > 0 else "worse"].append((-abs(one["estimate"]), name))
    return {word: [name for _, name in sorted(names)] for word, names in found.items()}


def right_rows(errors: Errors) -> list[dict[str, object]]:
    """Return one row for each class: the turns that all, some, or none of the systems get right."""
    return [
        {"class": name}
        | {"gold turns": one["n"]}
        | {f"{which} right": _share(one[key], one["n"]) for which, key in _RIGHT.items()}
        for name, one in errors["right"]["classes"].items()
    ]


_RIGHT = {"all systems": "all", "some": "some", "no system": "none"}


def system_rows(errors: Errors) -> list[dict[str, object]]:
    """Return one row for each system: its right turns, and those that it gains or loses against the reference."""
    n = errors["right"]["n"]
    rows: list[dict[str, object]] = []
    for system in ranked(errors):
        one, gains = errors["right"]["systems"][system["label"]], errors["gains"].get(system["label"])
        row: dict[str, object] = {"system": system["label"], "right": f"{one['right']:.1%}"}
        if errors["right"]["n_systems"] > 1:
            row |= {"only it is right": one["alone"], "only it is wrong": one["alone_wrong"]}
        if errors["gains"]:
            row |= {
                "reference": gains["reference"] if gains else "",
                "both right": _share(gains["both"], n) if gains else "",
                "gained": _share(gains["gained"], n) if gains else "",
                "lost": _share(gains["lost"], n) if gains else "",
                "both wrong": _share(gains["neither"], n) if gains else "",
            }
        rows.append(row)
    return rows


def _share(count: int, n: int) -> str:
    return f"{count:,} ({count / n:.0%})" if n else "0"


def agreement_sentence(errors: Errors) -> str:
    """Return how far seeds and systems agree, in one or two sentences."""
    measure = next(iter(errors["agreement"]))
    matrix = errors["agreement"][measure]
    own = [row[i] for i, row in enumerate(matrix) if row[i] is not None]
    others = [one for i, row in enumerate(matrix) for one in row[:i] if one is not None]

    def said(values: Sequence[float]) -> str:
        mean = float(np.mean(values))
        if measure == "equal":
            return f"give the same label at {mean:.1%} of the turns"
        return f"agree with a CCC of {mean:.3f}"

    parts = [f"two seeds of one system {said(own)} on average"] if own else []
    parts += [f"runs of two different systems {said(others)}"] if others else []
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if parts else "There is one run, so there is nothing to compare."


def heading(errors: Errors) -> str:
    """Return the heading of the default metric."""
    return heading_of(errors["metric"])
