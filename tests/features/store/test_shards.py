import subprocess
import sys
import threading
import time

import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from dialogue_ser.features.store import shards
from dialogue_ser.features.store.locks import index_lock
from dialogue_ser.features.store.shards import RowAddress, read_index, write_index

WRITER = """
import itertools, random, sys
from pathlib import Path
from dialogue_ser.features.store.locks import hold_lock, index_lock
from dialogue_ser.features.store.shards import RowAddress, write_index

folder, draw = Path(sys.argv[1]), random.Random(1)
shard = "shard-" + "0" * 32 + ".safetensors"
print("begun", flush=True)
for number in itertools.count():
    rows = {f"key{i}": RowAddress(shard, i, 9, "0" * 64) for i in range(draw.choice((1, 40, 700, 4000)))}
    with hold_lock(index_lock(folder)):
        write_index(folder, rows)
"""


def addresses(n: int) -> dict[str, RowAddress]:
    return {f"key{i}": RowAddress(f"shard-{'0' * 32}.safetensors", i, 9, "0" * 64) for i in range(n)}


def test_an_index_that_is_replaced_all_the_time_is_never_judged_broken(tmp_path) -> None:
    write_index(tmp_path, addresses(3))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"begun\n"
    sizes: list[int] = []

    def read() -> None:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            sizes.append(len(read_index(tmp_path)))

    readers = [threading.Thread(target=read) for _ in range(3)]
    try:
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert set(sizes) <= {1, 3, 40, 700, 4000}
    assert len(set(sizes)) > 1
    assert not (tmp_path / "quarantine").exists()


def test_an_index_that_is_whole_at_the_second_look_stays(tmp_path, monkeypatch) -> None:
    (tmp_path / "index.parquet").write_bytes(b"half")
    lock = FileLock(index_lock(tmp_path))
    seen = []

    def hold_lock(path):
        seen.append(path)
        write_index(tmp_path, addresses(2))  # the other process finishes before the lock is free
        return lock

    monkeypatch.setattr(shards, "hold_lock", hold_lock)
    assert read_index(tmp_path) == addresses(2)
    assert seen == [index_lock(tmp_path)]
    assert not (tmp_path / "quarantine").exists()


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_broken_index_is_moved_aside_once(tmp_path, is_locked, caplog) -> None:
    (tmp_path / "index.parquet").write_bytes(b"no parquet")
    assert read_index(tmp_path, is_locked=is_locked) == {}
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    assert "is unreadable" in caplog.text
    assert read_index(tmp_path, is_locked=is_locked) == {}
    assert len(list((tmp_path / "quarantine").iterdir())) == 1


def test_the_index_is_read_from_memory_not_from_the_path(tmp_path, monkeypatch) -> None:
    write_index(tmp_path, addresses(2))
    read_table = pq.read_table

    def without_path(source, **options):
        assert not isinstance(source, str)
        assert not hasattr(source, "__fspath__")
        return read_table(source, **options)

    monkeypatch.setattr(pq, "read_table", without_path)
    assert read_index(tmp_path) == addresses(2)
