"""Which column of a user's table plays which role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_ser.corpus.parsing.rows import Row, Rows
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

#: Role → column names that are taken for it (whatever their case) where the mapping does not say; the first one wins.
USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "transcript"),
    "speaker": ("speaker", "speaker_id"),
    "dialogue": ("dialogue", "dialogue_id", "conversation", "conversation_id"),
    "label": ("label", "emotion"),
    "utterance": ("utterance_id", "turn", "turn_id"),
    "split": ("split",),
    "audio": ("audio", "audio_path", "audio_file", "file"),
    "start": ("start", "start_seconds"),
    "end": ("end", "end_seconds"),
    "votes": (),
    "attributes": (),
    # Never by name: a column that is called valence may be anything, and a target is what a model is trained for.
    "targets": (),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Resolved roles of one file's columns.

    Args:
        single: role → column, for the roles that have one.
        dialogue: columns whose values together name the dialogue; () = no dialogue column.
        votes: class → column with its count.
        attributes: name of an attribute → its column.
        targets: dimension → its column.
    """

    single: Mapping[str, str]
    dialogue: tuple[str, ...]
    votes: Mapping[str, str]
    attributes: Mapping[str, str]
    targets: Mapping[str, str]

    @property
    def has_classes(self) -> bool:
        """Does a column say which class a turn has?"""
        return "label" in self.single or bool(self.votes)

    def get(self, row: Row, role: str) -> str:
        """The row's cell for a role, "" where no column has it."""
        column = self.single.get(role)
        return "" if column is None else row.values[column]

    def dialogue_of(self, row: Row) -> str:
        """The row's dialogue, parts joined by ``-``; "" where no column names it."""
        return "-".join(row.values[column].strip() for column in self.dialogue)


def resolve_columns(table: Rows, columns: Mapping[str, Any] | None) -> Columns:
    """Find each role's column: as mapped, else by its usual name.

    Args:
        table: the file's records.
        columns: role → column; ``dialogue`` may be a list of columns; ``votes`` is {class: column} or the prefix that
            the count columns share, e.g. ``votes_``; ``attributes`` is {name: column}, or a list of columns that keep
            their names, and so is ``targets`` by dimension, in order. None = usual names only: these three have none.
            A role mapped to null has no column.

    Raises:
        ConfigError: unknown role.
        CorpusError: columns that do not exist: all of them.
    """
    stated = dict(columns or {})
    unknown = [f"columns: {unknown_name('role', role, USUAL_NAMES)}" for role in stated if role not in USUAL_NAMES]
    if unknown:
        raise ConfigError(*unknown)
    lower = {name.lower(): name for name in reversed(table.columns)}
    single = {
        role: str(name)
        for role, name in stated.items()
        if name is not None and role not in ("votes", "dialogue", "attributes", "targets")
    }
    for role, names in USUAL_NAMES.items():
        found = [lower[name] for name in names if name in lower and lower[name] not in single.values()]
        if found and role not in stated and role != "dialogue":
            single[role] = found[0]
    dialogue = _dialogue_columns(stated, lower)
    votes = _vote_columns(table, stated.get("votes"))
    attributes, targets = (_named_columns(stated.get(role)) for role in ("attributes", "targets"))
    table.require([*single.values(), *dialogue, *votes.values(), *attributes.values(), *targets.values()])
    return Columns(single, dialogue, votes, attributes, targets)


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
            f"{table.path}: no column begins with {stated!r} (option columns.votes); found: {', '.join(table.columns)}"
        )
    return found


def _named_columns(stated: Any) -> dict[str, str]:
    """Name → column; columns of a list keep their names."""
    if isinstance(stated, Mapping):
        return {str(name): str(column) for name, column in stated.items()}
    columns = [stated] if isinstance(stated, str) else stated or []
    return {str(column): str(column) for column in columns}


def usual_names(roles: Sequence[str]) -> str:
    """What a missing role's column could be called.

    >>> usual_names(["label", "targets"])
    'label (label, emotion) or targets'
    """
    named = {role: ", ".join(USUAL_NAMES[role]) for role in roles}
    return " or ".join(f"{role} ({names})" if names else role for role, names in named.items())
