"""``dialogue-ser features list|verify|prune``: list, check and clean up the feature store."""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from dialogue_ser.cli.tables import show
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.store import maintenance
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.maintenance import StoreEntry
from dialogue_ser.foreign_text.terminal_text import visible

_DAY = 86400.0


def features_list(store: str | None = None) -> int:
    """List the contents of the feature store: encoders, utterances, sizes and ages.

    Args:
        store: folder of the feature store. If left out: DIALOGUE_SER_CACHE, or ~/.cache/dialogue_ser.

    Returns:
        exit status 0.
    """
    feature_store = FeatureStore(store)
    table = Table(title=f"Feature store {escape(str(feature_store.root))}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("encoder")
    table.add_column("fingerprint")
    for heading in ("utterances", "size", "written", "last used", "broken shards"):
        table.add_column(heading, justify="right")
    for entry in feature_store.entries():
        ages = (_age(entry.written), _age(entry.used))
        cells = (str(entry.n_utterances), _size(entry.n_bytes), *ages, str(entry.n_broken))
        table.add_row(escape(entry.encoder), entry.digest, *cells)
    show(table)
    return 0


def features_verify(store: str | None = None) -> int:
    """Read every file (shard) of the feature store, compare its checksum, and set broken ones aside.

    The features of a broken file are computed again when a run needs them.

    Args:
        store: folder of the feature store. If left out: DIALOGUE_SER_CACHE, or ~/.cache/dialogue_ser.

    Returns:
        exit status 1 if a file is broken, else 0.
    """
    feature_store = FeatureStore(store)
    n_shards = n_broken = n_lost = 0
    for found in maintenance.verify(feature_store.root):
        n_shards += found.n_shards
        n_broken += len(found.broken)
        n_lost += found.n_lost
        for path in found.broken:
            print(f"broken, set aside: {visible(str(path))}")
    print(f"{n_shards} shards read, {n_broken} files broken, {n_lost} utterances must be encoded again")
    return 1 if n_broken else 0


def features_prune(
    encoder: str | None = None,
    unused_days: float | None = None,
    superseded: bool = False,
    runs: str | None = None,
    yes: bool = False,
    store: str | None = None,
) -> int:
    """Show which features can be deleted from the feature store, ask, and delete them.

    The flags are conditions: the features of an encoder are deleted if they meet all the conditions that you give.
    Without a condition, only broken files and files that stopped processes left behind are deleted. Features that a
    process is using are always kept.

    Args:
        encoder: condition: the features come from the encoder with this name.
        unused_days: condition: no run or command has used the features for this number of days.
        superseded: condition: newer features exist that differ only in the software that made them (versions of
            libraries, source code of a function).
        runs: condition: no run in these folders (separated by commas) uses the features.
        yes: delete without asking. Needed in scripts, where nobody can answer.
        store: folder of the feature store. If left out: DIALOGUE_SER_CACHE, or ~/.cache/dialogue_ser.

    Returns:
        exit status 0.
    """
    root = FeatureStore(store).root
    entries = FeatureStore(store).entries()
    if encoder is not None and encoder not in {entry.encoder for entry in entries}:
        raise ConfigError(f"--encoder: {unknown_name('encoder', encoder, {entry.encoder for entry in entries})}")
    chosen = list(_entries_to_delete(entries, encoder, unused_days, superseded, runs))
    leftovers = {entry.folder: maintenance.find_leftovers(entry.folder) for entry in entries}
    if not chosen and not any(leftovers.values()):
        print("nothing to delete")
        return 0
    _print_plan(chosen, leftovers)
    if not yes and not _confirmed():
        print("nothing deleted; --yes deletes it")
        return 0
    maintenance.finish_deletions(root)
    freed = sum(maintenance.delete_leftovers(folder) for folder, paths in leftovers.items() if paths)
    freed += sum(_delete(entry) for entry, _ in chosen)
    print(f"{_size(freed)} freed")
    return 0


def _print_plan(chosen: Sequence[tuple[StoreEntry, str]], leftovers: Mapping[Path, Sequence[Path]]) -> None:
    for entry, reasons in chosen:
        size = f"{entry.n_utterances} utterances, {_size(entry.n_bytes)}"
        print(f"{visible(entry.encoder)} {entry.digest}: {size}; {reasons}")
    paths = [path for some in leftovers.values() for path in some]
    if paths:
        n_bytes = sum(path.stat().st_size for path in paths if path.exists())
        print(f"{len(paths)} broken file(s) or files of stopped processes: {_size(n_bytes)}")


def _delete(entry: StoreEntry) -> int:
    """Delete the features of an encoder and return the bytes that this frees; keep them if a process uses them."""
    if maintenance.delete(entry):
        return entry.n_bytes
    print(f"{visible(entry.encoder)} {entry.digest}: kept, because another process is using it")
    return 0


def _entries_to_delete(
    entries: tuple[StoreEntry, ...], encoder: str | None, unused_days: float | None, superseded: bool, runs: str | None
) -> Iterator[tuple[StoreEntry, str]]:
    """Yield the entries that meet every given condition, each with the reasons; none without a condition."""
    if encoder is None and unused_days is None and not superseded and runs is None:
        return
    if unused_days is not None and not 0 <= unused_days < math.inf:
        raise ConfigError(f"--unused-days {unused_days:g}: must be at least 0")
    names = [] if runs is None else runs.split(",")
    absent = [repr(name) for name in names if not name or not Path(name).is_dir()]
    if absent:  # a typing error would otherwise make it look as if no run used any features
        raise ConfigError(f"--runs {','.join(absent)}: no such folder; give the folders that hold the runs to keep")
    used_by_runs = maintenance.fingerprints_of_runs([Path(name) for name in names])
    newer_entry = maintenance.superseded_entries(entries)
    for entry in entries:
        reasons = []
        if encoder is not None:
            reasons.append("of that encoder" if entry.encoder == encoder else "")
        if unused_days is not None:
            is_old = time.time() - entry.used > unused_days * _DAY
            reasons.append(f"last used {_age(entry.used)} ago" if is_old else "")
        if superseded:
            newer = newer_entry.get(entry.folder.name)
            reasons.append(f"superseded by {newer.digest}" if newer else "")
        if runs is not None:
            reasons.append("" if entry.fingerprint in used_by_runs else "no run uses it")
        if all(reasons):
            yield entry, ", ".join(reasons)


def _confirmed() -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return input("delete this? [y/N] ").strip().lower() in ("y", "yes")


def _age(then: float) -> str:
    seconds = max(time.time() - then, 0.0)
    for size, unit in ((_DAY, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _size(n_bytes: int) -> str:
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
