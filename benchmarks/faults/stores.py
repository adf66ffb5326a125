"""Many processes in one feature store: fillers, fillers that are killed, a writer that replaces the index, and damage.

A case is one store, one of four kinds:

- ``fill``: 48 processes ask for different, overlapping parts of the same utterances.
- ``killed``: the same, and one in three is killed at a random moment.
- ``race``: one process replaces the index again and again, by a smaller and a larger one, while three others read rows.
- ``damage``: 12 processes ask for rows while another one flips bits in shards and the index.

Survived: every row that any process got is bitwise the right one, no process failed (except by the kill), all rows can
be read afterwards, ``verify`` finds nothing broken, and nothing healthy was set aside as broken (except in ``damage``).
In ``damage`` a process may also get a clear refusal.
"""

import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.isolation import Child, start
from benchmarks.faults.core.oracle import Refused, answer
from benchmarks.faults.trained import last_line
from benchmarks.faults.vectors import KINDS, Kind, Letters, dialogues, require_rows, right_rows

N_FILLERS = 48
_N_DIALOGUES = 120
_CHUNK = 5
_WAIT_SECONDS = 100.0
_RACE_SECONDS = 8.0


class _SlowLetters(Letters):
    """Letters that need a moment, so that processes meet."""

    def encode(self, dialogues: Sequence[Any]) -> Mapping[str, Any]:
        """Return the rows after a moment for every dialogue."""
        time.sleep(0.002 * len(dialogues))
        return super().encode(dialogues)


def prepare(material: Path) -> None:
    """Nothing is needed."""


def attack(case: Case) -> Outcome:
    """Start the processes of one store and judge what they got."""
    kinds: tuple[Callable[[Case], str], ...] = (_fill, _race, _killed, _damage)
    attacked = kinds[case.number % len(kinds)]
    case.note(attacked.__name__.lstrip("_"))
    return Outcome("equal", f"{attacked.__name__.lstrip('_')}: {attacked(case)}")


def _ask(root: Path, kind: Kind, first: int, n: int) -> None:
    from dialogue_ser.features.store.feature_store import FeatureStore

    encoder, given = _SlowLetters(kind), dialogues(n, first)
    found = FeatureStore(root, chunk_utterances=_CHUNK).table(encoder, given, progress=False)
    require_rows(found, right_rows(Letters(kind), given))


def _fillers(case: Case, n: int, kind: Kind) -> list[Child]:
    children = []
    for number in range(n):
        first, size = int(case.rng.integers(_N_DIALOGUES - 40)), int(case.rng.integers(10, 40))
        work = _bound(_ask, case.folder / "store", kind, first, size)
        children.append(start(work, case.folder / f"filler-{number}.txt"))
    return children


def _bound(function: Callable[..., None], *arguments: object) -> Callable[[], None]:
    return lambda: function(*arguments)


def _wait(children: list[Child], allowed: tuple[int, ...] = (0,)) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    for number, child in enumerate(children):
        status = child.wait(max(1.0, deadline - time.monotonic()))
        if status not in allowed:
            raise Failed(f"process {number} ended with status {status}: {last_line(child.text)}")


def _check_store(case: Case, kind: Kind, *, may_be_broken: bool = False) -> int:
    """Read all rows, verify the store, and return the number of its utterances."""
    from dialogue_ser.features.store.feature_store import FeatureStore

    root = case.folder / "store"
    _ask(root, kind, 0, _N_DIALOGUES)
    store = FeatureStore(root)
    broken = store.verify()
    aside = [path.name for path in root.rglob("quarantine/*")]
    if broken or (aside and not may_be_broken):
        raise Failed(f"{len(broken)} broken files in the end, {len(aside)} set aside: {[*broken, *aside][:3]}")
    [entry] = store.entries()
    if entry.n_utterances != 2 * _N_DIALOGUES:
        raise Failed(f"{entry.n_utterances} utterances are stored in place of {2 * _N_DIALOGUES}")
    return entry.n_utterances


def _kind(case: Case) -> Kind:
    return KINDS[case.number // 4 % 2]


def _fill(case: Case) -> str:
    kind = _kind(case)
    children = _fillers(case, N_FILLERS, kind)
    _wait(children)
    return f"{N_FILLERS} processes, {_check_store(case, kind)} utterances of kind {kind}"


def _killed(case: Case) -> str:
    kind = _kind(case)
    children = _fillers(case, N_FILLERS, kind)
    victims = sorted(case.rng.choice(N_FILLERS, N_FILLERS // 3, replace=False).tolist())
    n_killed = 0
    for victim in victims:
        time.sleep(float(case.rng.uniform(0.0, 0.1)))
        n_killed += children[victim].signal(signal.SIGKILL)
    _wait([child for number, child in enumerate(children) if number not in victims])
    _wait([children[victim] for victim in victims], allowed=(0, -signal.SIGKILL))
    return f"{n_killed} of {N_FILLERS} processes killed, {_check_store(case, kind)} utterances of kind {kind}"


def _race(case: Case) -> str:
    from dialogue_ser.features.store.feature_store import FeatureStore

    kind, root = _kind(case), case.folder / "store"
    FeatureStore(root, chunk_utterances=_CHUNK).table(Letters(kind), dialogues(_N_DIALOGUES), progress=False)
    [entry] = FeatureStore(root).entries()
    seed = int(case.rng.integers(1 << 30))
    writer = start(_bound(_replace_index, entry.folder, seed), case.folder / "writer.txt")
    readers = [start(_bound(_read_often, root, kind, n), case.folder / f"reader-{n}.txt") for n in range(3)]
    _wait([writer, *readers])
    n_written = int(last_line(writer.text).split()[0])
    n_read = sum(int(last_line(reader.text).split()[0]) for reader in readers)
    _check_store(case, kind)
    return f"{n_written} times replaced, {n_read} times read, rows of kind {kind}"


def _replace_index(folder: Path, seed: int) -> None:
    """Replace the index as another process does that adds rows, by indexes of varying size."""
    from dialogue_ser.features.store.locks import hold_lock, index_lock
    from dialogue_ser.features.store.shards import read_index, write_index, write_shard

    draw, whole, n = random.Random(seed), read_index(folder), 0
    row = Letters("vector").encode(dialogues(1))["d0_u0"]
    padding = write_shard(folder, {f"{number:064x}": row for number in range(400)})
    deadline = time.monotonic() + _RACE_SECONDS
    while time.monotonic() < deadline:
        more = dict(list(padding.items())[: draw.randrange(len(padding))])
        with hold_lock(index_lock(folder)):
            write_index(folder, {**whole, **more})
        n += 1
    with hold_lock(index_lock(folder)):
        write_index(folder, whole)
    print(n, "indexes written")


def _read_often(root: Path, kind: Kind, number: int) -> None:
    from dialogue_ser.features.store.feature_store import FeatureStore
    from dialogue_ser.features.store.shards import read_index

    [entry] = FeatureStore(root).entries()
    n, n_rows, deadline = 0, 2 * _N_DIALOGUES, time.monotonic() + _RACE_SECONDS
    while time.monotonic() < deadline:
        if number:
            found = len(read_index(entry.folder))
            if found < n_rows:
                raise Failed(f"an index was read with {found} of {n_rows} rows")
        else:
            _ask(root, kind, 0, _N_DIALOGUES)
        n += 1
    print(n, "times read")


def _damage(case: Case) -> str:
    kind, root = _kind(case), case.folder / "store"
    seed = int(case.rng.integers(1 << 30))
    children = [
        start(_bound(_ask_twice, root, kind, number), case.folder / f"reader-{number}.txt") for number in range(12)
    ]
    vandal = start(_bound(_flip_bits, root, seed), case.folder / "vandal.txt")
    _wait([*children, vandal])
    refused = sum("refused" in child.text for child in children)
    _check_store(case, kind, may_be_broken=True)
    return f"{last_line(vandal.text)} under 12 processes, {refused} refused, rows of kind {kind}"


def _ask_twice(root: Path, kind: Kind, number: int) -> None:
    for part in range(4):
        found = answer(lambda part=part: _ask(root, kind, 7 * (number + part) % 80, 40))
        if isinstance(found, Refused):
            print("refused", found)


def _flip_bits(root: Path, seed: int) -> None:
    draw, n = random.Random(seed), 0
    for _ in range(30):
        time.sleep(0.05)
        files = sorted([*root.rglob("shard-*.safetensors"), *root.rglob("index.parquet")])
        files = [path for path in files if path.parent.name != "quarantine"]
        if not files:
            continue
        path = draw.choice(files)
        try:
            content = bytearray(path.read_bytes())
            at = draw.randrange(len(content))
            content[at] ^= 1 << draw.randrange(8)
            damaged = path.with_name(f".damaged-{n}")  # renamed, so that no row that was given changes under its reader
            damaged.write_bytes(content)
            damaged.replace(path)
        except (OSError, ValueError):
            continue
        n += 1
    print(n, "bits flipped")


FAMILY = Family(
    name="stores",
    fault="many processes in one feature store; some are killed, the index is replaced, bits are flipped",
    one_try=f"one store: {N_FILLERS} fillers, a writer with 3 readers, or 12 readers with damage",
    survives="every row right, nothing healthy set aside, the store whole in the end",
    quick=4,
    full=16,
    prepare=prepare,
    attack=attack,
    seconds=180.0,
)
