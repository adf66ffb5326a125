"""Plain data out of a pickle that nobody trusts: read by another process that can neither open nor start anything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dialogue_ser.errors import FeatureError, MissingDataError

_SANDBOX_SCRIPT = Path(__file__).with_name("pickle_sandbox.py")
_GIGABYTE = 1 << 30
# Numbers in lists take about ten times the memory that they take in the file.
_BYTES_PER_BYTE = 16


def read_pickle(path: Path, *, memory_bytes: int | None = None, seconds: int = 600) -> Any:
    """Dictionaries, lists, tuples, sets, texts, numbers and numpy arrays of a pickle; texts of Python 2 as latin1.

    Args:
        path: the pickle.
        memory_bytes: that reading may take; None = 1 GiB and 16 times the file.
        seconds: that reading may take.

    Raises:
        MissingDataError: no such file.
        FeatureError: the pickle asks for anything else than plain data and arrays (it is named, and was not called),
            is broken, contains itself, or needs more memory or time, also when what it shares is written out.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; give a pickle of features")
    memory = memory_bytes or _GIGABYTE + _BYTES_PER_BYTE * path.stat().st_size
    command = [sys.executable, "-I", "-S", "-B", str(_SANDBOX_SCRIPT), str(memory), str(seconds)]
    try:
        with path.open("rb") as file:
            # The script reads nothing but its standard input; no name from the user is part of the command.
            done = subprocess.run(  # noqa: S603
                command, stdin=file, capture_output=True, env={}, cwd="/", timeout=seconds, check=False
            )
    except subprocess.TimeoutExpired:
        raise _too_much(path, f"more than {seconds} s") from None
    answer = done.stdout
    length = int.from_bytes(answer[:8], "little")
    if done.returncode != 0 or len(answer) < 8 + length or not length:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _too_much(path, f"more memory or time than it may have ({last or f'status {done.returncode}'})")
    header = json.loads(answer[8 : 8 + length])
    if "refused" in header:
        raise FeatureError(
            f"{path}: the pickle asks for {header['refused']}, which is not data and could do anything; refused before "
            "anything was called. Features need numpy arrays, dictionaries and lists only: have it saved again as those"
        )
    if "limit" in header:
        raise _too_much(path, f"more {header['limit']} than it may have")
    if "broken" in header:
        raise FeatureError(f"{path}: cannot be read as a pickle of features ({header['broken']}); is it whole?")
    return _rebuilt(header["nodes"], memoryview(answer)[8 + length :])


def _rebuilt(nodes: list[list[Any]], data: memoryview) -> Any:
    """The last node; parts come before wholes."""
    built: list[Any] = []
    for kind, *rest in nodes:
        if kind == "a":
            built.append(_array(data, *rest))
        elif kind == "v":
            built.append(rest[0])
        elif kind == "b":
            built.append(rest[0].encode("latin1"))
        elif kind == "d":
            parts = [built[i] for i in rest[0]]
            built.append(dict(zip(map(_key, parts[::2]), parts[1::2], strict=True)))
        elif kind == "o":
            built.append(None)
        else:
            items = rest[0] if kind.endswith("v") else [built[i] for i in rest[0]]
            built.append(tuple(items) if kind[0] == "t" else list(items))
    return built[-1]


def _array(data: memoryview, code: str, shape: list[int], is_fortran: bool, begin: int, n_bytes: int) -> Any:
    flat = np.frombuffer(data[begin : begin + n_bytes], dtype=np.dtype(code))
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    return array.item() if array.ndim == 0 else array


def _key(value: Any) -> Any:
    """A key that can be one: a numpy text or number is a plain one by now, a list was never one."""
    return value.decode("latin1") if isinstance(value, bytes) else value


def _too_much(path: Path, what: str) -> FeatureError:
    return FeatureError(f"{path}: reading it takes {what}; stopped. If you trust its size, raise --memory-gb")
