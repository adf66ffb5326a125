"""Maintenance of the feature store: list what it holds, verify it, and delete what is not needed."""

import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.durable import TEMPORARY_PREFIX
from dialogue_ser.features.store.content_keys import fingerprint_digest
from dialogue_ser.features.store.locks import hold_lock, index_lock, is_in_use, store_lock
from dialogue_ser.features.store.shards import RowAddress, is_intact, move_to_quarantine, read_index, write_index

_ORPHAN_SECONDS = 3600.0
_DELETED_PREFIX = ".pruned-"
#: Parts of a fingerprint that change with the software, not with the user's settings.
_SOFTWARE = ("versions", "code", "version")


@dataclass(frozen=True, kw_only=True)
class StoreEntry:
    """The folder of one encoder in the store.

    Args:
        encoder: name of the encoder.
        kind: vector, frames or tokens.
        digest: 16 digits of the fingerprint's hash; the name of the folder ends with them.
        folder: path of the folder.
        fingerprint: everything that changes the rows.
        n_utterances: number of different contents that are stored.
        n_bytes: size of the shards in bytes.
        n_broken: number of shards that are missing or have another size than in the index; only ``verify`` reads them.
        written: time at which a row was last added, in seconds since the epoch.
        used: time at which the features were last used, in seconds since the epoch.
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
class VerifiedFolder:
    """The findings of ``verify`` in one folder.

    Args:
        folder: folder of an encoder.
        n_shards: number of shards in the index.
        broken: files that were broken or missing; they are set aside now.
        n_lost: number of utterances in the broken files (0 for a broken index, because the number is unknown).
    """

    folder: Path
    n_shards: int
    broken: tuple[Path, ...]
    n_lost: int


def entries(root: Path) -> tuple[StoreEntry, ...]:
    """Return the folders of all encoders, sorted by name. A damaged description counts as one more broken file."""
    return tuple(_read_entry(path.parent) for path in sorted(root.glob("[!.]*/encoder.json")))


def _read_entry(folder: Path) -> StoreEntry:
    description_file = folder / "encoder.json"
    name, _, digest = folder.name.rpartition("-")
    kind = "?"
    fingerprint: dict[str, Any] = {}
    try:
        description = json.loads(description_file.read_text(encoding="utf-8"))
        found = description["name"], description["kind"], description["fingerprint"]
        is_damaged = fingerprint_digest(*found) != digest
    except (OSError, ValueError, KeyError, TypeError):
        is_damaged = True
    if not is_damaged:
        name, kind, fingerprint = found
    addresses = read_index(folder)
    shards = {address.shard: address for address in addresses.values()}
    index = folder / "index.parquet"
    return StoreEntry(
        encoder=name,
        kind=kind,
        digest=digest,
        folder=folder,
        fingerprint=fingerprint,
        n_utterances=len(addresses),
        n_bytes=sum(address.n_bytes for address in shards.values()),
        n_broken=sum(_size_of(folder / name) != address.n_bytes for name, address in shards.items()) + is_damaged,
        written=(index if index.exists() else description_file).stat().st_mtime,
        used=description_file.stat().st_mtime,
    )


def verify(root: Path) -> Iterator[VerifiedFolder]:
    """Read every shard of every encoder and compare its hash. Broken files are set aside and counted."""
    for path in sorted(root.glob("[!.]*/encoder.json")):
        folder = path.parent
        index = folder / "index.parquet"
        had_index = index.exists()
        addresses = read_index(folder)  # this call moves an unreadable index aside
        lost_index = [index] if had_index and not index.exists() else []
        shards: dict[str, RowAddress] = {address.shard: address for address in addresses.values()}
        broken = {name for name, address in shards.items() if not is_intact(folder, address)}
        if broken:
            set_shards_aside(folder, broken)
        yield VerifiedFolder(
            folder=folder,
            n_shards=len(shards),
            broken=(*lost_index, *(folder / name for name in sorted(broken))),
            n_lost=sum(address.shard in broken for address in addresses.values()),
        )


def set_shards_aside(folder: Path, shards: set[str]) -> None:
    """Move shards to the quarantine and remove their rows from the index."""
    with hold_lock(index_lock(folder)):
        addresses = {
            key: address for key, address in read_index(folder, is_locked=True).items() if address.shard not in shards
        }
        move_to_quarantine(folder, sorted(shards))
        write_index(folder, addresses)


def superseded_entries(found: Sequence[StoreEntry]) -> dict[str, StoreEntry]:
    """Find entries that differ from a newer one only in the software: library versions, or the code of a function.

    Returns:
        folder name → the newer entry that replaces it.
    """
    newest: dict[str, StoreEntry] = {}
    keys = {entry.folder.name: _key_without_software(entry) for entry in found}
    for entry in sorted(found, key=lambda entry: entry.written):
        newest[keys[entry.folder.name]] = entry
    return {name: newest[key] for name, key in keys.items() if newest[key].folder.name != name}


def _key_without_software(entry: StoreEntry) -> str:
    """Return a text that is equal for entries that differ only in the software."""
    options = {key: value for key, value in entry.fingerprint.items() if key not in _SOFTWARE}
    return json.dumps([entry.encoder, entry.kind, options], sort_keys=True)


def fingerprints_of_runs(folders: Iterable[Path]) -> list[Mapping[str, Any]]:
    """Return the fingerprints of all encoders in the runs under some folders, from their environment.json."""
    found: list[Mapping[str, Any]] = []
    for path in sorted(path for folder in folders for path in folder.rglob("environment.json")):
        try:
            features = json.loads(path.read_text(encoding="utf-8"))["feature_fingerprints"]
            found += [feature["encoder"] for feature in features.values() if feature["encoder"] is not None]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a file with this name that is not from a run
    return found


def find_leftovers(folder: Path, *, is_locked: bool = False) -> list[Path]:
    """List files that were set aside, and files that killed processes left more than an hour ago.

    The list is empty while the folder is in use.

    Args:
        folder: folder of an encoder.
        is_locked: whether the caller holds the lock of the index.
    """
    if is_in_use(folder):
        return []
    listed = {address.shard for address in read_index(folder, is_locked=is_locked).values()}
    old = [
        path
        for path in (*folder.glob("shard-*"), *folder.glob(f"{TEMPORARY_PREFIX}*"))
        if path.name not in listed and time.time() - path.stat().st_mtime > _ORPHAN_SECONDS
    ]
    return [*old, *folder.glob("quarantine/*")]


def delete_leftovers(folder: Path) -> int:
    """Delete the :func:`find_leftovers` of a folder and return the number of bytes that are free again."""
    freed = 0
    # With both locks, no process starts to use the folder meanwhile.
    with hold_lock(store_lock(folder.parent)), hold_lock(index_lock(folder)):
        for path in find_leftovers(folder, is_locked=True):
            freed += _size_of(path) or 0
            path.unlink(missing_ok=True)
    return freed


def delete(entry: StoreEntry) -> bool:
    """Delete the folder of an encoder. Return False, and delete nothing, if a process is using it."""
    renamed = entry.folder.with_name(f"{_DELETED_PREFIX}{uuid.uuid4().hex}")
    with hold_lock(store_lock(entry.folder.parent)):
        if is_in_use(entry.folder):
            return False
        entry.folder.replace(renamed)
    shutil.rmtree(renamed)
    return True


def finish_deletions(root: Path) -> None:
    """Delete the folders that a killed ``prune`` had begun to delete."""
    for folder in root.glob(f"{_DELETED_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
