"""``dialogue-ser features list|verify|prune``: looking after the feature store."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from dialogue_ser.cli.tables import show
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.store import maintenance
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.maintenance import StoreEntry

_DAY = 86400.0


def features_list(store: str | None = None) -> int:
    """List what lies in the feature store.

    Args:
        store: folder of the store; left out: DIALOGUE_SER_CACHE or ~/.cache/dialogue_ser.

    Returns:
        Exit status 0.
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
    """Read every shard of the feature store and compare its checksum; broken ones are set aside.

    Args:
        store: folder of the store; left out: DIALOGUE_SER_CACHE or ~/.cache/dialogue_ser.

    Returns:
        Exit status 1 if anything was broken (it is computed again when next asked for), else 0.
    """
    feature_store = FeatureStore(store)
    n_shards = n_broken = n_lost = 0
    for found in maintenance.verify(feature_store.root):
        n_shards += found.n_shards
        n_broken += len(found.broken)
        n_lost += found.n_lost
        for path in found.broken:
            print(f"broken, set aside: {path}")
    print(f"{n_shards} shards read, {n_broken} files broken, {n_lost} utterances to be encoded again")
    return 1 if n_broken else 0


def features_prune(
    encoder: str | None = None,
    unused_days: float | None = None,
    superseded: bool = False,
    runs: str | None = None,
    yes: bool = False,
    store: str | None = None,
) -> int:
    """Show what may be deleted from the feature store, and delete it after a yes.

    Without conditions only what was set aside as broken and what killed processes left. With several conditions an
    encoder's folder goes if all of them hold. What a process is using always stays.

    Args:
        encoder: of this name.
        unused_days: not asked for since so many days.
        superseded: made by older software (library versions, a function's source) than another one like it.
        runs: folders of runs, separated by commas: those that none of these runs was made with.
        yes: delete without asking.
        store: folder of the store; left out: DIALOGUE_SER_CACHE or ~/.cache/dialogue_ser.

    Returns:
        Exit status 0.
    """
    root = FeatureStore(store).root
    entries = FeatureStore(store).entries()
    if encoder is not None and encoder not in {entry.encoder for entry in entries}:
        raise ConfigError(f"--encoder: {unknown_name('encoder', encoder, {entry.encoder for entry in entries})}")
    chosen = list(_chosen(entries, encoder, unused_days, superseded, runs))
    rest = {entry.folder: maintenance.leftovers(entry.folder) for entry in entries}
    for entry, why in chosen:
        print(f"{entry.encoder} {entry.digest}: {entry.n_utterances} utterances, {_size(entry.n_bytes)}; {why}")
    n_rest = sum(map(len, rest.values()))
    if n_rest:
        n_bytes = sum(path.stat().st_size for paths in rest.values() for path in paths if path.exists())
        print(f"{n_rest} file(s) set aside or left over by killed processes: {_size(n_bytes)}")
    if not chosen and not n_rest:
        print("nothing to delete")
        return 0
    if not yes and not _confirmed():
        print("nothing deleted; --yes deletes it")
        return 0
    maintenance.delete_half_deleted(root)
    freed = sum(maintenance.delete_leftovers(folder) for folder, paths in rest.items() if paths)
    for entry, _ in chosen:
        if maintenance.delete(entry):
            freed += entry.n_bytes
        else:
            print(f"{entry.encoder} {entry.digest}: in use by another process, kept")
    print(f"{_size(freed)} freed")
    return 0


def _chosen(
    entries: tuple[StoreEntry, ...], encoder: str | None, unused_days: float | None, is_old: bool, runs: str | None
) -> Iterator[tuple[StoreEntry, str]]:
    """Entries for which every condition given holds, and why."""
    if encoder is None and unused_days is None and not is_old and runs is None:
        return
    if unused_days is not None and not 0 <= unused_days < math.inf:
        raise ConfigError(f"--unused-days {unused_days:g}: must be at least 0")
    names = [] if runs is None else runs.split(",")
    folders = [Path(name) for name in names]
    absent = [repr(name) for name in names if not name or not Path(name).is_dir()]
    if absent:  # else a slip of the pen would make everything unreferenced
        raise ConfigError(f"--runs {','.join(absent)}: no such folder; give the folders that hold the runs to keep")
    known = maintenance.fingerprints_of_runs(folders)
    newer = maintenance.superseded(entries)
    for entry in entries:
        why = []
        if encoder is not None:
            why.append("of that encoder" if entry.encoder == encoder else "")
        if unused_days is not None:
            why.append(f"last used {_age(entry.used)} ago" if time.time() - entry.used > unused_days * _DAY else "")
        if is_old:
            by = newer.get(entry.folder.name)
            why.append(f"superseded by {by.digest}" if by else "")
        if runs is not None:
            why.append("" if entry.fingerprint in known else "no run was made with it")
        if all(why):
            yield entry, ", ".join(why)


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
