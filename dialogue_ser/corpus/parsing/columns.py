"""Find out which column of a user's table has which role."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_ser.corpus.parsing.rows import Row, Rows
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

#: Role → names of columns that have this role if the user names no column for it. Case does not matter, and a blank or
#: a hyphen is as good as ``_``. The first name that is in the table counts.
USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "transcript"),
    "speaker": ("speaker", "speaker_id"),
    "dialogue": ("dialogue", "dialogue_id", "conversation", "conversation_id", "dialog", "dialog_id"),
    "label": ("label", "emotion"),
    "utterance": ("utterance_id", "turn", "turn_id"),
    "split": ("split",),
    "audio": ("audio", "audio_path", "audio_file", "file"),
    "start": ("start", "start_seconds"),
    "end": ("end", "end_seconds"),
    "sentiment": ("sentiment",),
    "votes": (),
    "attributes": (),
    # Targets have no usual names. A model is trained on them, and a column called valence can mean anything.
    "targets": (),
}

# An example in a message is chosen by the cells of so many rows.
_ROWS_FOR_AN_EXAMPLE = 200
# Further names, for what JSON files hold: lists, and objects inside turns.
_FURTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("texts", "utterances", "sentences", "transcripts"),
    "speaker": ("speaker.name", "speaker.id", "speakers"),
    "label": ("labels", "emotions"),
    "audio": ("audio.path",),
    "sentiment": ("sentiments",),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The roles of the columns of one file.

    Args:
        single: role → column, for the roles that have exactly one column.
        dialogue: columns whose values together name the dialogue; () = no column names it.
        votes: class → column with the number of votes for it.
        attributes: name of an attribute → its column.
        targets: dimension → its column.
        left_out: roles that the user mapped to null.
        notes: what the user should know about the choice of columns, one sentence each.
    """

    single: Mapping[str, str]
    dialogue: tuple[str, ...]
    votes: Mapping[str, str]
    attributes: Mapping[str, str]
    targets: Mapping[str, str]
    left_out: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether a column says which class a turn has."""
        return "label" in self.single or bool(self.votes)

    def get(self, row: Row, role: str) -> str:
        """Return the cell of a row for a role; "" if no column has this role."""
        column = self.single.get(role)
        return "" if column is None else row.values[column]

    def dialogue_of(self, row: Row) -> str:
        """Return the dialogue of a row, with ``-`` between the parts of its name; "" if no column names it."""
        return "-".join(row.values[column].strip() for column in self.dialogue)


def resolve_columns(table: Rows, columns: Mapping[str, Any] | None) -> Columns:
    """Find the column of each role: the column that the user names, otherwise the one with a usual name.

    Args:
        table: the rows of the file.
        columns: role → column. ``dialogue`` may be a list of columns. ``votes`` is {class: column}, or the prefix that
            all columns with votes share, e.g. ``votes_``. ``attributes`` is {name: column}, or a list of columns that
            keep their names. ``targets`` is {dimension: column} or a list of columns, in the order of the dimensions.
            These three roles have no usual names. A role mapped to null has no column. None = only usual names.

    Raises:
        ConfigError: a role is unknown.
        CorpusError: a column does not exist. The error lists all such columns.
    """
    stated = dict(columns or {})
    unknown = [f"columns: {unknown_name('role', role, USUAL_NAMES)}" for role in stated if role not in USUAL_NAMES]
    if unknown:
        raise ConfigError(*unknown)
    lower = {re.sub(r"[\s-]", "_", name.lower()): name for name in reversed(table.columns)}
    lower |= {name.lower(): name for name in reversed(table.columns)}
    single = {
        role: str(name)
        for role, name in stated.items()
        if name is not None and role not in ("votes", "dialogue", "attributes", "targets")
    }
    notes: list[str] = []
    for role, names in USUAL_NAMES.items():
        names = (*names, *_FURTHER_NAMES.get(role, ()))
        found = [lower[name] for name in names if name in lower and lower[name] not in single.values()]
        if found and role not in stated and role != "dialogue":
            single[role] = found[0]
            notes += _ambiguous(table, role, list(dict.fromkeys(found)))
    dialogue = _dialogue_columns(stated, lower)
    votes = _vote_columns(table, stated.get("votes"))
    attributes, targets = (_named_columns(stated.get(role)) for role in ("attributes", "targets"))
    table.require([*single.values(), *dialogue, *votes.values(), *attributes.values(), *targets.values()])
    left_out = frozenset(role for role, name in stated.items() if name is None)
    return Columns(single, dialogue, votes, attributes, targets, left_out, tuple(notes))


def _ambiguous(table: Rows, role: str, found: Sequence[str]) -> list[str]:
    """Return a note if several columns with other cells have a usual name of the text or the label."""
    others = [name for name in found[1:] if any(row.values[name] != row.values[found[0]] for row in table)]
    if role not in ("text", "label") or not others:
        return []
    return [
        f"{table.path.name}: the column {found[0]} is the {role}, and {', '.join(others)} is not used; if that is "
        f"wrong, name the column (columns: {{{role}: {others[0]}}})"
    ]


def _dialogue_columns(stated: Mapping[str, Any], lower: Mapping[str, str]) -> tuple[str, ...]:
    if "dialogue" not in stated:
        return tuple(lower[name] for name in USUAL_NAMES["dialogue"] if name in lower)[:1]
    value = stated["dialogue"]
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _vote_columns(table: Rows, stated: Any) -> dict[str, str]:
    if stated is None:
        return {}
    if isinstance(stated, Mapping):
        return {str(label): str(column) for label, column in stated.items()}
    found = {name.removeprefix(stated): name for name in table.columns if name.startswith(stated) and name != stated}
    if not found:
        raise CorpusError(
            f"{table.path}: no column begins with {stated!r} (option columns.votes), found {', '.join(table.columns)}; "
            "correct the prefix"
        )
    return found


def _named_columns(stated: Any) -> dict[str, str]:
    """Return name → column. The columns of a list keep their names."""
    if isinstance(stated, Mapping):
        return {str(name): str(column) for name, column in stated.items()}
    columns = [stated] if isinstance(stated, str) else stated or []
    return {str(column): str(column) for column in columns}


def example_column(table: Rows, role: str) -> str:
    """Return a column that may have a role, for an example in a message: long cells are texts, repeated ones labels."""
    cells = {name: [row.values[name].strip() for row in table.rows[:_ROWS_FOR_AN_EXAMPLE]] for name in table.columns}
    if role == "text":
        return max(table.columns, key=lambda name: sum(map(len, cells[name])))
    repeated = [
        name
        for name, found in cells.items()
        if 1 < len(set(found)) <= len(found) / 2 and not any(cell[:1].isdigit() for cell in found)
    ]
    return [*table.columns[-1:], *repeated][-1]


def usual_names(roles: Sequence[str]) -> str:
    """Return the names that the column of a missing role could have.

    >>> usual_names(["label", "targets"])
    'label (label, emotion) or targets'
    """
    named = {role: ", ".join(USUAL_NAMES[role]) for role in roles}
    return " or ".join(f"{role} ({names})" if names else role for role, names in named.items())
