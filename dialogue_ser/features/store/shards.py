"""The files of the feature store: memory-mapped safetensors shards, and a parquet index that lists their rows."""

import hashlib
import json
import logging
import re
import struct
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from dialogue_ser.durable import write_atomically
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.store.locks import hold_lock, index_lock
from dialogue_ser.media.hashing import file_sha256

logger = logging.getLogger(__name__)

_DTYPES = {"F32": np.float32, "I64": np.int64}
_INDEX_ERRORS = (pa.ArrowException, OSError, KeyError, TypeError, ValueError)
_SHARD = re.compile(r"shard-[0-9a-f]{32}\.safetensors")


@dataclass(frozen=True, slots=True)
class RowAddress:
    """The place of one row, with the size and hash that its shard must have.

    Args:
        shard: file name of the shard.
        position: number of the row in the shard, from 0.
        n_bytes: size of the shard in bytes.
        sha256: SHA-256 of the shard.
    """

    shard: str
    position: int
    n_bytes: int
    sha256: str


def write_shard(folder: Path, rows: Mapping[str, Array]) -> dict[str, RowAddress]:
    """Write rows to one new shard and return their addresses. The file is complete on disk when this returns.

    The shard concatenates the rows along their first axis (a vector counts as ``[1, D]``). ``starts`` holds the index
    at which each row begins.
    """
    arrays = [np.atleast_2d(row) if row.dtype == np.float32 else row for row in rows.values()]
    starts = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
    content = save({"values": np.ascontiguousarray(np.concatenate(arrays)), "starts": starts})
    name = f"shard-{uuid.uuid4().hex}.safetensors"
    write_atomically(folder / name, content)
    digest = hashlib.sha256(content).hexdigest()
    return {key: RowAddress(name, position, len(content), digest) for position, key in enumerate(rows)}


def is_intact(folder: Path, address: RowAddress) -> bool:
    """Whether a shard has the size and SHA-256 that the index says."""
    path = folder / address.shard
    try:
        return path.stat().st_size == address.n_bytes and file_sha256(path) == address.sha256
    except OSError:
        return False


def read_shard(path: Path, *, is_vector: bool) -> list[Array]:
    """Return the memory-mapped rows of a shard. Check it with :func:`is_intact` before.

    The rows are mapped with copy on write: a change of a row never changes the file.
    """
    tensors = _map_tensors(path)
    values, starts = tensors["values"], tensors["starts"]
    if is_vector:
        return list(values)
    return [values[start:stop] for start, stop in pairwise(starts)]


def _map_tensors(path: Path) -> dict[str, Array]:
    """Return the tensors of a safetensors file as memory-mapped arrays."""
    # safetensors' own function copies the data. Its format can be mapped: length, JSON header, little-endian data.
    with path.open("rb") as stream:
        (header_bytes,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(header_bytes))
    raw = np.asarray(np.memmap(path, mode="c", dtype=np.uint8))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
        tensors[name] = raw[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def read_index(folder: Path, *, is_locked: bool = False) -> dict[str, RowAddress]:
    """Return the address of every key in an encoder's folder.

    Other processes may replace the index at any time. So the file is read once, as a whole, and parsed from memory. An
    index is judged unreadable only after a second look, while no process can replace it. It is then moved aside, and
    the result is empty.

    Args:
        folder: folder of an encoder.
        is_locked: whether the caller holds the lock of the index.
    """
    path = folder / "index.parquet"
    try:
        return _parse_index(path)
    except _INDEX_ERRORS:
        pass
    with ExitStack() as locks:
        can_write = is_locked
        if not is_locked:
            with suppress(OSError):  # a store that cannot be written has no lock; nobody replaces its index either
                locks.enter_context(hold_lock(index_lock(folder)))
                can_write = True
        try:
            return _parse_index(path)
        except _INDEX_ERRORS as error:
            logger.warning(
                "feature store: index %s is unreadable (%s); its features will be computed again", path, error
            )
            if can_write:
                move_to_quarantine(folder, [path.name])
            return {}


def _parse_index(path: Path) -> dict[str, RowAddress]:
    """Return the content of an index file, or nothing if there is no file.

    Raises:
        ArrowException, OSError, KeyError, TypeError, ValueError: it cannot be read, or the store has not written it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    columns = pq.read_table(pa.BufferReader(content), page_checksum_verification=True).to_pydict()
    rows = zip(columns["shard"], columns["position"], columns["n_bytes"], columns["sha256"], strict=True)
    addresses = dict(zip(columns["key"], (RowAddress(*row) for row in rows), strict=True))
    if not _is_valid_index(addresses):
        raise ValueError("it has rows that the store has not written")
    return addresses


def _is_valid_index(addresses: Mapping[str, RowAddress]) -> bool:
    """Whether all shards have names of the store (no other folder) and no two keys have the same row."""
    rows = {(address.shard, address.position) for address in addresses.values()}
    is_known = all(_SHARD.fullmatch(address.shard) and address.position >= 0 for address in addresses.values())
    return is_known and len(rows) == len(addresses) and all(isinstance(key, str) for key in addresses)


def write_index(folder: Path, addresses: Mapping[str, RowAddress]) -> None:
    """Replace the index in one step. Call it only while holding the lock of the folder."""
    table = pa.table(
        {
            "key": pa.array(list(addresses), pa.string()),
            "shard": pa.array([address.shard for address in addresses.values()], pa.string()),
            "position": pa.array([address.position for address in addresses.values()], pa.int64()),
            "n_bytes": pa.array([address.n_bytes for address in addresses.values()], pa.int64()),
            "sha256": pa.array([address.sha256 for address in addresses.values()], pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(folder / "index.parquet", sink.getvalue().to_pybytes())


def move_to_quarantine(folder: Path, names: Sequence[str]) -> None:
    """Move files to the folder ``quarantine``, where a user can look at them."""
    aside = folder / "quarantine"
    aside.mkdir(exist_ok=True)
    for name in names:
        if (folder / name).exists():
            (folder / name).replace(aside / f"{uuid.uuid4().hex[:8]}-{name}")
