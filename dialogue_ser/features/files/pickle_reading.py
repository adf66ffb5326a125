"""Read plain data from a pickle that may be an attack. A process reads it that cannot open files or start programs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dialogue_ser.errors import FeatureError, MissingDataError

_SANDBOX_SCRIPT = Path(__file__).with_name("pickle_sandbox.py")
_GIGABYTE = 1 << 30
# Numbers in Python lists need about ten times as much memory as in the file.
_MEMORY_PER_FILE_BYTE = 16


def read_pickle(path: Path, *, memory_bytes: int | None = None, seconds: int = 600) -> Any:
    """Return the dictionaries, lists, tuples, sets, texts, numbers and numpy arrays of a pickle.

    Texts of Python 2 are read as latin1.

    Args:
        path: path of the pickle.
        memory_bytes: memory that reading may use; None = 1 GiB and 16 times the size of the file.
        seconds: time that reading may use.

    Raises:
        MissingDataError: the file does not exist.
        FeatureError: the pickle asks for something else than plain data and arrays (the message names it; nothing is
            called), is broken, contains itself, or needs too much memory or time. Shared data counts as often as it is
            named.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: no such file; give the path of a pickle with features")
    memory = memory_bytes or _GIGABYTE + _MEMORY_PER_FILE_BYTE * path.stat().st_size
    command = [sys.executable, "-I", "-S", "-B", str(_SANDBOX_SCRIPT), str(memory), str(seconds)]
    try:
        with path.open("rb") as file:
            # The script reads only its standard input. The command contains no name from the user.
            done = subprocess.run(  # noqa: S603
                command, stdin=file, capture_output=True, env={}, cwd="/", timeout=seconds, check=False
            )
    except subprocess.TimeoutExpired:
        raise _limit_error(path, f"more than {seconds} s") from None
    output = done.stdout
    length = int.from_bytes(output[:8], "little")
    if done.returncode != 0 or len(output) < 8 + length or not length:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _limit_error(path, f"more memory or time than it may have ({last or f'status {done.returncode}'})")
    header = json.loads(output[8 : 8 + length])
    if "refused" in header:
        raise FeatureError(
            f"{path}: the pickle asks for {header['refused']}, which is not data and could do anything; the "
            "pickle was refused before anything was called. Save the features again as numpy arrays, dictionaries and "
            "lists only"
        )
    if "limit" in header:
        raise _limit_error(path, f"more {header['limit']} than it may have")
    if "broken" in header:
        raise FeatureError(
            f"{path}: cannot be read as a pickle of features ({header['broken']}); if the file is incomplete, "
            "copy it again"
        )
    return _rebuild(header["nodes"], memoryview(output)[8 + length :])


def _rebuild(nodes: list[list[Any]], data: memoryview) -> Any:
    """Return the object of the last node. The parts of a node come before it."""
    built: list[Any] = []
    for kind, *rest in nodes:
        if kind == "a":
            built.append(_array_from_bytes(data, *rest))
        elif kind == "v":
            built.append(rest[0])
        elif kind == "b":
            built.append(rest[0].encode("latin1"))
        elif kind == "d":
            parts = [built[i] for i in rest[0]]
            built.append(dict(zip(map(_as_key, parts[::2]), parts[1::2], strict=True)))
        elif kind == "o":
            built.append(None)
        else:
            items = rest[0] if kind.endswith("v") else [built[i] for i in rest[0]]
            built.append(tuple(items) if kind[0] == "t" else list(items))
    return built[-1]


def _array_from_bytes(data: memoryview, code: str, shape: list[int], is_fortran: bool, begin: int, n_bytes: int) -> Any:
    """Return an array without copying its data. If the array has no axes, return a plain number."""
    flat = np.frombuffer(data[begin : begin + n_bytes], dtype=np.dtype(code))
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    return array.item() if array.ndim == 0 else array


def _as_key(value: Any) -> Any:
    """Return the value as a key of a dictionary: bytes become text."""
    return value.decode("latin1") if isinstance(value, bytes) else value


def _limit_error(path: Path, what: str) -> FeatureError:
    return FeatureError(
        f"{path}: reading needs {what} and was stopped; if you trust the size of the file, raise --memory-gb"
    )
