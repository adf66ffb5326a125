"""Find out which rows of a table are one dialogue. Training and prediction use the same rule."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from dialogue_ser.corpus.parsing.columns import USUAL_NAMES, Columns, usual_names
from dialogue_ser.corpus.parsing.rows import Rows
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

#: column = columns name the dialogue; blank-lines = blank lines separate the dialogues; file = all rows of a file (of a
#: split, if a column names splits) are one dialogue; none = every row is a dialogue of its own.
DialogueRule = Literal["column", "blank-lines", "file", "none"]

# Words in the name of a column that may be a part of the dialogue's name.
_PERHAPS = re.compile(r"(season|episode|scene|session|dialog|conv|call|chat|thread|meeting|interview)", re.IGNORECASE)


def rule_of(stated: str | None, columns: Mapping[str, Any] | None) -> str | None:
    """Return the rule that the options state; None = they state none. ``columns.dialogue: null`` says ``none``.

    Raises:
        ConfigError: there is no such rule.
    """
    if stated is not None and stated not in get_args(DialogueRule):
        raise ConfigError(f"option dialogue: {unknown_name('rule', str(stated), get_args(DialogueRule))}")
    is_unnamed = columns is not None and "dialogue" in columns and columns["dialogue"] is None
    return stated or ("none" if is_unnamed else None)


def dialogue_names(table: Rows, columns: Columns, rule: str | None, warnings: list[str]) -> list[str]:
    """Return the name of the dialogue of each row.

    Without a rule, columns name the dialogues. If no column does, blank lines between rows separate them. If there are
    no blank lines either, every row is a dialogue of its own; then ``warnings`` gets a sentence that names the choices.

    Args:
        table: the rows.
        columns: their roles.
        rule: one of DialogueRule; None = find it out.
        warnings: gets a sentence about what was found out.

    Raises:
        CorpusError: the rule is ``column``, and no column names dialogues.
    """
    if rule == "column" and not columns.dialogue:
        raise CorpusError(
            f"{table.path}: has no column for {usual_names(['dialogue'])}; found: {', '.join(table.columns)}; name one "
            "or several (option columns.dialogue)"
        )
    if columns.dialogue and rule in (None, "column"):
        return [columns.dialogue_of(row) for row in table]
    if rule == "file":
        return [file_stem(table)] * len(table.rows)
    n_blocks = len({row.block for row in table})
    # If a blank line follows every row, the lines only end twice.
    if rule == "blank-lines" or (rule is None and 1 < n_blocks < len(table.rows)):
        if rule is None:
            warnings.append(
                f"{table.path.name}: no column names dialogues, and blank lines divide the rows into {n_blocks} "
                "blocks; every block is a dialogue (option dialogue: none or file for another rule)"
            )
        return [str(row.block) for row in table]
    if rule is None:
        warnings.append(_warning(table))
    return [f"row{row.number}" for row in table]


def speaker_notes(columns: Columns, names: Sequence[str]) -> list[str]:
    """Return a note if dialogues have several turns and no column names speakers, unless the user said so.

    Args:
        columns: the roles of the columns.
        names: the dialogue of each row.
    """
    if "speaker" in columns.single or "speaker" in columns.left_out or len(set(names)) == len(names):
        return []
    return [
        f"no column names speakers ({', '.join(USUAL_NAMES['speaker'])}), so one speaker says every turn; if that is "
        "wrong, name the column (columns: {speaker: …}); if it is right, say columns: {speaker: null}"
    ]


def file_stem(table: Rows) -> str:
    """Return the name of the table's file without its endings, e.g. ``chat`` for ``chat.csv.gz``."""
    stem = table.path.name.removesuffix(".gz")
    return stem.rpartition(".")[0] or stem


def _warning(table: Rows) -> str:
    perhaps = [name for name in table.columns if _PERHAPS.search(name)]
    example = f"[{', '.join(perhaps)}]" if perhaps else "[…]"
    usual: Sequence[str] = USUAL_NAMES["dialogue"][:2]
    return (
        f"no column names dialogues ({', '.join(usual)}, …), so every row is a dialogue of one turn; if that is wrong, "
        f"name the columns (columns: {{dialogue: {example}}}) or say that a file is one dialogue (dialogue: file); if "
        "it is right, say dialogue: none"
    )
