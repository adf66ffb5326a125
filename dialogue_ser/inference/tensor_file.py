"""A safetensors file in memory, whose names are known before its tensors are made."""

import struct
from collections.abc import Iterator, Mapping
from functools import cached_property

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from dialogue_ser.errors import CheckpointError
from dialogue_ser.foreign_text.json_text import JsonError, parse_json

# A name takes about 100 bytes of a header. The largest ensemble has some 100,000 names.
_MAX_HEADER_BYTES = 32 * 2**20
_LENGTH_BYTES = 8


class TensorFile(Mapping[str, Tensor]):
    """The tensors of a safetensors file by name. They are made when the first one is asked for.

    A file may name far more tensors than a model has, and making them takes seconds. So compare the names first.

    Args:
        content: the file.
        where: the file's path, for messages.

    Raises:
        CheckpointError: the file is not in the format safetensors.
    """

    def __init__(self, content: bytes, where: str) -> None:
        self._content = content
        self._where = where
        self._names = self._read_names()

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        try:
            return safetensors.torch.load(self._content)
        except SafetensorError as error:
            raise self._unreadable(error) from error

    def _read_names(self) -> dict[str, None]:
        if len(self._content) < _LENGTH_BYTES:
            raise self._unreadable("it ends before its header")
        (n_bytes,) = struct.unpack("<Q", self._content[:_LENGTH_BYTES])
        if n_bytes > min(len(self._content) - _LENGTH_BYTES, _MAX_HEADER_BYTES):
            raise self._unreadable(f"its header says that it is {n_bytes:,} bytes long")
        try:
            header = parse_json(self._content[_LENGTH_BYTES : _LENGTH_BYTES + n_bytes])
        except JsonError as error:
            raise self._unreadable(f"its header {error}") from error
        if not isinstance(header, dict):
            raise self._unreadable("its header is no mapping")
        return dict.fromkeys(name for name in header if name != "__metadata__")

    def _unreadable(self, problem: object) -> CheckpointError:
        return CheckpointError(f"{self._where}: is no readable safetensors ({problem}); copy the whole folder again")
