"""``dialogue-ser convert-pickle IN OUT``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.errors import ConfigError, FeatureError, unknown_name
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.files.pickle_alignment import align_with_corpus, name_by_pattern
from dialogue_ser.features.files.pickle_layouts import PickledTurn, read_layout
from dialogue_ser.features.files.pickle_reading import read_pickle
from dialogue_ser.features.files.tables import WRITERS, write_rows

_LISTED = 20
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
    """Turn a feature pickle of the field into parquet or safetensors keyed by utterance id, executing nothing in it.

    Args:
        input: the pickle: conv-emotion, MMGCN, COSMIC and their like, or a dictionary.
        out: .parquet or .safetensors, by its ending; '{modality}' in it gives one file for each.
        modality: convert only this one.
        layout: what stands where in a tuple, e.g. ids,speakers,labels,text,audio,sentences,train,test,-; left out:
            recognised.
        keys: what a plain dictionary is keyed by.
        id_pattern: how ids are made: {key}, {split}, {dialogue}, {utterance}; left out: {key}.
        reader: corpus to align with by its texts, where the pickle has only an order: meld, sample, table, …
        path: the corpus's folder or file; left out: looked for.
        labels: label set of the corpus.
        options: the reader's own options.
        on_bad: error, or mask (leave out and list) rows that fit nowhere.
        memory_gb: that reading may take; 0 = 1 GB and 16 times the file.

    Raises:
        DialogueSerError: the pickle asks for code, is broken or of no known layout; rows that fit nowhere.
    """
    target = Path(out)
    if target.suffix.lower() not in WRITERS:
        raise ConfigError(f"{out}: {unknown_name('ending', target.suffix, WRITERS)}")
    if target.parent != Path() and not target.parent.is_dir():
        raise ConfigError(f"{out}: the folder {target.parent} does not exist; create it or write elsewhere")
    if reader is not None and id_pattern is not None:
        raise ConfigError("--reader takes the corpus's own ids; leave --id-pattern away")
    source = Path(input)
    if not 0 <= memory_gb <= _MOST_GB:
        raise ConfigError(f"--memory_gb {memory_gb:g}: must be at least 0 (0 = by the file's size), at most {_MOST_GB}")
    try:
        name, turns = read_layout(read_pickle(source, memory_bytes=int(memory_gb * 1e9) or None), layout, keys)
        if not turns:
            raise FeatureError("holds no rows; is it the right file?")
        chosen = _chosen(turns, modality, out)
        if reader is None:
            placed, problems = name_by_pattern(turns, id_pattern)
        else:
            placed, problems = align_with_corpus(
                turns, read_corpus(reader, path, labels, on_bad="mask", **(options or {}))
            )
    except FeatureError as error:
        raise FeatureError(*(p if p.startswith(str(source)) else f"{source}: {p}" for p in error.problems)) from None
    _tell(problems, len(turns), on_bad, source)
    print(f"{source}: {name}; {len(turns)} rows, {len(placed)} placed")
    rows = {one: _of_one_size({key: turn.rows[one] for key, turn in placed.items()}, one, source) for one in chosen}
    files = {one: Path(out.replace("{modality}", one)) for one in chosen}
    if any(file.exists() and file.samefile(source) for file in files.values()):
        raise ConfigError(f"{out}: is the pickle itself, which would be gone; write elsewhere")
    for one, file in files.items():
        write_rows(file, rows[one])
        dim = next(iter(rows[one].values())).shape[-1]
        print(f"{file}: {one}, {len(placed)} utterances of {dim} features")


def _of_one_size(rows: Mapping[str, Array], modality: str, source: Path) -> Mapping[str, Array]:
    shapes = Counter(row.shape[-1] for row in rows.values())
    if len(shapes) > 1:
        sizes = ", ".join(f"{size} ({n} rows)" for size, n in shapes.most_common(5))
        raise FeatureError(f"{source}: {modality} has rows of different sizes: {sizes}; choose another --modality")
    return rows


def _chosen(turns: Sequence[PickledTurn], modality: str | None, out: str) -> list[str]:
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


def _tell(problems: Sequence[str], n_rows: int, on_bad: str, source: Path) -> None:
    """Raises FeatureError for rows that fit nowhere, unless they are to be left out."""
    if not problems:
        return
    shown = list(problems[:_LISTED])
    if len(problems) > _LISTED:
        shown.append(f"… and {len(problems) - _LISTED} more")
    if on_bad == "error" or len(problems) == n_rows:
        raise FeatureError(
            *(f"{source}: {problem}" for problem in shown),
            f"{source}: {len(problems)} of {n_rows} rows fit nowhere; --on-bad mask leaves them out",
        )
    for problem in shown:
        print(f"left out: {problem}")
