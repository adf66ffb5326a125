"""The encoder that looks up features in files which another program has made."""

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
from dialogue_ser.features.files.tables import RowFile, file_of_split, read_rows
from dialogue_ser.media.hashing import file_sha256


class Precomputed:
    """Looks up the rows of utterances in feature files. A turn without a row is absent; missing values stay NaN.

    Args:
        path: a CSV, TSV, parquet, safetensors, npy or npz file (:func:`~dialogue_ser.features.files.tables.read_rows`).
            The name may contain ``{split}``; or give a mapping from split to file. ``NAME:rest`` means ``rest`` in the
            data folder NAME, e.g. ``meld:praat/meld_{split}_audio_features.csv``.
        key: name of the key column; None = utterance_id, id, key, filename or file.
        columns: names of the feature columns; None = all but the key.
        key_pattern: pattern that makes an utterance id from a key. ``{key}`` is the cell, ``{stem}`` the cell without
            folder and suffix, ``{split}`` the split of the file. With ``{split}/{stem}``, the key ``dia12_utt3.wav`` of
            train becomes ``train/dia12_utt3``.
        kind: vector; or frames, if the file has one array ``[L, D]`` per id.
        modality: name of the modality in the batch.

    Raises:
        ConfigError: the kind does not exist, or path or key_pattern is not as described.
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
            raise ConfigError(f"precomputed: kind {kind!r} does not exist; choose vector or frames")
        if not isinstance(path, str) and not all(isinstance(file, str) for file in dict(path).values()):
            raise ConfigError(f"precomputed: path {path!r} must be a file, or a mapping from split to file")
        if "{key}" not in key_pattern and "{stem}" not in key_pattern:
            raise ConfigError(
                f"precomputed: key_pattern {key_pattern!r} lacks {{key}} and {{stem}}; try '{{split}}/{{stem}}'"
            )
        self.name = "precomputed"
        self.modality = modality
        self.kind: InputKind = kind
        # A file does not say which turns its rows depend on: MELD's well-known pickles are states of a bidirectional
        # model (docs/data.md). So the rows count as if they had seen the whole dialogue.
        self.traits = EncoderTraits(context="dialogue", reads=("id",), is_stored=False, may_be_nan=True, is_data=True)
        self._path = path if isinstance(path, str) else dict(path)
        self._key = key
        self._columns = None if columns is None else tuple(columns)
        self._key_pattern = key_pattern
        self._files: dict[str, Path] = {}
        self._rows: dict[tuple[Path, str], dict[str, Array]] = {}

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the options, and the SHA-256 of every file that was read, by split."""
        return {
            "path": self._path,
            "key": self._key,
            "columns": None if self._columns is None else list(self._columns),
            "key_pattern": self._key_pattern,
            "files": {split: file_sha256(path) for split, path in sorted(self._files.items())},
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return float32 ``[D]`` (``[L, D]`` for frames) by utterance id, for every utterance that has a row.

        Raises:
            MissingDataError: a split has no file.
            FeatureError: a file cannot be read, or no utterance has a row.
        """
        corpus_ids = {turn.id: turn.attributes.get(ID_IN_CORPUS, turn.id) for turn in utterances(dialogues)}
        ids = list(corpus_ids.values())
        splits = Counter(map(split_of, ids))
        tables = {split: self._rows_of_split(split, n, ids) for split, n in splits.items()}
        rows = {key: tables[split_of(name)][name] for key, name in corpus_ids.items() if name in tables[split_of(name)]}
        if ids and not rows:
            files = ", ".join(str(self._files[split]) for split in splits)
            example = next(iter(next(iter(tables.values()))), "none")
            raise FeatureError(
                f"precomputed: {files} has no row for any of the {len(ids)} utterances (first: {ids[0]}; the file's "
                f"ids look like {example}); set key and key_pattern, or use another file for new dialogues, or use an "
                "encoder that computes features from the dialogues, e.g. opensmile"
            )
        return rows

    def _rows_of_split(self, split: str, n_turns: int, ids: Sequence[str]) -> Mapping[str, Array]:
        """Return all rows of a split by utterance id. Its file is read only once."""
        path = self._find_file(split, n_turns, ids)
        self._files[split] = path
        if (path, split) not in self._rows:
            self._rows[path, split] = self._rows_by_id(read_rows(path, self._key, self._columns), path, split)
        return self._rows[path, split]

    def _rows_by_id(self, found: RowFile, path: Path, split: str) -> dict[str, Array]:
        """Check the rows of a file and return them by utterance id."""
        n_dimensions = 2 if self.kind == "frames" else 1
        rows: dict[str, Array] = {}
        first: dict[str, int] = {}
        problems: list[str] = []
        for place, (key, row) in enumerate(zip(found.keys, found.rows, strict=True)):
            if row.ndim != n_dimensions or row.dtype.kind not in "fiub":
                problems.append(
                    f"{path} ({key}): has shape {row.shape} and type {row.dtype}; "
                    f"kind {self.kind} needs {n_dimensions}-d numbers"
                )
                continue
            stem = PurePosixPath(key.replace("\\", "/")).stem
            name = self._key_pattern.replace("{split}", split).replace("{stem}", stem).replace("{key}", key)
            if first.setdefault(name, place) != place:
                problems.append(
                    f"{path} row {found.number(place)} ({key}): key_pattern {self._key_pattern!r} gives the id "
                    f"{name!r} twice, also in row {found.number(first[name])}; correct it"
                )
            rows[name] = row.astype(np.float32, copy=False)
        if problems:
            raise FeatureError(*problems)
        return rows

    def _find_file(self, split: str, n_turns: int, ids: Sequence[str]) -> Path:
        """Return the file of a split, or raise an error that says which utterances need it."""
        name = file_of_split(self._path, split)
        problem = "option path has no file for this split"
        if name is not None:
            path = _resolve_path(name)
            if path.is_file():
                return path
            problem = f"{path} does not exist"
        first = next(key for key in ids if split_of(key) == split)
        raise MissingDataError(
            f"precomputed: {n_turns} utterance(s) of split {split!r} (first: {first}) need a feature file, but "
            f"{problem}; set option path, or use an encoder that computes features, e.g. opensmile"
        )


def split_of(utterance_id: str) -> str:
    """Return the split at the beginning of an utterance id.

    >>> split_of("train/dia12_utt3")
    'train'
    """
    return utterance_id.partition("/")[0]


def _resolve_path(name: str) -> Path:
    """Return the path for a name. ``NAME:rest`` is in the data folder NAME, unless a file has the whole name."""
    prefix, colon, rest = name.partition(":")
    path = Path(name).expanduser()
    if not colon or path.exists() or len(prefix) < 2:
        return path
    from dialogue_ser.corpus.download.locate import find_data

    return find_data(prefix) / rest
