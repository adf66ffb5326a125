"""The feature store: an encoder encodes the same content only once. Later its features are mapped from disk."""

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
from dialogue_ser.features.store.engines import Engine, WorkUnit, collect_rows, engine_for
from dialogue_ser.features.store.locks import hold_lock, index_lock, mark_in_use, store_lock
from dialogue_ser.features.store.maintenance import StoreEntry, delete_leftovers, entries, set_shards_aside, verify
from dialogue_ser.features.store.progress import Progress, progress_reporter
from dialogue_ser.features.store.shards import RowAddress, is_intact, read_index, read_shard, write_index, write_shard
from dialogue_ser.features.store.work_units import missing_ids, narrow_unit, split_into_units

__all__ = ["CHUNK_UTTERANCES", "FeatureStore", "Progress", "StoreEntry"]

logger = logging.getLogger(__name__)

#: Number of utterances that are encoded before they are written. A killed process loses at most this many.
CHUNK_UTTERANCES = 1024
# Rows are written earlier if they have this many bytes, or if this time has passed.
_MAX_CHUNK_BYTES = 256 << 20
_MAX_CHUNK_SECONDS = 60.0
_ATTEMPTS = 3


class FeatureStore:
    """Features on disk, found by content and encoder fingerprint. Several processes can fill the store at once.

    Args:
        root: folder of the store; None = environment variable DIALOGUE_SER_CACHE, else ``~/.cache/dialogue_ser``.
        chunk_utterances: number of utterances that are encoded before they are written to disk.
        engine: engine that encodes; None = this process, or worker processes if the encoder wants them.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        chunk_utterances: int = CHUNK_UTTERANCES,
        engine: Engine | None = None,
    ) -> None:
        if root == "":  # e.g. from a shell variable that is not set; the user does not expect the default folder
            raise ConfigError("feature store: found '' as its folder; name a folder, or omit --store")
        chosen = root or os.environ.get("DIALOGUE_SER_CACHE") or Path.home() / ".cache" / "dialogue_ser"
        self.root = Path(chosen).expanduser() / "features"
        self._chunk = chunk_utterances
        self._engine = engine

    def table(
        self, encoder: UtteranceEncoder, dialogues: Sequence[Dialogue], progress: Progress | bool | None = None
    ) -> Mapping[str, Array]:
        """Return the arrays of ``encoder.encode`` by utterance id. Only rows that are not stored yet are computed.

        Args:
            encoder: frozen encoder.
            dialogues: dialogues whose utterances are encoded.
            progress: function that is called with the numbers (done, total) of utterances to encode; True = a progress
                bar, False = nothing, None = a progress bar if standard error is a terminal.

        Raises:
            MediaError: some clips cannot be used. The message names all of them. The other rows are stored before.
            FeatureError: the rows are not what the interface demands, or the store cannot be written.
        """
        encoder = checked(encoder)  # rows of any encoder must be valid before they are stored
        traits = encoder.traits
        if not traits.is_stored:
            return encoder.encode(dialogues)
        keys = content_keys(dialogues, traits)
        with self._encoder_folder(encoder) as folder:
            for _ in range(_ATTEMPTS):
                unkeyed, index = self._fill(encoder, folder, dialogues, keys, progress)
                addresses = index.addresses
                lost = index.seen.intersection(key for key in keys.values() if key is not None) - addresses.keys()
                if lost:
                    logger.warning(
                        "feature store: %d rows vanished from %s; they are computed again", len(lost), folder
                    )
                    continue
                used = _one_address_per_shard(addresses, keys)
                broken = {address.shard for address in used if not is_intact(folder, address)}
                if not broken:
                    try:
                        rows = _read_rows(folder, keys, addresses, unkeyed, is_vector=encoder.kind == "vector")
                    except (OSError, IndexError):  # another process has just moved a shard aside
                        continue
                    encoder.require_one_size(rows)
                    return rows
                logger.warning(
                    "feature store: %d broken shard(s) in %s are set aside and computed again", len(broken), folder
                )
                set_shards_aside(folder, broken)
        raise FeatureError(
            f"feature store {folder}: its files break or vanish again and again; check the disk and other programs, "
            "or set DIALOGUE_SER_CACHE to another folder"
        )

    def entries(self) -> tuple[StoreEntry, ...]:
        """Return one entry for the folder of each encoder in the store."""
        return entries(self.root)

    def verify(self) -> tuple[Path, ...]:
        """Set aside all broken shards and return their paths. Their features are computed again when needed."""
        return tuple(path for found in verify(self.root) for path in found.broken)

    def prune(self) -> int:
        """Delete files that were set aside, and files that killed processes left more than an hour ago.

        Returns:
            The number of bytes that are free again.
        """
        return sum(delete_leftovers(entry.folder) for entry in self.entries())

    @contextmanager
    def _encoder_folder(self, encoder: UtteranceEncoder) -> Iterator[Path]:
        """Make the encoder's folder if needed, and mark it as in use so that no process deletes it."""
        fingerprint = dict(encoder.fingerprint())
        folder = self.root / f"{_file_name(encoder.name)}-{fingerprint_digest(encoder.name, encoder.kind, fingerprint)}"
        description_file = folder / "encoder.json"
        description = json.dumps({"name": encoder.name, "kind": encoder.kind, "fingerprint": fingerprint}, indent=1)
        with ExitStack() as until_done:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                with hold_lock(store_lock(self.root)) if os.access(self.root, os.W_OK) else nullcontext():
                    folder.mkdir(exist_ok=True)
                    if not description_file.exists():
                        write_atomically(description_file, description)
                    until_done.enter_context(mark_in_use(folder))
            except OSError as error:
                raise _cannot_write(folder, error) from error
            with suppress(OSError):
                if description_file.read_bytes() != description.encode():  # damaged, but the right content is known
                    write_atomically(description_file, description)
                os.utime(description_file)  # the time of this file tells when the features were last used
            yield folder

    def _fill(
        self,
        encoder: CheckedEncoder,
        folder: Path,
        dialogues: Sequence[Dialogue],
        keys: Mapping[str, str | None],
        progress: Progress | bool | None,
    ) -> tuple[dict[str, Array], "_Index"]:
        """Encode the missing utterances unit by unit.

        Returns:
            The rows of utterances without a key, and the index with the addresses of all stored rows.
        """
        index = _Index(folder, self._chunk)
        wanted = missing_ids(keys, index.addresses)
        unkeyed: dict[str, Array] = {}
        sample: dict[str, Array] = {}
        if not wanted:
            return unkeyed, index
        engine = self._engine or engine_for(encoder, len(wanted))

        def remaining_units() -> Iterator[WorkUnit]:
            """Yield the units without the rows that another process has stored since the start."""
            for unit in split_into_units(encoder, dialogues, wanted, self._chunk):
                index.refresh()
                stored = index.addresses
                still_wanted = frozenset(key for key in unit.wanted if keys[key] is None or keys[key] not in stored)
                if len(still_wanted) < len(unit.wanted):
                    report(len(unit.wanted) - len(still_wanted))
                if still_wanted:
                    yield narrow_unit(encoder, unit, still_wanted)

        with (
            progress_reporter(progress, encoder, len(wanted), runs_in_process=engine.runs_in_process) as report,
            index,
            closing(engine.outcomes(encoder, remaining_units())) as outcomes,
        ):
            for unit, found in collect_rows(outcomes):
                rows = {key: found[key] for key in sorted(unit.wanted) if key in found}
                sample = sample or dict(list(rows.items())[:1])
                encoder.require_one_size({**rows, **sample})  # each worker has checked only its own rows
                unkeyed.update({key: row for key, row in rows.items() if keys[key] is None})
                index.add({content: row for key, row in rows.items() if (content := keys[key]) is not None})
                report(len(unit.wanted))
        return unkeyed, index


class _Index:
    """The index of an encoder, with new rows that are not written yet. Use it as a context manager.

    The end of the context writes the remaining rows.

    Args:
        folder: the encoder's folder.
        chunk: number of rows after which new rows are written.

    Attributes:
        addresses: the address of every stored row by key.
        seen: all keys that were stored at any time since the start. A key that is missing later was lost.
    """

    def __init__(self, folder: Path, chunk: int) -> None:
        self.addresses = read_index(folder)
        self.seen = set(self.addresses)
        self._folder = folder
        self._chunk = chunk
        self._rows: dict[str, Array] = {}
        self._known_version = self._file_version()
        self._committed = time.monotonic()

    def __enter__(self) -> "_Index":
        return self

    def __exit__(self, *_: object) -> None:
        self._commit()  # finished rows are kept, also after an error or Ctrl-C

    def refresh(self) -> None:
        """Read the index again if another process has replaced it."""
        if self._file_version() != self._known_version:
            self._known_version = self._file_version()
            self.addresses = read_index(self._folder)
            self.seen.update(self.addresses)

    def add(self, rows: Mapping[str, Array]) -> None:
        """Add rows by content key. They are written as soon as they are many, large or old."""
        self._rows.update(rows)
        n_bytes = sum(row.nbytes for row in self._rows.values())
        is_late = time.monotonic() - self._committed > _MAX_CHUNK_SECONDS
        if len(self._rows) >= self._chunk or n_bytes >= _MAX_CHUNK_BYTES or is_late:
            self._commit()

    def _commit(self) -> None:
        """Write the new rows as one shard and add them to the index."""
        rows, self._rows = self._rows, {}
        if not rows:
            return
        try:
            written = write_shard(self._folder, rows)
            with hold_lock(index_lock(self._folder)):
                self.addresses = {**written, **read_index(self._folder, is_locked=True)}
                self.seen.update(self.addresses)
                write_index(self._folder, self.addresses)
                self._known_version = self._file_version()
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        self._committed = time.monotonic()

    def _file_version(self) -> tuple[int, int] | None:
        """Return numbers that change whenever a process replaces the index file."""
        try:
            status = (self._folder / "index.parquet").stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def _one_address_per_shard(addresses: Mapping[str, RowAddress], keys: Mapping[str, str | None]) -> list[RowAddress]:
    """Return one address for each shard that holds a wanted row."""
    used = (addresses[key] for key in keys.values() if key is not None and key in addresses)
    return list({address.shard: address for address in used}.values())


def _read_rows(
    folder: Path,
    keys: Mapping[str, str | None],
    addresses: Mapping[str, RowAddress],
    unkeyed: Mapping[str, Array],
    *,
    is_vector: bool,
) -> dict[str, Array]:
    """Return the wanted rows by utterance id: those on disk, and those without a key."""
    shards = {
        address.shard: read_shard(folder / address.shard, is_vector=is_vector)
        for address in _one_address_per_shard(addresses, keys)
    }
    rows: dict[str, Array] = {}
    for utterance_id, key in keys.items():
        if key is None:
            if utterance_id in unkeyed:
                rows[utterance_id] = unkeyed[utterance_id]
        elif key in addresses:
            rows[utterance_id] = shards[addresses[key].shard][addresses[key].position]
    return rows


def _file_name(name: str) -> str:
    """Return the name without letters that a file system may refuse."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def _cannot_write(folder: Path, error: OSError) -> FeatureError:
    return FeatureError(
        f"feature store {folder}: cannot be written ({error}); free some space, or set DIALOGUE_SER_CACHE to "
        "another folder"
    )
