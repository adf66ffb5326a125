"""The feature store's files: safetensors shards that are memory-mapped, and a parquet index that lists them."""

import hashlib
import json
import logging
import re
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from dialogue_ser.durable import write_atomically
from dialogue_ser.features.core.api import Array
from dialogue_ser.media.hashing import file_sha256

logger = logging.getLogger(__name__)

_DTYPES = {"F32": np.float32, "I64": np.int64}
_SHARD = re.compile(r"shard-[0-9a-f]{32}\.safetensors")


@dataclass(frozen=True, slots=True)
class RowAddress:
    """Where one row lies, and what its shard must look like.

    Args:
        shard: file name.
        position: row in the shard.
        n_bytes: size of the shard.
        sha256: of the shard.
    """

    shard: str
    position: int
    n_bytes: int
    sha256: str


def write_shard(folder: Path, rows: Mapping[str, Array]) -> dict[str, RowAddress]:
    """Write rows to one new shard and say where each lies; complete on disk before it returns.

    Rows lie behind one another along their first axis (a vector is one row), ``starts`` says where each begins.
    """
    arrays = [np.atleast_2d(row) if row.dtype == np.float32 else row for row in rows.values()]
    starts = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
    content = save({"values": np.ascontiguousarray(np.concatenate(arrays)), "starts": starts})
    name = f"shard-{uuid.uuid4().hex}.safetensors"
    write_atomically(folder / name, content)
    digest = hashlib.sha256(content).hexdigest()
    return {key: RowAddress(name, position, len(content), digest) for position, key in enumerate(rows)}


def is_intact(folder: Path, place: RowAddress) -> bool:
    """Whether a shard has the size and SHA-256 that the index says."""
    path = folder / place.shard
    try:
        return path.stat().st_size == place.n_bytes and file_sha256(path) == place.sha256
    except OSError:
        return False


def read_shard(path: Path, *, is_vector: bool) -> list[Array]:
    """Memory-mapped rows of a shard that :func:`is_intact` has vouched for (copy on write: the file never changes)."""
    tensors = _map_tensors(path)
    values, starts = tensors["values"], tensors["starts"]
    if is_vector:
        return list(values)
    return [values[start:stop] for start, stop in pairwise(starts)]


def _map_tensors(path: Path) -> dict[str, Array]:
    # safetensors' numpy reader copies; the format (length, JSON header, raw little-endian data) maps directly.
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


def read_index(folder: Path) -> dict[str, RowAddress]:
    """Every key of an encoder's folder; an unreadable index counts as empty and is moved aside."""
    path = folder / "index.parquet"
    if not path.exists():
        return {}
    try:
        columns = pq.read_table(path, page_checksum_verification=True).to_pydict()
        rows = zip(columns["shard"], columns["position"], columns["n_bytes"], columns["sha256"], strict=True)
        places = dict(zip(columns["key"], (RowAddress(*row) for row in rows), strict=True))
        if not _is_sound(places):
            raise ValueError("rows that no process of ours has written")
        return places
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("feature store: index %s is unreadable (%s); its features are computed again", path, error)
        quarantine(folder, [path.name])
        return {}


def _is_sound(places: Mapping[str, RowAddress]) -> bool:
    """Whether names stay inside the folder, and no two keys share a row."""
    rows = {(place.shard, place.position) for place in places.values()}
    is_known = all(_SHARD.fullmatch(place.shard) and place.position >= 0 for place in places.values())
    return is_known and len(rows) == len(places) and all(isinstance(key, str) for key in places)


def write_index(folder: Path, places: Mapping[str, RowAddress]) -> None:
    """Replace the index in one step; call it under the folder's lock only."""
    table = pa.table(
        {
            "key": pa.array(list(places), pa.string()),
            "shard": pa.array([place.shard for place in places.values()], pa.string()),
            "position": pa.array([place.position for place in places.values()], pa.int64()),
            "n_bytes": pa.array([place.n_bytes for place in places.values()], pa.int64()),
            "sha256": pa.array([place.sha256 for place in places.values()], pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(folder / "index.parquet", sink.getvalue().to_pybytes())


def quarantine(folder: Path, names: Sequence[str]) -> None:
    """Move files out of the way, kept for inspection."""
    aside = folder / "quarantine"
    aside.mkdir(exist_ok=True)
    for name in names:
        if (folder / name).exists():
            (folder / name).replace(aside / f"{uuid.uuid4().hex[:8]}-{name}")
