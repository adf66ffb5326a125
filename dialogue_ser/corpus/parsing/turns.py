"""Rows of a user's table to turns, before they have a split."""

import ast
import json
import math
import os
import warnings as python_warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dialogue_ser.corpus.parsing.columns import Columns, usual_names
from dialogue_ser.corpus.parsing.paths import resolve_inside
from dialogue_ser.corpus.parsing.rows import Row, Rows
from dialogue_ser.corpus.parsing.times import parse_seconds
from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance
from dialogue_ser.errors import CorpusError

#: Speaker of every turn of a corpus without speakers.
ONLY_SPEAKER = "speaker"


@dataclass(frozen=True, slots=True)
class Turn:
    """One row, read.

    Args:
        dialogue: its dialogue as the table names it, without split.
        number: its utterance id as the table writes it, "" where no column says so.
        split: what the split column says, "" without one.
        written_label: label before the label map.
        utterance: everything else; its id is still empty.
    """

    dialogue: str
    number: str
    split: str
    written_label: str
    utterance: Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How rows are understood.

    Args:
        label_map: label as written → class, None = unlabelled.
        audio_root: folder of the audio paths; None = the table's own.
        on_bad: error or mask, for missing audio files.
        one_dialogue: dialogue of all rows where no column names it; None = every row is its own.
    """

    label_map: Mapping[str, str | None] = field(default_factory=dict)
    audio_root: Path | None = None
    on_bad: str = "error"
    one_dialogue: str | None = None


def require_roles(table: Rows, columns: Columns, need_annotation: bool) -> None:
    """Check that the table says something, and annotates it where it must.

    Raises:
        CorpusError: neither a text nor an audio column, or neither a label nor targets where one is needed.
    """
    wanted: list[tuple[str, ...]] = [] if {"text", "audio"} & set(columns.single) else [("text", "audio")]
    if need_annotation and not columns.has_classes and not columns.targets:
        wanted.append(("label", "targets"))
    if wanted:
        found = ", ".join(table.columns)
        raise CorpusError(
            *(
                f"{table.path}: no column for {usual_names(roles)}; found: {found}; name it in the options, "
                f"e.g. {{columns: {{{roles[0]}: {table.columns[0]}}}}}{table.delimiter_hint}"
                for roles in wanted
            )
        )


def read_turns(
    table: Rows, columns: Columns, options: TurnOptions, problems: list[str], warnings: list[str]
) -> list[Turn]:
    """Every row as a turn; sentences about bad rows are appended to ``problems``, odd ones to ``warnings``."""
    turns: list[Turn] = []
    masked: list[str] = []
    for row in table:
        dialogue = columns.dialogue_of(row) if columns.dialogue else options.one_dialogue or f"row{row.number}"
        if not dialogue.strip("-"):
            problems.append(f"{row.origin}: has no dialogue in {', '.join(columns.dialogue)}; name one")
        try:
            span = _span(row, columns)
            votes = _votes(row, columns, options)
            targets = _targets(row, columns)
        except ValueError as error:
            problems.append(f"{row.origin}: {error}")
            continue
        written = columns.get(row, "label").strip()
        label = options.label_map.get(written, written) or None
        if not columns.single.get("label") and votes:
            label = _majority(votes)
        utterance = Utterance(
            id="",
            speaker=_joined(columns.get(row, "speaker"), " and ").strip()
            if "speaker" in columns.single
            else ONLY_SPEAKER,
            text=_joined(columns.get(row, "text"), " ") or None,
            audio=_audio(row, columns, table.path.parent, span, options, problems, masked),
            label=label,
            votes=votes,
            start_seconds=span[0],
            end_seconds=span[1],
            origin=row.origin,
            attributes=_attributes(row, columns),
            targets=targets,
        )
        turns.append(
            Turn(
                dialogue=dialogue,
                number=columns.get(row, "utterance").strip(),
                split=columns.get(row, "split"),
                written_label=written,
                utterance=utterance,
            )
        )
    if masked:
        warnings.append(f"{table.path.name}: {len(masked)} audio files are missing and masked ({masked[0]}, …)")
    return turns


def in_dialogues(turns: Sequence[Turn], split: str) -> tuple[Dialogue, ...]:
    """Turns as dialogues of a split, in order of first appearance.

    Ids: ``split/dialogue`` and ``split/dialogue_utt<number>``, where the number is the table's or else the place in
    the dialogue; an utterance id that is no number stands for itself: ``split/id``.
    """
    members: dict[str, list[Utterance]] = {}
    for turn in turns:
        there = members.setdefault(turn.dialogue, [])
        number = turn.number or str(len(there))
        name = f"{turn.dialogue}_utt{number}" if number.isdigit() else number
        there.append(replace(turn.utterance, id=f"{split}/{name}"))
    return tuple(Dialogue(f"{split}/{dialogue}", tuple(own)) for dialogue, own in members.items())


def _span(row: Row, columns: Columns) -> tuple[float | None, float | None]:
    start, end = (columns.get(row, role).strip() for role in ("start", "end"))
    return _seconds(start), _seconds(end)


def _seconds(text: str) -> float | None:
    """None for no time, which pandas (and audformat) also writes as NaT."""
    return None if text in ("", "NaT") else parse_seconds(text)


def _attributes(row: Row, columns: Columns) -> dict[str, str]:
    cells = {name: row.values[column].strip() for name, column in columns.attributes.items()}
    return {name: cell for name, cell in cells.items() if cell}


def _votes(row: Row, columns: Columns, options: TurnOptions) -> dict[str, float] | None:
    """Counts per class after the label map, or None where nobody voted."""
    votes: dict[str, float] = {}
    for name, column in columns.votes.items():
        count = _decimal(row.values[column], empty=0.0)
        if count is None or count < 0:
            text = row.values[column].strip()
            raise ValueError(f"{column}: {text!r} is no number of votes; write 0 or more")
        label = options.label_map.get(name, name)
        if label and count:
            votes[label] = votes.get(label, 0.0) + count
    return votes or None


def _targets(row: Row, columns: Columns) -> dict[str, float]:
    """Value per dimension; an empty cell was not annotated."""
    written = {name: (column, row.values[column].strip()) for name, column in columns.targets.items()}
    values = {name: _decimal(text) for name, (_, text) in written.items() if text}
    bad = [f"{column}: {text!r}" for name, (column, text) in written.items() if text and values[name] is None]
    if bad:
        is_are = "is no number" if len(bad) == 1 else "are no numbers"
        raise ValueError(f"{', '.join(bad)} {is_are}; write a decimal such as 3.2, or nothing where none was annotated")
    return {name: value for name, value in values.items() if value is not None}


def _decimal(text: str, empty: float | None = None) -> float | None:
    """A finite number that may be written with a comma, or None where the text is none.

    >>> _decimal(" 3,25 "), _decimal("1e-2"), _decimal("nan"), _decimal("", empty=0.0)
    (3.25, 0.01, None, 0.0)
    """
    try:
        value = float(text.strip().replace(",", ".")) if text.strip() else empty
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _majority(votes: Mapping[str, float]) -> str | None:
    """The class with most votes; None on a tie, which no rule can break fairly."""
    best = [label for label, count in votes.items() if count == max(votes.values())]
    return best[0] if len(best) == 1 else None


def _audio(
    row: Row,
    columns: Columns,
    folder: Path,
    span: tuple[float | None, float | None],
    options: TurnOptions,
    problems: list[str],
    masked: list[str],
) -> AudioRef | None:
    text = columns.get(row, "audio").strip()
    if not text:
        return None
    try:
        path = resolve_inside(options.audio_root or folder, text)
    except ValueError as error:
        problems.append(f"{row.origin}: {error}")
        return None
    if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        return AudioRef(path, *span)
    if options.on_bad == "mask":
        masked.append(row.origin)
    else:
        problems.append(f"{row.origin}: no such file {path}; correct the path, or mask it (--data.on_bad mask)")
    return None


def _joined(text: str, joint: str) -> str:
    """A cell that is written as a list of texts (``['Joey', 'Ross']``), joined; any other cell as it is.

    >>> _joined("['Joey', 'Ross']", " and "), _joined("[laughs] Hi.", " "), _joined("[1]", " ")
    ('Joey and Ross', '[laughs] Hi.', '[1]')
    """
    if not (text.startswith("[") and text.endswith("]")):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with python_warnings.catch_warnings(action="ignore"):  # a stray backslash in a transcript is no concern
                value = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return joint.join(value)
    return text
