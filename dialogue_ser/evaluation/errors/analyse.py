"""Analyse the errors of a suite: ``errors.json`` with all numbers, ``turns.csv`` with all predictions side by side."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.evaluation.errors.agreement import agreement, gains_and_losses, is_right, right_turns
from dialogue_ser.evaluation.errors.dialogue_differences import differing_dialogues
from dialogue_ser.evaluation.errors.groups import (
    FEW_TURNS,
    Grouping,
    averaged_details,
    grouping_scores,
    groupings,
    item_differences,
)
from dialogue_ser.evaluation.errors.suite_turns import SuiteTurns, SystemTurns, read_suite_turns
from dialogue_ser.evaluation.errors.turn_lengths import turn_seconds
from dialogue_ser.evaluation.suite.contents import CONTENTS, read_contents
from dialogue_ser.foreign_text.spreadsheet_cells import guard
from dialogue_ser.metrics.table import heading_of
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.trust import Trust

#: Name of the folder inside the folder of the suite, and of the files in it.
FOLDER, NUMBERS, TURNS = "errors", "errors.json", "turns.csv"
FORMAT = 1
TOP = 20


def analyse_errors(
    folder: Path,
    *,
    systems: str | None = None,
    top: int = TOP,
    split: str | None = None,
    out: Path | None = None,
    trust_code: Trust = False,
) -> Path:
    """Analyse the errors of a suite, and write ``errors.json`` and ``turns.csv``. Nothing is trained.

    Args:
        folder: folder of the suite. It may be unfinished, moved or copied.
        systems: labels of two systems, ``A,B``, whose dialogues are compared; one label = this one and its reference;
            None = the best system and its reference, or the two best ones without a reference.
        top: number of dialogues that are shown.
        split: split to analyse; None = the one that the suite reports.
        out: folder for the files; None = ``errors`` inside the folder of the suite.
        trust_code: code that the runs may name, e.g. the user's own reader. Without it, only the seconds of the turns
            are missing.

    Returns:
        the folder with the files.

    Raises:
        ConfigError: a system does not exist, ``top`` is below 1, or ``out`` is the folder of a suite.
        DialogueSerError: there is no suite, or none of its runs can be used.
    """
    if top < 1:
        raise ConfigError(f"errors: --top: found {top}, expected a number of at least 1")
    out = out or folder / FOLDER
    if (out / CONTENTS).is_file() or (out / "results.json").is_file():
        raise ConfigError(f"errors: --out: {out} is the folder of a suite; its page would be lost, so choose another")
    contents = read_contents(folder)
    data = read_suite_turns(contents, split or contents.split)
    pair = chosen_pair(data, systems)
    seconds_N, why = turn_seconds(data.run.folder, data.turns, trust_code)
    found, notes = groupings(data, seconds_N)
    result = {
        **_description(data, [*data.notes, *([why] if why else []), *notes]),
        "systems": [_described(system) for system in data.systems],
        "item_differences": item_differences(data, pair),
        "groupings": [grouping_scores(data, grouping, pair) for grouping in found],
        "agreement": agreement(data),
        "right": right_turns(data),
        "gains": gains_and_losses(data),
        "dialogues": differing_dialogues(data, pair, top) if len(pair) == 2 else None,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / NUMBERS, to_json(result))
    write_atomically(out / TURNS, turns_table(data, found))
    return out


def chosen_pair(data: SuiteTurns, asked: str | None) -> tuple[SystemTurns, ...]:
    """Return the two systems whose dialogues are compared; only one or none if the suite has no second one.

    Args:
        data: the systems.
        asked: what the user names, see :func:`analyse_errors`.

    Raises:
        ConfigError: a system does not exist, or has no finished run.
    """
    ranked = data.ranked
    if asked is None:
        best = next((system for system in ranked if system.reference), ranked[0])
    else:
        names = {name: one for one in data.systems for name in (one.label, one.label.replace(" · ", "/"))}
        text = ",".join(part.strip() for part in asked.split(","))
        # A label may have a comma in it, so the pair is looked for as a whole.
        pairs = [(names[a], names[b]) for a, b in product(names, names) if f"{a},{b}" == text]
        if pairs and pairs[0][0] is not pairs[0][1]:
            return pairs[0]
        if text not in names:
            raise _unknown_systems(data, text, names)
        best = names[text]
    others = [system for system in ranked if system is not best]
    other = data.system(best.reference) if best.reference else others[0] if others else None
    return (best,) if other is None else (best, other)


def _unknown_systems(data: SuiteTurns, text: str, names: Mapping[str, SystemTurns]) -> ConfigError:
    parts = text.split(",")
    unknown = [part for part in parts if part not in names]
    unfinished = {row.label for row in data.contents.rows} - {system.label for system in data.systems}
    problems = [
        f"--systems: {part} has no finished run; continue the suite with dialogue-ser benchmark"
        if part in unfinished
        else f"--systems: {unknown_name('system', part, [system.label for system in data.systems])}"
        for part in unknown
    ]
    return ConfigError(*(problems or [f"--systems: found {text!r}, expected two different systems, e.g. A,B"]))


def _description(data: SuiteTurns, notes: Sequence[str]) -> dict[str, Any]:
    contents, task = data.contents, data.task
    return {
        "format": FORMAT,
        "kind": "suite-errors",
        "name": contents.name,
        "description": contents.description,
        "protocol": contents.protocol,
        "split": data.split,
        "task": task.kind,
        task.names_key: list(task.names),
        "metric": task.default_metric,
        "headings": {key: heading_of(key) for key in task.headline},
        "few_turns": FEW_TURNS,
        "counts": {
            "turns": len(data.turns),
            "labelled": int(data.turns.is_labelled_N.sum()),
            "dialogues": int(data.turns.dialogue_N.max()) + 1,
        },
        "missing": list(contents.missing),
        "notes": list(notes),
    }


def _described(system: SystemTurns) -> dict[str, Any]:
    return {
        "label": system.label,
        "reference": system.reference,
        "seeds": list(system.seeds),
        **averaged_details(system),
    }


def turns_table(data: SuiteTurns, found: Sequence[Grouping]) -> str:
    """Return ``turns.csv``: one row for each turn, with gold, its groups, and the prediction of each system.

    The prediction of a system is the label (or value) of its numbers averaged over seeds. For classes,
    ``systems_right`` counts the systems that are right. Cells that a spreadsheet would read as a formula begin with
    an apostrophe.
    """
    frame, task = data.turns.frame, data.task
    columns: dict[str, Sequence[Any]] = {
        name: frame[name].astype(object).where(frame[name].notna(), "").tolist()
        for name in ("split", "dialogue_id", "utterance_id", "turn", "speaker", "text", *data.turns.gold_columns)
    }
    for grouping in (one for one in found if one.kind not in columns):
        names = [*grouping.names, ""]
        columns[grouping.kind] = [names[i] for i in grouping.group_N]
    if task.gives_probabilities:
        right = np.sum([is_right(system) for system in data.systems], axis=0).tolist()
        known = data.turns.is_labelled_N.tolist()
        columns["systems_right"] = [n if is_known else "" for n, is_known in zip(right, known, strict=True)]
    for system in data.systems:
        if task.gives_probabilities:
            columns[_free(system.label, columns)] = system.averaged.frame["predicted"].tolist()
        else:
            for number, name in enumerate(task.names):
                columns[_free(f"{system.label} {name}", columns)] = system.numbers_NS[:, number].tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([guard(name) for name in columns])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([guard(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


def _free(name: str, columns: Mapping[str, object]) -> str:
    """Return the name of a column that does not exist yet. A system may be called ``text``."""
    return name if name not in columns else f"system {name}"
