"""Read any table file as a corpus. The options name its columns, so your own data needs no code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.cut import carve
from dialogue_ser.corpus.label_maps import WORD_MAPS, label_map_as_text, relabel_by_words
from dialogue_ser.corpus.parsing.cells import Quoting
from dialogue_ser.corpus.parsing.columns import Columns, resolve_columns
from dialogue_ser.corpus.parsing.dialogues import rule_of
from dialogue_ser.corpus.parsing.files import FileFormat, read_rows
from dialogue_ser.corpus.parsing.paths import audio_folder
from dialogue_ser.corpus.parsing.rows import Rows
from dialogue_ser.corpus.parsing.table_splits import SplitRule, assign_splits
from dialogue_ser.corpus.parsing.turns import (
    Turn,
    TurnOptions,
    group_into_dialogues,
    labels_by_frequency,
    read_turns,
    require_roles,
)
from dialogue_ser.corpus.parsing.utterance_names import with_own_names
from dialogue_ser.corpus.schema import Corpus, LabelSet
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import ConfigError, CorpusError

# A message names at most this many labels.
_SHOWN = 10


# Longer than 50 lines, with more than 12 parameters, because every option of the reader is a parameter that the
# docstring explains.
def read_table(
    path: str | Path | None = None,
    labels: str = "emotion",
    columns: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    stratify: bool = False,
    label_order: Sequence[str] | None = None,
    label_map: Mapping[str, str | None] | None = None,
    audio_root: str | Path | None = None,
    dialogue: str | None = None,
    split_names: str = "usual",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quoting: Quoting = "auto",
    sheet: str | None = None,
    name: str = "table",
    licence: str = "unknown",
    on_bad: str = "error",
) -> Corpus:
    """Read a table whose rows are utterances, in the order in which they were spoken.

    The file is CSV, TSV, JSON, JSON Lines, parquet or Excel, also packed with gzip; its content decides. Splits come
    from a split column, from ``files``, or from ``fractions``; without all three, 80 % of the dialogues are train, 10 %
    dev and 10 % test. Without a speaker column all turns have the same speaker. A table has labels, targets, or both.
    Utterance ids that name several rows of a split become the paths of their audio files, if these differ. The warnings
    of the corpus say what the reader decided by itself.

    Args:
        path: the file, or the folder of ``files``.
        labels: name of the label set. It is used only if a column holds labels, or columns hold votes. With a name that
            other readers have too (shared-4, shared-5, shared-7, 4-class, 5-class, 6-class, 10-class), words for
            emotions become the classes of that set
            (:data:`~dialogue_ser.corpus.label_words.EMOTION_WORDS`). Any other name changes no label.
        columns: role → column. The roles are text, speaker, dialogue (one or several columns), label, utterance, split,
            audio, start, end, sentiment (negative, neutral or positive), votes ({class: column}, or the prefix of the
            columns with counts), attributes (columns, or {name: column}) and targets (columns, or {dimension: column},
            in the order of the dimensions). A role that is left out is found by its usual names; votes, attributes and
            targets have none. A target is a decimal number with a dot or a comma. An empty cell means that the turn
            was not annotated. ``start`` and ``end`` are the span inside the audio file: in seconds, as
            ``h:mm:ss,mmm``, or as audformat writes them (``0 days 00:00:01.500000``; NaT = no limit).
        files: split → file in the folder ``path``, e.g. ``{train: a.csv, dev: b.csv}``.
        fractions: split → share of the dialogues. The dialogues are drawn at random. Shares of less than 1 together
            are drawn from train, for splits that the table does not name: ``{dev: 0.1}``.
        seed: seed of that draw.
        stratify: divide the dialogues of each label in these shares. The label of a dialogue is its most frequent one.
        label_order: the classes in order; None = the classes in train (without a split train: in all splits), the most
            frequent first; in a label set of other readers its own order.
        label_map: label as the table writes it → class. null makes the turn unlabelled.
        audio_root: folder of the audio paths; None = the folder of the table. A path may be relative to it, or absolute
            and inside it; backslashes may separate its parts. Paths that lead out of it are refused.
        dialogue: which rows are one dialogue. column: columns name it; blank-lines: blank lines separate dialogues;
            file: all rows of a file, or of one of its splits; none: every row is a dialogue of its own. None = the
            first of column, blank-lines and none that the table allows.
        split_names: usual = names such as Validation become train, dev and test; as-written = they stay.
        encoding: encoding of the text. A byte-order mark of UTF-8, UTF-16 or UTF-32 is obeyed.
        delimiter: the character between two cells, or tab, comma, semicolon, bar or space; None = it is found out.
        quoting: standard = quotes enclose cells, and a quote inside a cell is doubled; none = a quote is a letter; auto
            = standard, if the rows then fit the header, otherwise none.
        sheet: name of the sheet of an Excel workbook; None = the first one that is not empty.
        name: name of the corpus.
        licence: licence of the corpus.
        on_bad: ``error`` lists missing audio files. ``mask`` leaves these turns without audio.

    Raises:
        ConfigError: options contradict each other, or there are options for labels but no column holds labels.
        CorpusError: the files have bad rows. The error lists all of them.
    """
    if path is None:
        raise ConfigError("reader table: needs the file, or the folder of its files (--data.path)")
    form = FileFormat(encoding=encoding, delimiter=delimiter, quoting=quoting, sheet=sheet)
    tables = _read_files(Path(path), files, form)
    roles = _resolve_roles(tables, columns)
    has_classes = any(found.has_classes for found in roles.values())
    carved = _check_split_rules(files, fractions, columns, roles)
    if split_names not in ("usual", "as-written"):
        raise ConfigError(f"reader table: split_names {split_names!r}; expected usual or as-written")
    if not has_classes:
        _refuse_label_options(label_order=label_order, label_map=label_map, stratify=stratify)
    options = TurnOptions(
        label_map=label_map_as_text(label_map),
        audio_root=audio_folder(audio_root),
        on_bad=on_bad,
        dialogue=rule_of(dialogue, columns),
    )
    problems: list[str] = []
    warnings = [note for table in tables.values() for note in table.notes]
    turns = {split: read_turns(table, roles[split], options, problems, warnings) for split, table in tables.items()}
    rule = SplitRule(
        column=next((found.single["split"] for found in roles.values() if "split" in found.single), ""),
        dialogue_columns=next(iter(roles.values())).dialogue,
        fractions=None if carved else fractions,
        seed=seed,
        stratify=stratify,
        keeps_names=split_names == "as-written",
        is_one_dialogue=options.dialogue == "file",
    )
    split_turns = assign_splits(turns, rule, problems, warnings)
    folder = options.audio_root or next(iter(tables.values())).path.parent
    split_turns = {split: with_own_names(found, split, folder, warnings) for split, found in split_turns.items()}
    is_shared = has_classes and labels in WORD_MAPS
    unlearned: list[str] = []
    order = () if is_shared else tuple(map(str, label_order or ()))
    if has_classes and not order:
        order = labels_by_frequency(split_turns, problems, every_split=is_shared)
        unlearned = _labels_without_training(split_turns, order, is_drawn=not (files or rule.column))
    warnings += _unused_labels(options, turns, roles)
    corpus = Corpus(
        name=name,
        label_set=LabelSet(labels, order) if has_classes else None,
        dimensions=next(tuple(found.targets) for found in roles.values()),
        splits={split: group_into_dialogues(found, split) for split, found in split_turns.items()},
        licence=licence,
        warnings=tuple(dict.fromkeys(warnings)),
    )
    if problems or unlearned:  # the error also names what is wrong with the rows that could be read
        raise CorpusError(*problems, *(corpus_problems(corpus) if split_turns else []), *unlearned)
    corpus = relabel_by_words(corpus, labels, label_order) if is_shared else corpus
    return carve(corpus, carved, seed) if carved else corpus


def _read_files(path: Path, files: Mapping[str, str] | None, form: FileFormat) -> dict[str, Rows]:
    """Return split → the rows of its file. If one file holds all rows, its split is ""."""
    paths = {split: path / file for split, file in files.items()} if files else {"": path}
    tables: dict[str, Rows] = {}
    problems: list[str] = []
    for split, file in paths.items():
        try:
            tables[split] = read_rows(file, form)
        except CorpusError as error:  # do not stop, because one error lists the problems of all files
            problems.extend(error.problems)
    if problems:
        raise CorpusError(*problems)
    return tables


def _check_split_rules(
    files: Mapping[str, str] | None,
    fractions: Mapping[str, float] | None,
    columns: Mapping[str, Any] | None,
    roles: Mapping[str, Columns],
) -> Mapping[str, float]:
    """Check that one rule states the splits. Return the fractions that are drawn from train; {} = there are none."""
    names_splits = bool(files) or any("split" in found.single for found in roles.values())
    if fractions and names_splits and sum(fractions.values()) < 1 - 1e-6:
        return fractions
    rules = {"files": files, "fractions": fractions, "columns.split": (columns or {}).get("split")}
    stated = [rule for rule, value in rules.items() if value]
    if len(stated) > 1:
        raise ConfigError(
            f"reader table: splits are stated by {' and by '.join(stated)}; keep one of them, or give fractions only "
            "for the splits that are to be drawn from train ({dev: 0.1})"
        )
    return {}


def _resolve_roles(tables: Mapping[str, Rows], columns: Mapping[str, Any] | None) -> dict[str, Columns]:
    roles = {split: resolve_columns(table, columns) for split, table in tables.items()}
    for split, table in tables.items():
        require_roles(table, roles[split], need_annotation=True)
    return roles


def _refuse_label_options(**options: Any) -> None:
    stated = [name for name, value in options.items() if value]
    if stated:
        raise ConfigError(
            f"reader table: {' and '.join(stated)} can be used only with labels, but no column holds labels; name one "
            f"(columns.label) or leave out {', '.join(stated)}"
        )


def _labels_without_training(turns: Mapping[str, Sequence[Turn]], classes: Sequence[str], is_drawn: bool) -> list[str]:
    """Return a sentence about the labels that are not in train, if there are some. It explains errors of the rows."""
    counts = Counter(
        (split, turn.utterance.label)
        for split, found in turns.items()
        for turn in found
        if turn.utterance.label is not None and turn.utterance.label not in classes
    )
    if not counts:
        return []
    shown = ", ".join(
        f"{label!r} ({split}, {count} turn{'s' * (count > 1)})" for (split, label), count in counts.most_common(_SHOWN)
    )
    return [
        f"reader table: labels that no turn of train has: {shown}; a model learns only the labels of train: map them "
        "to another class or to null (option label_map)"
        + (", or draw the dialogues again with another seed (option seed)" if is_drawn else "")
    ]


def _unused_labels(
    options: TurnOptions, turns: Mapping[str, Sequence[Turn]], roles: Mapping[str, Columns]
) -> list[str]:
    """Return a warning about the labels of ``label_map`` that the table does not hold, if there are some."""
    written = {turn.written_label for found in turns.values() for turn in found}
    voted = {name for found in roles.values() for name in found.votes}
    unused = sorted(set(options.label_map) - written - voted)
    return [f"label_map: the table does not hold {', '.join(unused)}"] if unused else []
