"""Read dialogues to predict on from a table, and keep its rows, so that the predictions can stand beside them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.parsing.cells import Quoting
from dialogue_ser.corpus.parsing.columns import Columns, resolve_columns
from dialogue_ser.corpus.parsing.dialogues import rule_of
from dialogue_ser.corpus.parsing.files import ANY_FORMAT, FileFormat, read_rows
from dialogue_ser.corpus.parsing.paths import audio_folder
from dialogue_ser.corpus.parsing.rows import Row
from dialogue_ser.corpus.parsing.table_splits import with_split_in_dialogue
from dialogue_ser.corpus.parsing.turns import TurnOptions, group_into_dialogues, read_turns, require_roles
from dialogue_ser.corpus.parsing.utterance_names import with_own_names
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import CorpusError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableInput:
    """Dialogues to predict on, with the table that they come from.

    Args:
        dialogues: the dialogues, in order of first appearance.
        rows: utterance id → its row, in the order of the file.
        columns: the roles of the columns.
        warnings: what the reader decided by itself, one sentence each.
    """

    dialogues: tuple[Dialogue, ...]
    rows: Mapping[str, Row]
    columns: Columns
    warnings: tuple[str, ...]


def read_dialogues(
    path: str | Path,
    columns: Mapping[str, Any] | None = None,
    audio_root: str | Path | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    on_bad: str = "error",
    dialogue: str | None = None,
    quoting: Quoting = "auto",
    sheet: str | None = None,
) -> tuple[Dialogue, ...]:
    """Read dialogues to predict on. The columns are speaker, text or audio (or both), and optionally dialogue.

    Dialogues are found by the rule of :func:`read_table`: without a dialogue column and without blank lines every row
    is a dialogue of its own, with a warning, unless ``dialogue`` says file. Ids are ``new/<dialogue>`` and
    ``new/<dialogue>_utt<n>``. A label column is read if there is one. Targets are read if ``columns`` names them. The
    arguments have the same meaning as in :func:`read_table`.

    Raises:
        ConfigError: ``dialogue`` is no rule.
        CorpusError: the file has bad rows. The error lists all of them.
    """
    form = FileFormat(encoding=encoding, delimiter=delimiter, quoting=quoting, sheet=sheet)
    given = read_input(path, columns, audio_root=audio_root, on_bad=on_bad, dialogue=dialogue, form=form)
    for warning in given.warnings:
        logger.warning(warning)
    return given.dialogues


def read_input(
    path: str | Path,
    columns: Mapping[str, Any] | None = None,
    *,
    audio_root: str | Path | None = None,
    on_bad: str = "error",
    dialogue: str | None = None,
    form: FileFormat = ANY_FORMAT,
) -> TableInput:
    """Read dialogues to predict on, and keep the rows of the table. See :func:`read_dialogues`."""
    table = read_rows(path, form)
    roles = resolve_columns(table, columns)
    require_roles(table, roles, need_annotation=False)
    options = TurnOptions(audio_root=audio_folder(audio_root), on_bad=on_bad, dialogue=rule_of(dialogue, columns))
    problems: list[str] = []
    warnings = list(table.notes)
    turns = read_turns(table, roles, options, problems, warnings)
    if options.dialogue != "file":
        turns = with_split_in_dialogue(turns, warnings)
    turns = with_own_names(turns, "new", options.audio_root or table.path.parent, warnings)
    dialogues = group_into_dialogues(turns, "new")
    # All labels in the file are accepted here, because the classes of the model are not known yet.
    labels = tuple(dict.fromkeys(turn.utterance.label for turn in turns if turn.utterance.label))
    label_set = LabelSet("found", labels or ("none",))
    checked = Corpus(name="new", label_set=label_set, dimensions=tuple(roles.targets), splits={"new": dialogues})
    problems.extend(corpus_problems(checked) if turns else [])
    if problems:
        raise CorpusError(*problems)
    # The turns of a dialogue keep the order of the file.
    left = {one.id: iter(one) for one in dialogues}
    rows = {next(left[f"new/{turn.dialogue}"]).id: row for turn, row in zip(turns, table, strict=True)}
    return TableInput(dialogues, rows, roles, tuple(warnings))
