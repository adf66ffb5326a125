"""Write the pages of the error analysis of a suite: ``index.html`` with tables, ``dialogues.html`` with dialogues."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import MissingDataError
from dialogue_ser.metrics.table import METRICS, heading_of
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.figures.long_dialogues import MOST_TURNS, window
from dialogue_ser.report.figures.suite_figures import heat_map
from dialogue_ser.report.figures.theme import colours_of
from dialogue_ser.report.html import render_page
from dialogue_ser.report.sections import error_tables as tables
from dialogue_ser.report.sections.composition import Section, part_note
from dialogue_ser.report.sections.tables import format_score
from dialogue_ser.runs.run_files import read_json

#: Name of the page about dialogues.
DIALOGUES = "dialogues.html"
#: More systems than this are not drawn in the map of agreement; errors.json has all of them.
MOST_DRAWN = 40
#: Maps of more systems than this have no numbers; a table has them.
_MOST_NUMBERED = 10
#: A longer text of a turn is cut on the page.
MOST_LETTERS = 1200
#: Section → the groupings in it.
_SECTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "speakers": ("Speakers", ("speaker", "speaker_in_train", "fold")),
    "shifts": ("Shifts of emotion", ("emotion_shift", "emotion_change")),
    "positions": ("Positions and dialogues", ("turn_position", "dialogue_length")),
    "lengths": ("Lengths of turns", ("turn_words", "turn_seconds")),
}
_MEASURES = {"equal": "share of turns with the same label", "kappa": "Cohen's kappa", "ccc": "CCC between the values"}


def write_errors_report(folder: Path) -> Path:
    """Write ``index.html``, ``dialogues.html`` and ``figures/`` of an error analysis.

    Args:
        folder: folder with ``errors.json``.

    Returns:
        the path of ``index.html``. The pages have no script and load nothing.

    Raises:
        MissingDataError: there is no error analysis.
    """
    errors = read_json(folder / "errors.json")
    if errors.get("kind") != "suite-errors":
        raise MissingDataError(f"{folder}: has no errors.json of a suite; run dialogue-ser errors SUITE_FOLDER")
    gallery = Gallery()
    subtitle = " · ".join(part for part in (errors["description"], f"errors on {errors['split']}") if part)
    page = render_page(errors["name"], subtitle, _sections(errors, gallery))
    gallery.write(folder / "figures")
    if errors["dialogues"]:
        a, b = errors["dialogues"]["systems"]
        dialogues = render_page(f"{a} and {b}", f"{errors['name']} · {errors['split']}", _dialogue_sections(errors))
        write_atomically(folder / DIALOGUES, dialogues)
    else:
        (folder / DIALOGUES).unlink(missing_ok=True)  # it would be that of an earlier analysis
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def missing_runs(errors: Mapping[str, Any]) -> str:
    """Return a sentence about the runs that are not finished; "" if all are."""
    missing = errors["missing"]
    if not missing:
        return ""
    more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
    return f"{counted(len(missing), 'run')} not finished, and therefore missing here: {', '.join(missing[:10])}{more}."


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "run"), counted(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verdict(errors: Mapping[str, Any]) -> list[str]:
    """Return what the analysis found, one sentence or two for each subject."""
    counts, best = errors["counts"], tables.ranked(errors)[0]
    score = format_score(best["scores"][errors["metric"]]["mean"])
    n_systems = len(errors["systems"])
    found = [
        f"{counted(n_systems, 'system')}, {counted(counts['labelled'], 'labelled turn')} of "
        f"{counted(counts['dialogues'], 'dialogue')}. {best['label']} has the best {tables.heading(errors)}: {score}."
    ]
    right = errors["right"]
    if right and n_systems > 1:
        none = right["histogram"][0] / right["n"]
        found.append(
            f"At least one system is right at {right['oracle']:.1%} of the turns, and no system at {none:.1%}. The "
            f"best single system is right at {max(one['right'] for one in right['systems'].values()):.1%}."
        )
    found.append(tables.agreement_sentence(errors))
    if errors["dialogues"]:
        a, b = errors["dialogues"]["systems"]
        for word, names in tables.sure_groups(errors).items():
            shown = "; ".join(names[:5]) + (f"; and {len(names) - 5} more" if len(names) > 5 else "")
            if names:
                found.append(f"{a} is {word} than {b} in {counted(len(names), 'group')} (interval without 0): {shown}.")
    return found


def _sections(errors: Mapping[str, Any], gallery: Gallery) -> dict[str, Section]:
    context = {
        "lines": verdict(errors),
        "missing": missing_runs(errors),
        "notes": errors["notes"],
        "dialogues_page": DIALOGUES if errors["dialogues"] else "",
        "pair": errors["dialogues"]["systems"] if errors["dialogues"] else [],
    }
    found = {"result": Section(template="error_result", context=context), **_item_sections(errors)}
    of_kind = {grouping["kind"]: grouping for grouping in errors["groupings"]}
    known = {kind for _, kinds in _SECTIONS.values() for kind in kinds}
    sections = {**_SECTIONS, "others": ("Other groups", tuple(kind for kind in of_kind if kind not in known))}
    for name, (title, kinds) in sections.items():
        shown = [_grouping(errors, of_kind[kind]) for kind in kinds if kind in of_kind]
        if shown:
            found[name] = _tables(errors, title, shown)
    found["agreement"] = _agreement(errors, gallery)
    if errors["dialogues"]:
        found["dialogues"] = Section(template="error_list", context={**_pair(errors), "page": DIALOGUES})
    found["method"] = Section(template="error_method", context={"errors": errors, "heading": tables.heading(errors)})
    return found


def _tables(errors: Mapping[str, Any], title: str, shown: list[dict[str, Any]], matrices: object = ()) -> Section:
    pair = errors["dialogues"]["systems"] if errors["dialogues"] else []
    return Section(
        template="error_tables", context={"title": title, "tables": shown, "pair": pair, "matrices": matrices}
    )


def _grouping(errors: Mapping[str, Any], grouping: Mapping[str, Any]) -> dict[str, Any]:
    title, text = tables.KINDS.get(grouping["kind"], (grouping["kind"], ""))
    first, *others = errors["headings"]
    more = [(heading_of(key), tables.group_table(errors, grouping, key)) for key in others]
    table = tables.group_table(errors, grouping, first)
    return {"title": f"{title}: {tables.heading(errors)}", "text": text, "table": table, "more": more}


def _item_sections(errors: Mapping[str, Any]) -> dict[str, Section]:
    """Return the sections about classes and confusions, or about dimensions."""
    if "labels" not in errors:
        keys = [key for key in METRICS if METRICS[key].needs == "moments"]
        first, *others = [(heading_of(key), tables.item_table(errors, key, METRICS[key].sign)) for key in keys]
        shown = {"title": first[0], "text": "", "table": first[1], "more": others}
        return {"dimensions": _tables(errors, "Dimension by dimension", [shown])}
    more = [(name, tables.item_table(errors, name)) for name in ("precision", "recall")]
    f1 = {"title": "F1", "text": "", "table": tables.item_table(errors, "f1"), "more": more}
    table = tables.confusion_table(errors)
    text = (
        "The most frequent confusions, gold label → predicted label: the share of the turns of the gold label. Lower "
        "is better. Means over seeds."
    )
    confusions = {"title": "Confusions", "text": text if table["heads"] else "", "table": table, "more": []}
    matrices = [
        {"label": system["label"], "rows": _shares(system["confusion"], errors["labels"])}
        for system in tables.ranked(errors)
    ]
    return {
        "classes": _tables(errors, "Emotion by emotion", [f1]),
        "confusions": _tables(errors, "Confusions", [confusions], {"labels": errors["labels"], "systems": matrices}),
    }


def _shares(confusion: Any, labels: list[str]) -> list[dict[str, Any]]:
    counts_CC = np.asarray(confusion, dtype=np.float64)
    n_C = counts_CC.sum(-1)
    shares_CC = np.divide(counts_CC, n_C[:, None], out=np.zeros_like(counts_CC), where=n_C[:, None] > 0)
    return [
        {"label": label, "n": int(n), "shares": shares.tolist()}
        for label, n, shares in zip(labels, n_C, shares_CC, strict=True)
    ]


def _agreement(errors: Mapping[str, Any], gallery: Gallery) -> Section:
    labels = [one["label"] for one in errors["systems"]]
    order = [labels.index(one["label"]) for one in tables.ranked(errors)][:MOST_DRAWN]
    names = [labels[i] for i in order]
    pictures = []
    for measure, matrix in errors["agreement"].items():
        values = np.array(matrix, dtype=np.float64)[np.ix_(order, order)]  # None becomes NaN
        text = f"{_MEASURES.get(measure, measure)}, for all pairs of systems"
        draw = partial(heat_map, values, names, names, with_numbers=len(names) <= _MOST_NUMBERED)
        pictures.append((gallery.draw(f"agreement_{measure}", draw, text), text, values.tolist()))
    context = {
        "sentence": tables.agreement_sentence(errors),
        "pictures": pictures,
        "names": names,
        "has_tables": len(names) > _MOST_NUMBERED,
        "right": errors["right"],
        "right_rows": tables.right_rows(errors) if errors["right"] else [],
        "system_rows": tables.system_rows(errors) if errors["right"] else [],
    }
    return Section(template="error_agreement", context=context)


def _pair(errors: Mapping[str, Any]) -> dict[str, Any]:
    found = errors["dialogues"]
    return {
        "systems": found["systems"],
        "shown": [_shown(one) for one in found["shown"]],
        "n_all": len(found["all"]),
        "has_classes": "labels" in errors,
    }


def _shown(dialogue: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dialogue as the page shows it. Of a long one only the turns with the largest differences are shown."""
    lines = dialogue["lines"]
    part = window(np.array([line["difference"] for line in lines]), MOST_TURNS)
    return {
        **dialogue,
        "lines": [
            {**line, "number": part.start + i + 1, "text": _cut(line["text"])} for i, line in enumerate(lines[part])
        ],
        "note": part_note(part, len(lines), "with the largest differences").replace("The picture", "The page"),
    }


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def _dialogue_sections(errors: Mapping[str, Any]) -> dict[str, Section]:
    labels = errors.get("labels", [])
    colours = colours_of(labels)
    found = _pair(errors)
    context = {**found, "labels": labels, "colours": colours}
    return {
        "result": Section(template="error_dialogues_intro", context=context),
        "dialogues": Section(template="error_dialogues", context=context),
    }
