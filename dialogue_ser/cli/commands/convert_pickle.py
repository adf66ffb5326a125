"""``dialogue-ser convert-pickle IN OUT``."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.errors import ConfigError, FeatureError, shown_problems, unknown_name
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.files.pickle_alignment import align_with_corpus, name_by_pattern
from dialogue_ser.features.files.pickle_layouts import PickledTurn, read_layout
from dialogue_ser.features.files.pickle_reading import read_pickle
from dialogue_ser.features.files.tables import WRITERS, write_rows

_MOST_GB = 1_000_000


def convert_pickle(
    input: str,  # noqa: A002 - the name users see
    out: str,
    modality: str | None = None,
    layout: str | None = None,
    keys: Literal["auto", "utterance", "dialogue"] = "auto",
    id_pattern: str | None = None,
    reader: str | None = None,
    path: str | None = None,
    labels: str = "emotion",
    options: dict[str, Any] | None = None,
    on_bad: Literal["error", "mask"] = "error",
    memory_gb: float = 0.0,
) -> None:
    """Convert a pickle of features to parquet or safetensors with one row per utterance id. No code in it is run.

    Args:
        input: pickle of conv-emotion, MMGCN, COSMIC or M3Net, or of a dictionary.
        out: file to write, .parquet or .safetensors. With '{modality}' in its name, every modality gets a file.
        modality: convert only this modality. If left out, all modalities are converted.
        layout: what a tuple contains, part by part, e.g. ids,speakers,labels,text,audio,sentences,train,test,-. Set it
            if the command does not recognise the layout.
        keys: what the keys of a dictionary name: utterances or dialogues. Set it if auto guesses wrong.
        id_pattern: pattern of the utterance ids, made from {key}, {split}, {dialogue} and {utterance}. Set it if your
            corpus has other ids than the pickle. If left out: {key}.
        reader: corpus reader, e.g. meld, sample or table. Set it if the pickle has no utterance ids: its rows are then
            placed by the numbers, the splits, the texts and the labels of its dialogues.
        path: folder or file of that corpus. If left out, the reader looks in DIALOGUE_SER_DATA, or in data/.
        labels: label set of that corpus.
        options: options of the corpus reader, as YAML or JSON.
        on_bad: what to do with rows that match no utterance. error = stop; mask = leave them out and list them.
        memory_gb: memory that reading may use, in GB; 0 = 1 GB and 16 times the size of the file. Increase it if the
            command says that the pickle needs more.

    Raises:
        DialogueSerError: the pickle would run code, is damaged or has no known layout, or rows match no utterance.
    """
    # Long because the signature and the docstring are the command's flags and their help.
    pickle = Path(input)
    _check_flags(out, id_pattern, reader, memory_gb)
    with _errors_that_name(pickle):
        layout_name, turns = read_layout(read_pickle(pickle, memory_bytes=int(memory_gb * 1e9) or None), layout, keys)
        if not turns:
            raise FeatureError("contains no rows; give another file")
        modalities = _modalities_to_convert(turns, modality, out)
        if reader is None:
            turn_by_id, problems = name_by_pattern(turns, id_pattern)
        else:
            turn_by_id, problems = align_with_corpus(
                turns, read_corpus(reader, path, labels, on_bad="mask", **(options or {}))
            )
    _report_problems(problems, len(turns), on_bad, pickle)
    print(f"{pickle}: {layout_name}; {len(turns)} rows, {len(turn_by_id)} with an utterance id")
    _write_files(turn_by_id, modalities, out, pickle)


def _check_flags(out: str, id_pattern: str | None, reader: str | None, memory_gb: float) -> None:
    """Raise ConfigError for flags that cannot work, before the pickle is read."""
    target = Path(out)
    if target.suffix.lower() not in WRITERS:
        raise ConfigError(f"{out}: {unknown_name('ending', target.suffix, WRITERS)}")
    if target.parent != Path() and not target.parent.is_dir():
        raise ConfigError(f"{out}: the folder {target.parent} does not exist; create it or write to another folder")
    if reader is not None and id_pattern is not None:
        raise ConfigError("--reader takes the utterance ids of the corpus; leave --id-pattern out")
    if not 0 <= memory_gb <= _MOST_GB:
        raise ConfigError(f"--memory_gb {memory_gb:g}: must be at least 0 (0 = by the file's size), at most {_MOST_GB}")


@contextmanager
def _errors_that_name(pickle: Path) -> Iterator[None]:
    """Put the name of the pickle before every problem of a FeatureError, unless it is there already."""
    try:
        yield
    except FeatureError as error:
        raise FeatureError(*(p if p.startswith(str(pickle)) else f"{pickle}: {p}" for p in error.problems)) from None


def _modalities_to_convert(turns: Sequence[PickledTurn], modality: str | None, out: str) -> list[str]:
    known = list(turns[0].rows)
    if modality is not None:
        if modality not in known:
            raise ConfigError(f"--modality: {unknown_name('modality', modality, known)}")
        return [modality]
    if len(known) > 1 and "{modality}" not in out:
        raise ConfigError(
            f"{out}: the pickle has {', '.join(known)}; choose one with --modality, or put {{modality}} into the name"
        )
    return known


def _report_problems(problems: Sequence[str], n_rows: int, on_bad: str, pickle: Path) -> None:
    """Print the rows that are left out. Raise FeatureError if they are an error, or if no row is left."""
    if not problems:
        return
    if on_bad == "error" or len(problems) == n_rows:
        raise FeatureError(
            *(f"{pickle}: {problem}" for problem in problems),
            f"{pickle}: {len(problems)} of {n_rows} rows match no utterance; --on-bad mask leaves them out",
        )
    for problem in shown_problems(problems):
        print(f"left out: {problem}")


def _write_files(turn_by_id: Mapping[str, PickledTurn], modalities: Sequence[str], out: str, pickle: Path) -> None:
    """Write one file for each modality. Nothing is written if one of them cannot be written."""
    rows_of = {one: {key: turn.rows[one] for key, turn in turn_by_id.items()} for one in modalities}
    for modality, rows in rows_of.items():
        _check_sizes(rows, modality, pickle)
    files = {modality: Path(out.replace("{modality}", modality)) for modality in modalities}
    if any(file.exists() and file.samefile(pickle) for file in files.values()):
        raise ConfigError(f"{out}: is the pickle itself and would be overwritten; write to another file")
    for modality, file in files.items():
        rows = rows_of[modality]
        write_rows(file, rows)
        print(f"{file}: {modality}, {len(rows)} utterances of {next(iter(rows.values())).shape[-1]} features")


def _check_sizes(rows: Mapping[str, Array], modality: str, pickle: Path) -> None:
    """Raise FeatureError if the rows of a modality have different numbers of features."""
    shapes = Counter(row.shape[-1] for row in rows.values())
    if len(shapes) > 1:
        sizes = ", ".join(f"{size} ({n} rows)" for size, n in shapes.most_common(5))
        raise FeatureError(f"{pickle}: {modality} has rows of different sizes: {sizes}; choose another --modality")
