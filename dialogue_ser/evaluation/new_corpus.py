"""Read labelled dialogues for a trained model: its classes, or its dimensions, decide what is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.corpus.parsing.columns import resolve_columns
from dialogue_ser.corpus.parsing.files import FileFormat, file_format, read_rows
from dialogue_ser.corpus.readers import read_corpus, reader_of_file
from dialogue_ser.corpus.schema import Corpus, utterances
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification

#: The split if the data do not have splits.
ONLY_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class NewData:
    """Labelled dialogues to score a model on.

    Args:
        path: a table (CSV, TSV, JSON, Excel or parquet) with one turn per row and its label, or the folder of a
            corpus.
        reader: corpus reader, e.g. meld. If left out, a file is read by the reader table.
        labels: label set of the corpus. If left out: the one of the model.
        options: options of the reader, e.g. for table the columns (options.columns.text NAME) and a label map
            (options.label_map.happy joy).
        on_bad: what to do with audio that cannot be decoded. error = stop; mask = score the turn without its audio. If
            left out: as in training.
    """

    path: str | None = None
    reader: str | None = None
    labels: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    on_bad: Literal["error", "mask"] | None = None


def reader_of(data: NewData) -> str:
    """Return the reader of the data. Raises ConfigError if it cannot be known."""
    reader = data.reader or (reader_of_file(data.path) if data.path else None)
    if reader is None:
        found = f"--data.path {data.path} is no file" if data.path else "there is no data"
        raise ConfigError(
            f"evaluate: {found}; name a table with labels (--data.path turns.csv) or the reader of a corpus "
            "(--data.reader meld)"
        )
    return reader


def data_name(data: NewData, reader: str) -> str:
    """Return the name of the data for people: the name of their file or folder, or the reader."""
    return Path(data.path).name if data.path else reader


def label_set_name(task: Task) -> str:
    """Return the name of the model's label set; for a regression the usual name of label sets."""
    return task.label_set.name if isinstance(task, Classification) else "emotion"


def read_new_data(data: NewData, reader: str, task: Task, on_bad: str) -> Corpus:
    """Read the dialogues. A table that does not say its splits becomes one split.

    Args:
        data: the dialogues.
        reader: their reader, see :func:`reader_of`.
        task: task of the model.
        on_bad: what to do with bad media if the data do not say it.

    Raises:
        ConfigError: the reader or an option does not exist.
        CorpusError: there are bad rows, labels that are no classes of the model, or no annotation for its task.
        MissingDataError: the data do not exist.
    """
    options = dict(data.options)
    if reader == "table":
        columns = dict(options.get("columns") or {})
        if not task.gives_probabilities and "targets" not in columns:
            options["columns"] = {**columns, "targets": list(task.names)}
        if data.path and not _says_splits(Path(data.path), options):
            options["fractions"] = {ONLY_SPLIT: 1.0}
    labels = data.labels or label_set_name(task)
    corpus = read_corpus(reader, data.path, labels, on_bad=data.on_bad or on_bad, **options)
    _check_annotation(corpus, task, reader)
    return corpus


def _says_splits(path: Path, options: Mapping[str, Any]) -> bool:
    """Return whether the options of the reader table, or a column of the file, say the split of a turn."""
    if options.get("files") or options.get("fractions"):
        return True
    said = {entry.name for entry in fields(FileFormat)}
    form = file_format({name: value for name, value in options.items() if name in said}, "reader table")
    columns = {role: name for role, name in (options.get("columns") or {}).items() if role == "split"}
    return "split" in resolve_columns(read_rows(path, form), columns).single


def _check_annotation(corpus: Corpus, task: Task, reader: str) -> None:
    """Raise CorpusError for labels that are no classes of the model, and for data without any annotation for it."""
    turns = [turn for dialogues in corpus.splits.values() for turn in utterances(dialogues)]
    problems = []
    if isinstance(task, Classification):
        counts: dict[str, list[str]] = {}
        for turn in turns:
            if turn.label is not None and turn.label not in task.names:
                counts.setdefault(turn.label, []).append(turn.origin or turn.id)
        problems = [
            f"{origins[0]}: {unknown_name('class of the model', label, task.names)}; {len(origins)} turns have this "
            f"label; map it (--data.options.label_map.{label} CLASS; null leaves the turns unlabelled)"
            for label, origins in counts.items()
        ]
    if not problems and not any(task.is_labelled(turn) for turn in turns):
        wanted = "labels" if isinstance(task, Classification) else f"values of {', '.join(task.names)}"
        hint = "data.options.columns.label or --data.options.columns.targets" if reader == "table" else "data.labels"
        problems = [f"corpus {corpus.name}: no turn has {wanted}, so nothing can be scored; name them (--{hint})"]
    if problems:
        raise CorpusError(*problems)
