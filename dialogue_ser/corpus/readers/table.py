"""Any CSV, TSV or JSON-lines file with a column mapping as a corpus: own data without code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.corpus import splits as split_rules
from dialogue_ser.corpus.parsing.columns import Columns, resolve_columns
from dialogue_ser.corpus.parsing.rows import Rows, read_rows
from dialogue_ser.corpus.parsing.turns import Turn, TurnOptions, in_dialogues, read_turns, require_roles
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet
from dialogue_ser.corpus.validate import problems_of
from dialogue_ser.errors import ConfigError, CorpusError


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
    encoding: str = "utf-8",
    delimiter: str | None = None,
    name: str = "table",
    licence: str = "unknown",
    on_bad: str = "error",
) -> Corpus:
    """Read a table whose rows are utterances in the order they were spoken.

    Splits come from a split column, or from ``files``, or from ``fractions``. Without a dialogue column every row is a
    dialogue of its own; without a speaker column all turns share one speaker. A table has labels, targets, or both.

    Args:
        path: the file, or the folder of ``files``.
        labels: name of the label set, where a column holds labels (or columns votes); without one there are no classes.
        columns: role → column; roles are text, speaker, dialogue (one or several columns), label, utterance, split,
            audio, start, end, votes ({class: column}, or the prefix of count columns), attributes (columns, or {name:
            column}), targets (columns, or {dimension: column}, in the order of the dimensions). Roles left out are
            found by their usual names, except votes, attributes and targets. A target is a decimal number, with a dot
            or a comma; an empty cell was not annotated. ``start``/``end`` are the span inside the audio file, in
            seconds, ``h:mm:ss,mmm`` or as audformat has them (``0 days 00:00:01.500000``; NaT = open).
        files: split → file in the folder ``path``, e.g. ``{train: a.csv, dev: b.csv}``.
        fractions: split → share of the dialogues, drawn with ``seed``.
        seed: of that draw.
        stratify: draw so that each split gets its share of dialogues by their most frequent label.
        label_order: the classes in order; None = those found in train (or everywhere), most frequent first.
        label_map: label as written → class; null leaves the turn unlabelled.
        audio_root: folder of the audio paths; None = the table's own. Paths that lead out of it are refused.
        encoding: of the files.
        delimiter: between cells; None = by suffix.
        name: of the corpus.
        licence: of the corpus.
        on_bad: ``mask`` leaves turns without audio where the file is missing; ``error`` lists them.

    Raises:
        ConfigError: options that contradict each other, or options of labels where no column holds any.
        CorpusError: every bad row of every file.
    """
    if path is None:
        raise ConfigError("reader table: needs the file, or the folder of its files (--data.path)")
    tables = _tables(Path(path), files, encoding, delimiter)
    roles = _resolved(tables, columns)
    has_classes = any(found.has_classes for found in roles.values())
    _check_split_rules(files, fractions, columns)
    if not has_classes:
        _refuse_label_options(label_order=label_order, label_map=label_map, stratify=stratify)
    options = TurnOptions(
        label_map={str(label): mapped for label, mapped in (label_map or {}).items()},
        audio_root=None if audio_root is None else Path(audio_root),
        on_bad=on_bad,
    )
    problems: list[str] = []
    warnings: list[str] = []
    turns = {split: read_turns(table, roles[split], options, problems, warnings) for split, table in tables.items()}
    has_split_column = any("split" in found.single for found in roles.values())
    split_turns = _by_split(turns, has_split_column, fractions, seed, stratify, problems)
    order = tuple(map(str, label_order or ())) or (_labels_by_frequency(split_turns, problems) if has_classes else ())
    written = {turn.written_label for found in turns.values() for turn in found}
    unused = sorted(set(options.label_map) - written - {name for found in roles.values() for name in found.votes})
    if unused:
        warnings.append(f"label_map: {', '.join(unused)} never occurs")
    corpus = Corpus(
        name=name,
        label_set=LabelSet(labels, order) if has_classes else None,
        dimensions=next(tuple(found.targets) for found in roles.values()),
        splits={split: in_dialogues(found, split) for split, found in split_turns.items()},
        licence=licence,
        warnings=tuple(warnings),
    )
    if problems:  # unknown labels and duplicate ids of the readable rows belong into the same message
        raise CorpusError(*problems, *(problems_of(corpus) if split_turns else []))
    return corpus


def read_dialogues(
    path: str | Path,
    columns: Mapping[str, Any] | None = None,
    audio_root: str | Path | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    on_bad: str = "error",
) -> tuple[Dialogue, ...]:
    """Read unlabelled dialogues to predict on: columns speaker, text and/or audio, and optionally dialogue.

    Without a dialogue column the file is one dialogue. Ids are ``new/<dialogue>`` and ``new/<dialogue>_utt<n>``.
    A label column is read where there is one, targets where columns are named for them. Arguments as
    :func:`read_table`.

    Raises:
        CorpusError: every bad row.
    """
    table = read_rows(path, encoding=encoding, delimiter=delimiter)
    roles = resolve_columns(table, columns)
    require_roles(table, roles, need_annotation=False)
    options = TurnOptions(
        audio_root=None if audio_root is None else Path(audio_root), on_bad=on_bad, one_dialogue=Path(path).stem
    )
    problems: list[str] = []
    turns = read_turns(table, roles, options, problems, [])
    dialogues = in_dialogues(turns, "new")
    # Labels are not checked here: nothing is known about the classes of the model that will read them.
    found = tuple(dict.fromkeys(turn.utterance.label for turn in turns if turn.utterance.label))
    label_set = LabelSet("found", found or ("none",))
    checked = Corpus(name="new", label_set=label_set, dimensions=tuple(roles.targets), splits={"new": dialogues})
    problems.extend(problems_of(checked) if turns else [])
    if problems:
        raise CorpusError(*problems)
    return dialogues


def _tables(path: Path, files: Mapping[str, str] | None, encoding: str, delimiter: str | None) -> dict[str, Rows]:
    """Split → its file's rows; "" where one file holds everything."""
    paths = {split: path / file for split, file in files.items()} if files else {"": path}
    tables: dict[str, Rows] = {}
    problems: list[str] = []
    for split, file in paths.items():
        try:
            tables[split] = read_rows(file, encoding=encoding, delimiter=delimiter)
        except CorpusError as error:  # go on: the other files' problems belong into the same message
            problems.extend(error.problems)
    if problems:
        raise CorpusError(*problems)
    return tables


def _check_split_rules(
    files: Mapping[str, str] | None, fractions: Mapping[str, float] | None, columns: Mapping[str, Any] | None
) -> None:
    rules = {"files": files, "fractions": fractions, "columns.split": (columns or {}).get("split")}
    stated = [rule for rule, value in rules.items() if value]
    if len(stated) > 1:
        raise ConfigError(f"reader table: splits are stated by {' and by '.join(stated)}; keep one of them")


def _resolved(tables: Mapping[str, Rows], columns: Mapping[str, Any] | None) -> dict[str, Columns]:
    roles = {split: resolve_columns(table, columns) for split, table in tables.items()}
    for split, table in tables.items():
        require_roles(table, roles[split], need_annotation=True)
    return roles


def _refuse_label_options(**options: Any) -> None:
    stated = [name for name, value in options.items() if value]
    if stated:
        raise ConfigError(
            f"reader table: {' and '.join(stated)} need labels, but no column holds any; name one (columns.label) or "
            f"leave out {', '.join(stated)}"
        )


def _by_split(
    turns: Mapping[str, Sequence[Turn]],
    has_split_column: bool,
    fractions: Mapping[str, float] | None,
    seed: int,
    stratify: bool,
    problems: list[str],
) -> dict[str, list[Turn]]:
    """Turns of each split, by the one rule that was stated."""
    if "" not in turns:
        return {split: list(found) for split, found in turns.items()}
    rows = turns[""]
    ids = [turn.dialogue for turn in rows]
    try:
        if fractions:
            strata = _strata(rows) if stratify else None
            chosen = split_rules.by_fractions(list(dict.fromkeys(ids)), fractions, seed, strata)
        elif has_split_column:
            origins = [turn.utterance.origin for turn in rows]
            chosen = split_rules.by_column(ids, [turn.split for turn in rows], origins)
        else:
            raise ConfigError(
                "reader table: says nothing about splits; name a split column (columns.split), files per split "
                "(files: {train: a.csv, dev: b.csv}) or fractions ({train: 0.8, dev: 0.1, test: 0.1})"
            )
    except CorpusError as error:
        problems.extend(error.problems)
        # Any split will do from here on: the corpus is refused, but its other bad rows shall be named too.
        chosen = {turn.dialogue: turn.split.strip() or "train" for turn in reversed(rows)}
    found: dict[str, list[Turn]] = {split: [] for split in dict.fromkeys(chosen.values())}
    for turn in rows:
        found[chosen[turn.dialogue]].append(turn)
    return found


def _strata(turns: Sequence[Turn]) -> dict[str, str]:
    """Each dialogue's most frequent label; the alphabetically first one where several are."""
    counts: dict[str, Counter[str]] = {}
    for turn in turns:
        counts.setdefault(turn.dialogue, Counter()).update([turn.utterance.label or ""])
    return {name: min(count, key=lambda label: (-count[label], label)) for name, count in counts.items()}


def _labels_by_frequency(splits: Mapping[str, Sequence[Turn]], problems: list[str]) -> tuple[str, ...]:
    turns = splits.get("train") or [turn for found in splits.values() for turn in found]
    count = Counter(turn.utterance.label for turn in turns if turn.utterance.label is not None)
    if turns and not count:
        problems.append(
            "reader table: no row is labelled; check the label column and label_map, or map it to null (columns.label) "
            "where the table has targets only"
        )
    # A class that got votes but never the most is a class all the same.
    count.update(dict.fromkeys((label for turn in turns for label in turn.utterance.votes or ()), 0))
    return tuple(sorted(count, key=lambda label: (-count[label], label))) or ("none",)
