"""Read the file that W&B writes for a run (``run-ID.wandb``), to know whether everything is in it.

W&B itself does not say when it could not write, e.g. because the disk was full. The file is a log in the format of
LevelDB: blocks of 32 KiB with pieces of records. Each record is a protobuf message ``Record`` of the package wandb.
"""

import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

_FILE_HEADER_BYTES = 7
_BLOCK_BYTES = 32 * 1024
_PIECE = struct.Struct("<IHB")  # checksum, length, kind
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class CutOffError(OSError):
    """W&B could not write all of its file."""


def records(path: Path) -> Iterator[Any]:
    """Yield the records of a ``.wandb`` file, as far as the file is whole.

    Args:
        path: the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file.
    """
    messages: Any = import_module("wandb.proto.wandb_internal_pb2")  # late, because it takes a second
    content = path.read_bytes()
    if content[:4] != b":W&B":
        raise ValueError(f"{path}: is no file of W&B")
    position, parts = _FILE_HEADER_BYTES, b""
    while position + _PIECE.size <= len(content):
        left = _BLOCK_BYTES - position % _BLOCK_BYTES
        if left < _PIECE.size:
            position += left
            continue
        _, length, kind = _PIECE.unpack_from(content, position)
        position += _PIECE.size
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or position + length > len(content):
            return
        parts += content[position : position + length]
        position += length
        if kind in (_WHOLE, _LAST):
            yield messages.Record.FromString(parts)
            parts = b""


def refuse_unless_whole(path: Path) -> None:
    """Check that the end of a finished run is in its file.

    Raises:
        CutOffError: it is not, because W&B could not write all of the file.
    """
    if not any(record.WhichOneof("record_type") == "exit" for record in records(path)):
        raise CutOffError(f"{path} is cut off after {path.stat().st_size} bytes; is the disk full?")
