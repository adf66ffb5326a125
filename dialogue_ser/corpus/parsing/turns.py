"""Turn the rows of a user's table into turns, and group turns into dialogues."""

import ast
import json
import math
import os
import re
import warnings as python_warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dialogue_ser.corpus.parsing.columns import Columns, example_column, usual_names
from dialogue_ser.corpus.parsing.dialogues import dialogue_names, speaker_notes
from dialogue_ser.corpus.parsing.paths import resolve_inside
from dialogue_ser.corpus.parsing.rows import Row, Rows
from dialogue_ser.corpus.parsing.times import parse_seconds
from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance
from dialogue_ser.corpus.sentiment import sentiment_word
from dialogue_ser.errors import CorpusError

# Programs write a whole number in this way if another cell of its column is empty.
_INTEGER = re.compile(r"^(\d+)\.0+$")
#: Speaker of all turns in a corpus that names no speakers.
ONLY_SPEAKER = "speaker"


@dataclass(frozen=True, slots=True)
class Turn:
    """One row of a table as a turn that has no split yet.

    Args:
        dialogue: name of the dialogue as the table writes it, without the split.
        number: utterance id as the table writes it; "" = no column has it.
        split: content of the split column; "" = there is no such column.
        written_label: label as the table writes it, before the label map.
        utterance: everything else. Its id is still empty.
    """

    dialogue: str
    number: str
    split: str
    written_label: str
    utterance: Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """Settings for the conversion of rows into turns.

    Args:
        label_map: label as the table writes it → class; None = unlabelled.
        audio_root: folder of the audio paths; None = the folder of the table.
        on_bad: ``error`` or ``mask``, for missing audio files.
        dialogue: which rows are one dialogue, one of DialogueRule; None = find it out.
    """

    label_map: Mapping[str, str | None] = field(default_factory=dict)
    audio_root: Path | None = None
    on_bad: str = "error"
    dialogue: str | None = None


def require_roles(table: Rows, columns: Columns, need_annotation: bool) -> None:
    """Check that a table has the columns that are needed.

    Raises:
        CorpusError: there is neither a text nor an audio column; or ``need_annotation`` is set and there is neither a
            label nor a target column.
    """
    wanted: list[tuple[str, ...]] = [] if {"text", "audio"} & set(columns.single) else [("text", "audio")]
    if need_annotation and not columns.has_classes and not columns.targets:
        wanted.append(("label", "targets"))
    if wanted:
        found = ", ".join(table.columns)
        raise CorpusError(
            *(
                f"{table.path}: has no column for {usual_names(roles)}; found: {found}; name a column in the options, "
                f"e.g. {{columns: {{{roles[0]}: {example_column(table, roles[0])}}}}}{table.delimiter_hint}"
                for roles in wanted
            ),
            *table.notes,
        )


def read_turns(
    table: Rows, columns: Columns, options: TurnOptions, problems: list[str], warnings: list[str]
) -> list[Turn]:
    """Convert every row into a turn. ``problems`` gets a sentence about each bad row, ``warnings`` about odd ones."""
    turns: list[Turn] = []
    masked: list[str] = []
    names = dialogue_names(table, columns, options.dialogue, warnings)
    warnings += [*columns.notes, *speaker_notes(columns, names)]
    for row, dialogue in zip(table, names, strict=True):
        if not dialogue.strip("-"):
            problems.append(
                f"{row.origin}: names no dialogue in {', '.join(columns.dialogue)}; name one in every row "
                "(merged cells hold a name only in the first of their rows)"
            )
        try:
            span = _span(row, columns)
            votes = _votes(row, columns, options)
            targets = _targets(row, columns)
        except ValueError as error:
            problems.append(f"{row.origin}: {error}")
            continue
        written = _only_label(columns.get(row, "label").strip())
        label = options.label_map.get(written, written) or None
        if not columns.single.get("label") and votes:
            label = _majority(votes)
        has_speaker = "speaker" in columns.single
        utterance = Utterance(
            id="",
            speaker=_join_list(columns.get(row, "speaker"), " and ").strip() if has_speaker else ONLY_SPEAKER,
            text=_join_list(columns.get(row, "text"), " ") or None,
            audio=_audio(row, columns, table.path.parent, span, options, problems, masked),
            label=label,
            votes=votes,
            start_seconds=span[0],
            end_seconds=span[1],
            origin=row.origin,
            attributes=_attributes(row, columns),
            targets=targets,
            sentiment=sentiment_word(columns.get(row, "sentiment")),
        )
        turns.append(
            Turn(
                dialogue=dialogue,
                number=_INTEGER.sub(r"\1", columns.get(row, "utterance").strip()),
                split=columns.get(row, "split"),
                written_label=written,
                utterance=utterance,
            )
        )
    if masked:
        warnings.append(f"{table.path.name}: {len(masked)} audio files are missing and masked ({masked[0]}, …)")
    return turns


def group_into_dialogues(turns: Sequence[Turn], split: str) -> tuple[Dialogue, ...]:
    """Group the turns of a split into dialogues, in order of first appearance.

    The id of a dialogue is ``split/dialogue``, the id of a turn is ``split/dialogue_utt<number>``. The number is
    the table's utterance id; without one it is the position in the dialogue, from 0. If the table's utterance id is not
    a number, the id of the turn is ``split/<utterance id>``.
    """
    members: dict[str, list[Utterance]] = {}
    for turn in turns:
        own = members.setdefault(turn.dialogue, [])
        number = turn.number or str(len(own))
        name = f"{turn.dialogue}_utt{number}" if number.isdigit() else number
        own.append(replace(turn.utterance, id=f"{split}/{name}"))
    return tuple(Dialogue(f"{split}/{dialogue}", tuple(own)) for dialogue, own in members.items())


def labels_by_frequency(
    splits: Mapping[str, Sequence[Turn]], problems: list[str], every_split: bool
) -> tuple[str, ...]:
    """Return the labels of train (of all splits: ``every_split``, or if there is no train), the most frequent first."""
    turns = [] if every_split else splits.get("train", [])
    turns = turns or [turn for found in splits.values() for turn in found]
    count = Counter(turn.utterance.label for turn in turns if turn.utterance.label is not None)
    if turns and not count:
        problems.append(
            "reader table: no row is labelled; check the label column and label_map. If the table has only targets, "
            "map the label column to null (columns.label)"
        )
    # A class with votes belongs to the label set even if it is the label of no turn.
    count.update(dict.fromkeys((label for turn in turns for label in turn.utterance.votes or ()), 0))
    return tuple(sorted(count, key=lambda label: (-count[label], label))) or ("none",)


def _only_label(text: str) -> str:
    """Return the label in a list of one label, as annotation tools write it. An empty list is no label.

    A list of several labels stays as it is, because a turn has one label. A warning of the corpus names it.

    >>> _only_label('["joy"]'), _only_label("[]"), _only_label("['joy', 'anger']"), _only_label("[3]")
    ('joy', '', "['joy', 'anger']", '[3]')
    """
    texts = _texts_of_list(text)
    if texts is None:
        return text
    return "".join(texts).strip() if len(texts) < 2 else text


def _span(row: Row, columns: Columns) -> tuple[float | None, float | None]:
    start, end = (columns.get(row, role).strip() for role in ("start", "end"))
    return _seconds(start), _seconds(end)


def _seconds(text: str) -> float | None:
    # pandas, and so audformat, writes a missing time as NaT.
    return None if text in ("", "NaT") else parse_seconds(text)


def _attributes(row: Row, columns: Columns) -> dict[str, str]:
    cells = {name: row.values[column].strip() for name, column in columns.attributes.items()}
    return {name: cell for name, cell in cells.items() if cell}


def _votes(row: Row, columns: Columns, options: TurnOptions) -> dict[str, float] | None:
    """Return class → number of votes, after the label map; None = nobody voted."""
    votes: dict[str, float] = {}
    for name, column in columns.votes.items():
        count = _decimal(row.values[column], empty=0.0)
        if count is None or count < 0:
            text = row.values[column].strip()
            raise ValueError(f"{column}: {text!r} is not a number of votes; write a number of at least 0")
        label = options.label_map.get(name, name)
        if label and count:
            votes[label] = votes.get(label, 0.0) + count
    return votes or None


def _targets(row: Row, columns: Columns) -> dict[str, float]:
    """Return dimension → value. An empty cell means that the turn was not annotated in this dimension."""
    written = {name: (column, row.values[column].strip()) for name, column in columns.targets.items()}
    values = {name: _decimal(text) for name, (_, text) in written.items() if text}
    bad = [f"{column}: {text!r}" for name, (column, text) in written.items() if text and values[name] is None]
    if bad:
        is_are = "is not a number" if len(bad) == 1 else "are not numbers"
        raise ValueError(f"{', '.join(bad)} {is_are}; write a decimal such as 3.2, or leave the cell empty")
    return {name: value for name, value in values.items() if value is not None}


def _decimal(text: str, empty: float | None = None) -> float | None:
    """Return the finite number that a text states, with a dot or a comma; None = the text is not such a number.

    >>> _decimal(" 3,25 "), _decimal("1e-2"), _decimal("nan"), _decimal("", empty=0.0)
    (3.25, 0.01, None, 0.0)
    """
    try:
        value = float(text.strip().replace(",", ".")) if text.strip() else empty
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _majority(votes: Mapping[str, float]) -> str | None:
    """Return the class with most votes; None on a tie, because no rule could choose fairly."""
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
        problems.append(
            f"{row.origin}: the file {path} does not exist; correct the path, or mask it (--data.on_bad mask)"
        )
    return None


def _join_list(text: str, separator: str) -> str:
    """Join the texts of a cell that is written as a list (``['Joey', 'Ross']``). Any other cell stays as it is.

    >>> _join_list("['Joey', 'Ross']", " and "), _join_list("[laughs] Hi.", " "), _join_list("[1]", " ")
    ('Joey and Ross', '[laughs] Hi.', '[1]')
    """
    texts = _texts_of_list(text)
    return separator.join(texts) if texts else text


def _texts_of_list(text: str) -> list[str] | None:
    """Return the texts of a cell that is a list of texts in JSON or Python; None = it is no such list."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with python_warnings.catch_warnings(action="ignore"):  # Python warns of a single backslash in a transcript
                value = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return value if isinstance(value, list) and all(isinstance(part, str) for part in value) else None
