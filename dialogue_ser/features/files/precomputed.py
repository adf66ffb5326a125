"""Features somebody else extracted, keyed by utterance id."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dialogue_ser.corpus.cut import ID_IN_CORPUS
from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, FeatureError, MissingDataError
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.files.tables import RowFile, by_split, read_rows
from dialogue_ser.media.hashing import file_sha256


class Precomputed:
    """Rows of feature files; utterances without a row are absent turns, missing values stay NaN for ``impute``.

    Args:
        path: CSV, TSV, parquet, safetensors, npy or npz (see :func:`~dialogue_ser.features.files.tables.read_rows`);
            may hold ``{split}``, or be a mapping from split to file. ``NAME:rest`` stands for ``rest`` inside the data
            folder NAME (``meld:praat/meld_{split}_audio_features.csv``).
        key: key column; None = utterance_id, id, key, filename or file.
        columns: feature columns; None = all others.
        key_pattern: how a key becomes an utterance id: ``{key}`` is the cell, ``{stem}`` the cell without folder and
            suffix, ``{split}`` the file's split. ``{split}/{stem}`` makes ``train/dia12_utt3`` of ``dia12_utt3.wav``.
        kind: vector, or frames where an npz holds one array ``[L, D]`` per id.
        modality: name under which the batch carries it.

    Raises:
        ConfigError: kind or pattern that does not exist.
    """

    def __init__(
        self,
        *,
        path: str | Mapping[str, str],
        key: str | None = None,
        columns: Sequence[str] | None = None,
        key_pattern: str = "{key}",
        kind: InputKind = "vector",
        modality: str = "audio",
    ) -> None:
        if kind not in ("vector", "frames"):
            raise ConfigError(f"precomputed: kind {kind!r} is none of vector, frames")
        if not isinstance(path, str) and not all(isinstance(file, str) for file in dict(path).values()):
            raise ConfigError(f"precomputed: path {path!r} must be a file, or a mapping from split to file")
        if "{key}" not in key_pattern and "{stem}" not in key_pattern:
            raise ConfigError(
                f"precomputed: key_pattern {key_pattern!r} lacks {{key}} and {{stem}}; try '{{split}}/{{stem}}'"
            )
        self.name = "precomputed"
        self.modality = modality
        self.kind: InputKind = kind
        # Nobody can tell from a file what its rows have seen: MELD's well-known pickles are states of a bidirectional
        # model (docs/data.md). So no causal claim may rest on them.
        self.traits = EncoderTraits(context="dialogue", reads=("id",), is_stored=False, may_be_nan=True, is_data=True)
        self._path = path if isinstance(path, str) else dict(path)
        self._key = key
        self._columns = None if columns is None else tuple(columns)
        self._key_pattern = key_pattern
        self._files: dict[str, Path] = {}
        self._rows: dict[tuple[Path, str], dict[str, Array]] = {}

    def fingerprint(self) -> Mapping[str, Any]:
        """The options, and the SHA-256 of every file read so far by its split."""
        return {
            "path": self._path,
            "key": self._key,
            "columns": None if self._columns is None else list(self._columns),
            "key_pattern": self._key_pattern,
            "files": {split: file_sha256(path) for split, path in sorted(self._files.items())},
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """float32 ``[D]`` (``[L, D]``) of every utterance that has a row.

        Raises:
            MissingDataError: a split has no file.
            FeatureError: a file is unreadable, or not one utterance has a row.
        """
        name_of = {turn.id: turn.attributes.get(ID_IN_CORPUS, turn.id) for turn in utterances(dialogues)}
        ids = list(name_of.values())
        splits = Counter(map(split_of, ids))
        tables = {split: self._table(split, n, ids) for split, n in splits.items()}
        rows = {key: tables[split_of(name)][name] for key, name in name_of.items() if name in tables[split_of(name)]}
        if ids and not rows:
            files = ", ".join(str(self._files[split]) for split in splits)
            example = next(iter(next(iter(tables.values()))), "none")
            raise FeatureError(
                f"precomputed: {files} has no row for any of the {len(ids)} utterances (first: {ids[0]}; the file's "
                f"ids look like {example}); set key and key_pattern, or give new dialogues their own file, or use an "
                "encoder that computes features from the dialogues, e.g. opensmile"
            )
        return rows

    def _table(self, split: str, n_turns: int, ids: Sequence[str]) -> Mapping[str, Array]:
        path = self._locate(split, n_turns, ids)
        self._files[split] = path
        if (path, split) not in self._rows:
            self._rows[path, split] = self._named(read_rows(path, self._key, self._columns), path, split)
        return self._rows[path, split]

    def _named(self, found: RowFile, path: Path, split: str) -> dict[str, Array]:
        n_dimensions = 2 if self.kind == "frames" else 1
        rows: dict[str, Array] = {}
        problems: list[str] = []
        for key, row in zip(found.keys, found.rows, strict=True):
            if row.ndim != n_dimensions or row.dtype.kind not in "fiub":
                problems.append(
                    f"{path} ({key}): has shape {row.shape} and type {row.dtype}; "
                    f"kind {self.kind} needs {n_dimensions}-d numbers"
                )
                continue
            stem = PurePosixPath(key.replace("\\", "/")).stem
            name = self._key_pattern.replace("{split}", split).replace("{stem}", stem).replace("{key}", key)
            if name in rows:
                problems.append(f"{path} ({key}): key_pattern {self._key_pattern!r} gives {name!r} twice")
            rows[name] = row.astype(np.float32, copy=False)
        if problems:
            raise FeatureError(*problems[:10])
        return rows

    def _locate(self, split: str, n_turns: int, ids: Sequence[str]) -> Path:
        name = by_split(self._path, split)
        tried = name if name is not None else f"no file for split {split!r}"
        if name is not None:
            path = _resolve(name)
            if path.is_file():
                return path
            tried = str(path)
        first = next(key for key in ids if split_of(key) == split)
        raise MissingDataError(
            f"precomputed: {n_turns} utterance(s) of split {split!r} (first: {first}) need a feature file: {tried} "
            "does not exist; set option path, or use an encoder that computes features itself, e.g. opensmile"
        )


def split_of(utterance_id: str) -> str:
    """Split that an utterance id carries.

    >>> split_of("train/dia12_utt3")
    'train'
    """
    return utterance_id.partition("/")[0]


def _resolve(name: str) -> Path:
    prefix, colon, rest = name.partition(":")
    path = Path(name).expanduser()
    if not colon or path.exists() or len(prefix) < 2:
        return path
    from dialogue_ser.corpus.download.locate import find_data

    return find_data(prefix) / rest
