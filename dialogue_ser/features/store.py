"""The feature store: an utterance is encoded once per encoder and content, and mapped from disk ever after."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.durable import WRITING, write_atomically
from dialogue_ser.errors import FeatureError, MediaError
from dialogue_ser.features.api import Array, UtteranceEncoder
from dialogue_ser.features.audio_input import BadClipsError
from dialogue_ser.features.content import content_keys, fingerprint_digest, parts
from dialogue_ser.features.shards import Place, is_intact, quarantine, read_index, read_shard, write_index, write_shard
from dialogue_ser.features.traits import traits_of

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
#: Utterances encoded between two commits: what a killed process loses at most.
CHUNK_UTTERANCES = 1024
_LOCK_SECONDS = 120.0
_ATTEMPTS = 3
_ORPHAN_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class StoreEntry:
    """One encoder's folder in the store.

    Args:
        encoder: its name.
        folder: where it lies.
        n_utterances: distinct contents stored.
        n_bytes: size of its shards.
    """

    encoder: str
    folder: Path
    n_utterances: int
    n_bytes: int


class FeatureStore:
    """Features on disk, keyed by content and encoder fingerprint; several processes may fill it at once.

    Args:
        root: folder; None = environment variable DIALOGUE_SER_CACHE, else ``~/.cache/dialogue_ser``.
        chunk_utterances: utterances between two commits.
    """

    def __init__(self, root: Path | str | None = None, *, chunk_utterances: int = CHUNK_UTTERANCES) -> None:
        chosen = root or os.environ.get("DIALOGUE_SER_CACHE") or Path.home() / ".cache" / "dialogue_ser"
        self.root = Path(chosen).expanduser() / "features"
        self._chunk = chunk_utterances

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
        traits = traits_of(encoder, encoder.modality)
        if not traits.is_stored:
            return encoder.encode(dialogues)
        folder = self._folder(encoder)
        keys = content_keys(dialogues, traits)
        for _ in range(_ATTEMPTS):
            loose, places = self._fill(encoder, folder, dialogues, keys, progress)
            broken = {place.shard for place in self._distinct(places, keys) if not is_intact(folder, place)}
            if not broken:
                try:
                    return self._read(folder, keys, places, loose, is_vector=encoder.kind == "vector")
                except OSError:  # another process has just set a shard aside
                    continue
            logger.warning("feature store: %d broken shard(s) in %s set aside and computed again", len(broken), folder)
            self._forget(folder, broken)
        raise FeatureError(
            f"feature store {folder}: shards keep breaking; check the disk, or set DIALOGUE_SER_CACHE elsewhere"
        )

    def entries(self) -> tuple[StoreEntry, ...]:
        """What lies in the store."""
        entries = []
        for folder in sorted(self.root.glob("*/encoder.json")):
            places = read_index(folder.parent)
            shards = {place.shard: place.n_bytes for place in places.values()}
            name = json.loads(folder.read_text(encoding="utf-8"))["name"]
            entries.append(
                StoreEntry(encoder=name, folder=folder.parent, n_utterances=len(places), n_bytes=sum(shards.values()))
            )
        return tuple(entries)

    def verify(self) -> tuple[Path, ...]:
        """Broken shards over the whole store, now set aside; their features are computed again when next asked for."""
        found: list[Path] = []
        for entry in self.entries():
            places = {place.shard: place for place in read_index(entry.folder).values()}
            broken = {name for name, place in places.items() if not is_intact(entry.folder, place)}
            if broken:
                self._forget(entry.folder, broken)
                found.extend(entry.folder / name for name in sorted(broken))
        return tuple(found)

    def prune(self) -> int:
        """Delete what was set aside and shards over an hour old that no index lists (killed processes); bytes freed."""
        freed = 0
        for entry in self.entries():
            with self._locked(entry.folder):
                listed = {place.shard for place in read_index(entry.folder).values()}
                orphans = [
                    path
                    for path in (*entry.folder.glob("shard-*"), *entry.folder.glob(f"{WRITING}*"))
                    if path.name not in listed and time.time() - path.stat().st_mtime > _ORPHAN_SECONDS
                ]
                for path in (*orphans, *entry.folder.glob("quarantine/*")):
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def _folder(self, encoder: UtteranceEncoder) -> Path:
        fingerprint = dict(encoder.fingerprint())
        folder = self.root / f"{_file_name(encoder.name)}-{fingerprint_digest(encoder.name, encoder.kind, fingerprint)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "encoder.json").exists():
                description = {"name": encoder.name, "kind": encoder.kind, "fingerprint": fingerprint}
                write_atomically(folder / "encoder.json", json.dumps(description, indent=1).encode())
        except OSError as error:
            raise _cannot_write(folder, error) from error
        return folder

    def _fill(
        self,
        encoder: UtteranceEncoder,
        folder: Path,
        dialogues: Sequence[Dialogue],
        keys: Mapping[str, str | None],
        progress: Progress | bool | None,
    ) -> tuple[dict[str, Array], dict[str, Place]]:
        """Encode what is missing, chunk by chunk; returns rows that have no key, and the index."""
        places = read_index(folder)
        wanted = _missing(keys, places)
        loose: dict[str, Array] = {}
        if not wanted:
            return loose, places
        problems: dict[str, None] = {}
        needs_context = traits_of(encoder, encoder.modality).context != (0, 0)
        with _reporting(progress, encoder, len(wanted)) as report:
            for piece in parts(dialogues, wanted, needs_context=needs_context, n_utterances=self._chunk):
                here = {turn.id for dialogue in piece for turn in dialogue} & wanted
                # Another process may have committed some of these meanwhile.
                places = read_index(folder)
                still = {key for key in here if keys[key] is None or keys[key] not in places}
                for part in parts(piece, still, needs_context=needs_context, n_utterances=sys.maxsize):
                    try:
                        rows = encoder.encode(part)
                    except MediaError as error:  # go on: one error at the end names the bad clips of all chunks
                        for problem in error.problems:  # what all chunks say (how to mend it) ends up last
                            problems.pop(problem, None)
                            problems[problem] = None
                        rows = error.rows if isinstance(error, BadClipsError) else {}
                    loose.update({key: row for key, row in rows.items() if keys[key] is None})
                    new = {content: rows[key] for key in still if (content := keys[key]) is not None and key in rows}
                    places = self._commit(folder, new, places)
                report(len(here))
        if problems:
            raise MediaError(*problems)
        return loose, places

    def _commit(self, folder: Path, rows: Mapping[str, Array], places: dict[str, Place]) -> dict[str, Place]:
        if not rows:
            return places
        try:
            written = write_shard(folder, rows)
            with self._locked(folder):
                merged = {**written, **read_index(folder)}
                write_index(folder, merged)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        return merged

    def _forget(self, folder: Path, shards: set[str]) -> None:
        with self._locked(folder):
            places = {key: place for key, place in read_index(folder).items() if place.shard not in shards}
            quarantine(folder, sorted(shards))
            write_index(folder, places)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        try:
            with FileLock(folder / "index.lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout:
            raise FeatureError(
                f"feature store {folder}: another process has held index.lock for "
                f"{_LOCK_SECONDS:.0f} s; end it, then try again"
            ) from None

    @staticmethod
    def _distinct(places: Mapping[str, Place], keys: Mapping[str, str | None]) -> list[Place]:
        used = (places[key] for key in keys.values() if key is not None and key in places)
        return list({place.shard: place for place in used}.values())

    def _read(
        self,
        folder: Path,
        keys: Mapping[str, str | None],
        places: Mapping[str, Place],
        loose: Mapping[str, Array],
        *,
        is_vector: bool,
    ) -> dict[str, Array]:
        shards = {
            place.shard: read_shard(folder / place.shard, is_vector=is_vector) for place in self._distinct(places, keys)
        }
        rows: dict[str, Array] = {}
        for utterance_id, key in keys.items():
            if key is None:
                if utterance_id in loose:
                    rows[utterance_id] = loose[utterance_id]
            elif key in places:
                rows[utterance_id] = shards[places[key].shard][places[key].position]
        return rows


def _missing(keys: Mapping[str, str | None], places: Mapping[str, Place]) -> set[str]:
    """Utterances to encode: one per content that is not stored, and every one without a key."""
    one_of_each = {key: utterance_id for utterance_id, key in keys.items() if key is not None and key not in places}
    return {*one_of_each.values(), *(utterance_id for utterance_id, key in keys.items() if key is None)}


@contextmanager
def _reporting(
    progress: Progress | bool | None, encoder: UtteranceEncoder, total: int
) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of utterances just done."""
    done = 0
    bar: Progress | None = progress if callable(progress) else None
    if progress is True or (progress is None and sys.stderr.isatty()):
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as display:
            task = display.add_task(f"{encoder.modality}: {encoder.name}", total=total)
            with _reporting(lambda n, _: display.update(task, completed=n), encoder, total) as inner:
                yield inner
        return

    def report(n: int) -> None:
        nonlocal done
        done = min(done + n, total)
        if bar is not None:
            bar(done, total)

    if bar is None or not getattr(encoder, "reports_progress", False):
        yield report
        return
    encoder.on_progress = report  # type: ignore[attr-defined]
    try:
        yield lambda n: None
    finally:
        encoder.on_progress = None  # type: ignore[attr-defined]


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def _cannot_write(folder: Path, error: OSError) -> FeatureError:
    return FeatureError(
        f"feature store {folder}: cannot be written ({error}); free some space or set DIALOGUE_SER_CACHE elsewhere"
    )
