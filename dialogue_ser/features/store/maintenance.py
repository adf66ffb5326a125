"""Looking after the feature store: what lies in it, whether it is intact, what may go."""

import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.durable import WRITING
from dialogue_ser.features.store.content_keys import fingerprint_digest
from dialogue_ser.features.store.locks import index_lock, is_in_use, locked, store_lock
from dialogue_ser.features.store.shards import RowAddress, is_intact, quarantine, read_index, write_index

_ORPHAN_SECONDS = 3600.0
_GOING = ".pruned-"
#: Parts of a fingerprint that change when software does, not when the user asks for something else.
_SOFTWARE = ("versions", "code", "version")


@dataclass(frozen=True, kw_only=True)
class StoreEntry:
    """One encoder's folder in the store.

    Args:
        encoder: its name.
        kind: vector, frames or tokens.
        digest: 16 digits of the fingerprint's hash, the end of the folder's name.
        folder: where it lies.
        fingerprint: everything that decides the rows.
        n_utterances: distinct contents stored.
        n_bytes: size of its shards.
        n_broken: shards that are missing or have another size than the index says; ``verify`` looks closer.
        written: when a row was last added, seconds since the epoch.
        used: when it was last asked for.
    """

    encoder: str
    kind: str
    digest: str
    folder: Path
    fingerprint: Mapping[str, Any]
    n_utterances: int
    n_bytes: int
    n_broken: int
    written: float
    used: float


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What ``verify`` found in one folder.

    Args:
        folder: an encoder's.
        n_shards: shards that were listed.
        broken: files that were broken or missing, now set aside.
        n_lost: utterances they held (of a broken index: unknown, 0).
    """

    folder: Path
    n_shards: int
    broken: tuple[Path, ...]
    n_lost: int


def entries(root: Path) -> tuple[StoreEntry, ...]:
    """Every encoder's folder, by name; one whose description is damaged counts as a broken file more."""
    return tuple(_entry(path.parent) for path in sorted(root.glob("[!.]*/encoder.json")))


def _entry(folder: Path) -> StoreEntry:
    described = folder / "encoder.json"
    name, _, digest = folder.name.rpartition("-")
    kind, fingerprint = "?", dict[str, Any]()
    try:
        description = json.loads(described.read_text(encoding="utf-8"))
        found = description["name"], description["kind"], description["fingerprint"]
        is_damaged = fingerprint_digest(*found) != digest
    except (OSError, ValueError, KeyError, TypeError):
        is_damaged = True
    if not is_damaged:
        name, kind, fingerprint = found
    places = read_index(folder)
    shards = {place.shard: place for place in places.values()}
    index = folder / "index.parquet"
    return StoreEntry(
        encoder=name,
        kind=kind,
        digest=digest,
        folder=folder,
        fingerprint=fingerprint,
        n_utterances=len(places),
        n_bytes=sum(place.n_bytes for place in shards.values()),
        n_broken=sum(_size(folder / name) != place.n_bytes for name, place in shards.items()) + is_damaged,
        written=(index if index.exists() else described).stat().st_mtime,
        used=described.stat().st_mtime,
    )


def verify(root: Path) -> Iterator[Verified]:
    """Read every shard of every encoder and compare its hash; what is broken is set aside and counted."""
    for path in sorted(root.glob("[!.]*/encoder.json")):
        folder = path.parent
        index = folder / "index.parquet"
        had_index = index.exists()
        places = read_index(folder)  # moves an unreadable index aside
        lost_index = [index] if had_index and not index.exists() else []
        shards: dict[str, RowAddress] = {place.shard: place for place in places.values()}
        broken = {name for name, place in shards.items() if not is_intact(folder, place)}
        if broken:
            forget(folder, broken)
        yield Verified(
            folder=folder,
            n_shards=len(shards),
            broken=(*lost_index, *(folder / name for name in sorted(broken))),
            n_lost=sum(place.shard in broken for place in places.values()),
        )


def forget(folder: Path, shards: set[str]) -> None:
    """Set shards aside and take them off the index."""
    with locked(index_lock(folder)):
        places = {key: place for key, place in read_index(folder).items() if place.shard not in shards}
        quarantine(folder, sorted(shards))
        write_index(folder, places)


def superseded(found: Sequence[StoreEntry]) -> dict[str, StoreEntry]:
    """Entries (by folder name) that differ from a newer one only in software: versions, or a function's source.

    Returns:
        folder name → the entry that has taken its place.
    """
    newest: dict[str, StoreEntry] = {}
    asked = {entry.folder.name: _asked(entry) for entry in found}
    for entry in sorted(found, key=lambda entry: entry.written):
        newest[asked[entry.folder.name]] = entry
    return {name: newest[key] for name, key in asked.items() if newest[key].folder.name != name}


def _asked(entry: StoreEntry) -> str:
    options = {key: value for key, value in entry.fingerprint.items() if key not in _SOFTWARE}
    return json.dumps([entry.encoder, entry.kind, options], sort_keys=True)


def fingerprints_of_runs(folders: Iterable[Path]) -> list[Mapping[str, Any]]:
    """Fingerprints of the encoders that runs under some folders were made with (their environment.json)."""
    found: list[Mapping[str, Any]] = []
    for path in sorted(path for folder in folders for path in folder.rglob("environment.json")):
        try:
            features = json.loads(path.read_text(encoding="utf-8"))["feature_fingerprints"]
            found += [feature["encoder"] for feature in features.values() if feature["encoder"] is not None]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # somebody else's file of that name
    return found


def leftovers(folder: Path) -> list[Path]:
    """What was set aside, and what killed processes left over an hour ago; nothing while the folder is in use."""
    if is_in_use(folder):
        return []
    listed = {place.shard for place in read_index(folder).values()}
    old = [
        path
        for path in (*folder.glob("shard-*"), *folder.glob(f"{WRITING}*"))
        if path.name not in listed and time.time() - path.stat().st_mtime > _ORPHAN_SECONDS
    ]
    return [*old, *folder.glob("quarantine/*")]


def delete_leftovers(folder: Path) -> int:
    """Delete them; bytes freed."""
    freed = 0
    with locked(store_lock(folder.parent)), locked(index_lock(folder)):  # nobody enters meanwhile
        for path in leftovers(folder):
            freed += _size(path) or 0
            path.unlink(missing_ok=True)
    return freed


def delete(entry: StoreEntry) -> bool:
    """Delete an encoder's folder; False if a process is using it."""
    going = entry.folder.with_name(f"{_GOING}{uuid.uuid4().hex}")
    with locked(store_lock(entry.folder.parent)):
        if is_in_use(entry.folder):
            return False
        entry.folder.replace(going)
    shutil.rmtree(going)
    return True


def delete_half_deleted(root: Path) -> None:
    """Finish what a killed ``prune`` began."""
    for folder in root.glob(f"{_GOING}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
