"""The feature store: an utterance is encoded once per encoder and content, and mapped from disk ever after."""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.core.api import Array, UtteranceEncoder
from dialogue_ser.features.core.checked_encoder import CheckedEncoder, checked
from dialogue_ser.features.store.content_keys import content_keys, fingerprint_digest
from dialogue_ser.features.store.engines import Engine, Unit, engine_for, rows_of
from dialogue_ser.features.store.locks import in_use, index_lock, locked, store_lock
from dialogue_ser.features.store.maintenance import StoreEntry, delete_leftovers, entries, forget, verify
from dialogue_ser.features.store.progress import Progress, reporting
from dialogue_ser.features.store.shards import RowAddress, is_intact, read_index, read_shard, write_index, write_shard
from dialogue_ser.features.store.work_units import missing, narrowed, units

__all__ = ["CHUNK_UTTERANCES", "FeatureStore", "Progress", "StoreEntry"]

logger = logging.getLogger(__name__)

#: Utterances encoded between two commits: what a killed process loses at most …
CHUNK_UTTERANCES = 1024
# … unless they are many bytes, or take long.
_CHUNK_BYTES = 256 << 20
_CHUNK_SECONDS = 60.0
_ATTEMPTS = 3


class FeatureStore:
    """Features on disk, keyed by content and encoder fingerprint; several processes may fill it at once.

    Args:
        root: folder; None = environment variable DIALOGUE_SER_CACHE, else ``~/.cache/dialogue_ser``.
        chunk_utterances: utterances between two commits.
        engine: where encoding happens; None = in this process, or in workers where an encoder asks for some.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        chunk_utterances: int = CHUNK_UTTERANCES,
        engine: Engine | None = None,
    ) -> None:
        if root == "":  # of a variable that is not set; the default one is not what was meant
            raise ConfigError("feature store: found '' as its folder; name one, or leave --store away")
        chosen = root or os.environ.get("DIALOGUE_SER_CACHE") or Path.home() / ".cache" / "dialogue_ser"
        self.root = Path(chosen).expanduser() / "features"
        self._chunk = chunk_utterances
        self._engine = engine

    def table(
        self, encoder: UtteranceEncoder, dialogues: Sequence[Dialogue], progress: Progress | bool | None = None
    ) -> Mapping[str, Array]:
        """Arrays by utterance id, as ``encoder.encode`` gives them; computes only what is not stored yet.

        Args:
            encoder: frozen encoder.
            dialogues: whose utterances are wanted.
            progress: called with (done, total) utterances to encode; None = a bar where stderr is a terminal.

        Raises:
            MediaError: clips that cannot be used, all of them in one error; everything else is stored by then.
            FeatureError: the encoder breaks its contract, or the store cannot be written.
        """
        encoder = checked(encoder)  # what is stored must be readable, whoever made it
        traits = encoder.traits
        if not traits.is_stored:
            return encoder.encode(dialogues)
        keys = content_keys(dialogues, traits)
        with self._opened(encoder) as folder:
            for _ in range(_ATTEMPTS):
                loose, places = self._fill(encoder, folder, dialogues, keys, progress)
                broken = {place.shard for place in _distinct(places, keys) if not is_intact(folder, place)}
                if not broken:
                    try:
                        rows = _read(folder, keys, places, loose, is_vector=encoder.kind == "vector")
                    except (OSError, IndexError):  # another process has just set a shard aside
                        continue
                    encoder.require_one_size(rows)
                    return rows
                logger.warning(
                    "feature store: %d broken shard(s) in %s set aside and computed again", len(broken), folder
                )
                forget(folder, broken)
        raise FeatureError(
            f"feature store {folder}: shards keep breaking; check the disk, or set DIALOGUE_SER_CACHE elsewhere"
        )

    def entries(self) -> tuple[StoreEntry, ...]:
        """What lies in the store, an encoder's folder each."""
        return entries(self.root)

    def verify(self) -> tuple[Path, ...]:
        """Broken shards over the whole store, now set aside; their features are computed again when next asked for."""
        return tuple(path for found in verify(self.root) for path in found.broken)

    def prune(self) -> int:
        """Delete what was set aside and what killed processes left over an hour ago; bytes freed."""
        return sum(delete_leftovers(entry.folder) for entry in self.entries())

    @contextmanager
    def _opened(self, encoder: UtteranceEncoder) -> Iterator[Path]:
        """The encoder's folder, which nobody removes meanwhile."""
        fingerprint = dict(encoder.fingerprint())
        folder = self.root / f"{_file_name(encoder.name)}-{fingerprint_digest(encoder.name, encoder.kind, fingerprint)}"
        described = folder / "encoder.json"
        description = json.dumps({"name": encoder.name, "kind": encoder.kind, "fingerprint": fingerprint}, indent=1)
        with ExitStack() as until_done:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                with locked(store_lock(self.root)) if os.access(self.root, os.W_OK) else nullcontext():
                    folder.mkdir(exist_ok=True)
                    if not described.exists():
                        write_atomically(described, description)
                    until_done.enter_context(in_use(folder))
            except OSError as error:
                raise _cannot_write(folder, error) from error
            with suppress(OSError):
                if described.read_bytes() != description.encode():  # damaged; what it describes is known
                    write_atomically(described, description)
                os.utime(described)  # when it was last asked for
            yield folder

    def _fill(
        self,
        encoder: CheckedEncoder,
        folder: Path,
        dialogues: Sequence[Dialogue],
        keys: Mapping[str, str | None],
        progress: Progress | bool | None,
    ) -> tuple[dict[str, Array], dict[str, RowAddress]]:
        """Encode what is missing, unit by unit; returns rows that have no key, and the index."""
        index = _Index(folder, self._chunk)
        wanted = missing(keys, index.places)
        loose: dict[str, Array] = {}
        sample: dict[str, Array] = {}
        if not wanted:
            return loose, index.places
        engine = self._engine or engine_for(encoder, len(wanted))

        def open_units() -> Iterator[Unit]:
            """Units of which another process has not stored everything meanwhile."""
            for unit in units(encoder, dialogues, wanted, self._chunk):
                index.refresh()
                still = frozenset(key for key in unit.wanted if keys[key] is None or keys[key] not in index.places)
                if len(still) < len(unit.wanted):
                    report(len(unit.wanted) - len(still))
                if still:
                    yield narrowed(encoder, unit, still)

        with (
            reporting(progress, encoder, len(wanted), runs_in_process=engine.runs_in_process) as report,
            index,
            closing(engine.outcomes(encoder, open_units())) as outcomes,  # type: ignore[type-var]
        ):
            for unit, found in rows_of(outcomes):
                rows = {key: found[key] for key in sorted(unit.wanted) if key in found}
                sample = sample or dict(list(rows.items())[:1])
                encoder.require_one_size({**rows, **sample})  # each worker has looked at its own only
                loose.update({key: row for key, row in rows.items() if keys[key] is None})
                index.add({content: row for key, row in rows.items() if (content := keys[key]) is not None})
                report(len(unit.wanted))
        return loose, index.places


class _Index:
    """An encoder's index and the rows that are about to join it; leaving it writes what is left.

    Args:
        folder: the encoder's.
        chunk: rows between two commits.
    """

    def __init__(self, folder: Path, chunk: int) -> None:
        self.places = read_index(folder)
        self._folder = folder
        self._chunk = chunk
        self._rows: dict[str, Array] = {}
        self._seen = self._stamp()
        self._committed = time.monotonic()

    def __enter__(self) -> "_Index":
        return self

    def __exit__(self, *_: object) -> None:
        self._commit()  # after an error and Ctrl-C too: what is finished is kept

    def refresh(self) -> None:
        """Read the index again if another process has replaced it."""
        if self._stamp() != self._seen:
            self._seen = self._stamp()
            self.places = read_index(self._folder)

    def add(self, rows: Mapping[str, Array]) -> None:
        """Keep rows by content key, and write them when they are enough."""
        self._rows.update(rows)
        n_bytes = sum(row.nbytes for row in self._rows.values())
        is_long_ago = time.monotonic() - self._committed > _CHUNK_SECONDS
        if len(self._rows) >= self._chunk or n_bytes >= _CHUNK_BYTES or is_long_ago:
            self._commit()

    def _commit(self) -> None:
        rows, self._rows = self._rows, {}
        if not rows:
            return
        try:
            written = write_shard(self._folder, rows)
            with locked(index_lock(self._folder)):
                self.places = {**written, **read_index(self._folder)}
                write_index(self._folder, self.places)
                self._seen = self._stamp()
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        self._committed = time.monotonic()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = (self._folder / "index.parquet").stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def _distinct(places: Mapping[str, RowAddress], keys: Mapping[str, str | None]) -> list[RowAddress]:
    used = (places[key] for key in keys.values() if key is not None and key in places)
    return list({place.shard: place for place in used}.values())


def _read(
    folder: Path,
    keys: Mapping[str, str | None],
    places: Mapping[str, RowAddress],
    loose: Mapping[str, Array],
    *,
    is_vector: bool,
) -> dict[str, Array]:
    shards = {place.shard: read_shard(folder / place.shard, is_vector=is_vector) for place in _distinct(places, keys)}
    rows: dict[str, Array] = {}
    for utterance_id, key in keys.items():
        if key is None:
            if utterance_id in loose:
                rows[utterance_id] = loose[utterance_id]
        elif key in places:
            rows[utterance_id] = shards[places[key].shard][places[key].position]
    return rows


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def _cannot_write(folder: Path, error: OSError) -> FeatureError:
    return FeatureError(
        f"feature store {folder}: cannot be written ({error}); free some space or set DIALOGUE_SER_CACHE elsewhere"
    )
