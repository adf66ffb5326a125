"""The only place where a pickle is read: a script for a process that can do nothing else. Never import it to use it.

:mod:`dialogue_ser.features.files.pickle_reading` starts it isolated (``python -I -S``, no environment), the pickle as
its standard input. It gives up the right to open files, sockets and processes, then reads. What a pickle may name
are the stand-ins below, which only collect data: not even numpy is there. Any other name ends the reading before
anything is called. Standard output gets 8 bytes (length), a JSON header and the arrays' bytes; the header is a list
of nodes, each naming earlier ones, so that shared parts are written once and nothing is nested.
"""

import codecs
import json
import pickle
import sys
from typing import Any

_SCALARS = (str, int, float, bool, type(None))
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8, 16)}  # of S and U: any but 0
_FORBIDDEN_EVENTS = ("os.", "socket.", "subprocess.", "shutil.", "ctypes.", "import", "open", "exec", "compile", "sys.")


class RefusedError(Exception):
    """The pickle names something that is not on the list."""


class UnsupportedError(Exception):
    """Data that no feature file needs."""


class StandIn:
    """What the pickle gets instead of a class or function; without an action it can only be passed on."""

    __slots__ = ("_action",)

    def __init__(self, action: Any = None) -> None:
        self._action = action

    def __call__(self, *args: Any) -> Any:
        """Do the harmless thing that stands for the call."""
        if self._action is None:
            raise UnsupportedError("it calls a type that it may only mention")
        return self._action(*args)

    def __setstate__(self, state: Any) -> None:
        raise UnsupportedError("it changes a type")


class Dtype:
    """numpy.dtype: its letters and byte order."""

    def __init__(self, letters: Any, *_: Any) -> None:
        self.letters = str(letters)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if len(state) > 4 and any(part is not None for part in state[2:5]):
            raise UnsupportedError("it holds structured arrays")
        self.order = state[1] if state[1] in ("<", ">") else "<"

    @property
    def code(self) -> str:
        """As numpy reads it, e.g. ``<f4``."""
        kind = "S" if self.letters[:1] == "a" else self.letters[:1]
        size = self.letters[1:]
        if kind == "O":
            return "O"
        is_known = size.isdigit() and (int(size) in _SIZES[kind] if kind in _SIZES else kind in "SU" and int(size) > 0)
        if not is_known:
            raise UnsupportedError(f"it holds arrays of type {self.letters[:20]!r}")
        return f"{self.order}{kind}{size}"

    @property
    def item_bytes(self) -> int:
        """Bytes of one value."""
        return int(self.code[2:]) * (4 if self.code[1] == "U" else 1)


class Array:
    """numpy.ndarray, or a numpy scalar: type, shape and bytes."""

    def __init__(self) -> None:
        self.dtype: Any = None
        self.shape: tuple[int, ...] = ()
        self.is_fortran = False
        self.data: Any = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, is_fortran, data = state
        self.is_fortran = bool(is_fortran)
        self.data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(self.dtype, Dtype) or not isinstance(self.shape, tuple):
            raise UnsupportedError("an array has no type or shape")
        n = 1
        for size in self.shape:
            if not isinstance(size, int) or size < 0:
                raise UnsupportedError("an array has an impossible shape")
            n *= size
        expected = n if self.dtype.code == "O" else n * self.dtype.item_bytes
        if not isinstance(self.data, (bytes, bytearray, list)) or len(self.data) != expected:
            raise UnsupportedError("an array has not as many values as its shape says")


def _made(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    array = Array()
    array.__setstate__((1, tuple(shape), dtype, order == "F", bytes(data) if isinstance(data, bytearray) else data))
    return array


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnsupportedError(f"it encodes something as {str(encoding)[:20]!r}, not latin1")
    return text.encode("latin1")


def _bytes(data: Any = b"", encoding: Any = "latin1") -> bytes:
    return bytes(data) if isinstance(data, (bytes, bytearray)) else _latin1(data, encoding)


def _sequence(value: Any = ()) -> Any:
    if not isinstance(value, (list, tuple, set, frozenset, bytes, str)):
        raise UnsupportedError(f"it makes a collection of {type(value).__name__}")
    return value


def _pairs(*args: Any) -> dict[Any, Any]:
    found = args[-1] if args and not isinstance(args[-1], StandIn) else ()
    return dict(found if isinstance(found, dict) else _sequence(found))


def _allowed() -> dict[tuple[str, str], StandIn]:
    reconstruct = StandIn(lambda *_: Array())
    scalar = StandIn(lambda dtype, data=b"": _made(_latin1(data) if isinstance(data, str) else data, dtype, ()))
    names = {("numpy", "ndarray"): StandIn(), ("numpy", "dtype"): StandIn(Dtype)}
    for package in ("numpy.core", "numpy._core"):
        names[f"{package}.multiarray", "_reconstruct"] = reconstruct
        names[f"{package}.multiarray", "scalar"] = scalar
        names[f"{package}.numeric", "_frombuffer"] = StandIn(_made)
    names["collections", "OrderedDict"] = names["collections", "defaultdict"] = StandIn(_pairs)
    names["_codecs", "encode"] = StandIn(_latin1)
    for builtins in ("builtins", "__builtin__"):
        for name, kind in (("list", list), ("tuple", tuple), ("set", set), ("frozenset", frozenset)):
            names[builtins, name] = StandIn(lambda value=(), kind=kind: kind(_sequence(value)))
        names[builtins, "dict"] = StandIn(_pairs)
        names[builtins, "bytes"] = names[builtins, "bytearray"] = StandIn(_bytes)
        for name in ("int", "float", "str", "bool"):  # defaults of a defaultdict
            names[builtins, name] = StandIn()
    return names


ALLOWED = _allowed()


class Reader(pickle.Unpickler):
    """Knows exactly the names on the list."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a listed name.

        Raises:
            RefusedError: any other name.
        """
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None


def flatten(root: Any, memory_bytes: int) -> tuple[list[list[Any]], list[bytes]]:
    """Nodes in an order in which parts come before wholes, and the arrays' bytes, each once.

    Raises:
        UnsupportedError: it contains itself, or has keys that are none.
        MemoryError: with every shared part as often as it is named it would be larger than ``memory_bytes``.
    """
    nodes: list[list[Any]] = []
    blobs: list[bytes] = []
    n_bytes = 0
    done, cost, begins = dict[int, int](), dict[int, int](), dict[int, int]()
    open_now: set[int] = set()
    alive: list[Any] = []  # parts made here must keep their identity
    stack: list[Any] = [root]
    while stack:
        value = stack[-1]
        if id(value) in done:
            stack.pop()
            continue
        parts = _parts(value)
        missing = [part for part in parts if id(part) not in done]
        if missing:
            if id(value) in open_now:
                raise UnsupportedError("it contains itself")
            open_now.add(id(value))
            alive.append(parts)
            stack.extend(missing)
            continue
        if isinstance(value, Array) and value.dtype.code != "O":
            if id(value.data) not in begins:  # many arrays may share what a small file holds once
                begins[id(value.data)] = n_bytes
                blobs.append(bytes(value.data))
                n_bytes += len(value.data)
            at = begins[id(value.data)], len(value.data)
            nodes.append(["a", value.dtype.code, list(value.shape), value.is_fortran, *at])
        else:
            nodes.append(_node(value, [done[id(part)] for part in parts]))
        done[id(value)] = len(nodes) - 1
        cost[id(value)] = _cost(value) + sum(cost[id(part)] for part in parts)
        if cost[id(value)] > memory_bytes:
            raise MemoryError
        open_now.discard(id(value))
        alive.append(value)
        stack.pop()
    return nodes, blobs


def _cost(value: Any) -> int:
    """Bytes that a value takes as float32 features, without its parts."""
    if isinstance(value, Array) and value.dtype.code != "O":
        return 64 + 4 * int(len(value.data) // value.dtype.item_bytes)
    value = value.data if isinstance(value, Array) else value
    return 64 + 4 * len(value) if isinstance(value, (list, tuple, set, frozenset, dict)) else 0


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        if not all(map(_is_key, value)):
            raise UnsupportedError("it has keys that are neither texts nor numbers")
        return [part for pair in value.items() for part in pair]
    if isinstance(value, Array) and value.dtype.code == "O":
        return list(value.data) if len(value.shape) == 1 else []
    if isinstance(value, (list, tuple, set, frozenset)) and not _is_plain(value):
        return list(value)
    return []


def _is_plain(value: Any) -> bool:
    return all(type(part) in _SCALARS for part in value)


def _is_key(key: Any) -> bool:
    if isinstance(key, tuple):
        return all(map(_is_key, key))
    return type(key) in (*_SCALARS, bytes) or (isinstance(key, Array) and not key.shape and key.dtype.code != "O")


def _node(value: Any, parts: list[int]) -> list[Any]:
    if type(value) in _SCALARS:
        return ["v", value]
    if isinstance(value, dict):
        return ["d", parts]
    if isinstance(value, Array) and len(value.shape) == 1:
        return ["l", parts]
    for kind, letter in ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "s")):
        if isinstance(value, kind):
            return [letter + "v", list(value)] if _is_plain(value) else [letter, parts]
    if isinstance(value, (bytes, bytearray)):
        return ["b", bytes(value).decode("latin1")]
    return ["o", type(value).__name__]


def restrict_process(memory_bytes: int, cpu_seconds: int) -> None:
    """Give up everything but thinking: no new files, sockets or processes, so much memory, so much time."""
    import resource

    for codec in ("latin1", "ascii", "utf-8", "unicode_escape", "raw_unicode_escape"):
        codecs.lookup(codec)  # a codec is a module, and later nothing can be imported
    limits = {"AS": memory_bytes, "CPU": cpu_seconds, "FSIZE": 0, "CORE": 0, "NPROC": 0, "NOFILE": 3}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    def refuse(event: str, _: Any) -> None:
        if event.startswith(_FORBIDDEN_EVENTS):
            raise RefusedError(f"(while reading) {event}")

    sys.addaudithook(refuse)


def main() -> int:
    """Read standard input, write standard output."""
    restrict_process(int(sys.argv[1]), int(sys.argv[2]))
    blobs: list[bytes] = []
    header: dict[str, Any] = {}
    try:
        nodes, blobs = flatten(Reader(sys.stdin.buffer, encoding="latin1").load(), int(sys.argv[1]))
        text = json.dumps({"nodes": nodes}, ensure_ascii=False).encode()  # half characters have no UTF-8
    except RefusedError as error:
        header = {"refused": str(error)}
    except MemoryError:
        header = {"limit": "memory"}
    except Exception as error:  # whatever a broken pickle may cause
        header = {"broken": f"{type(error).__name__}: {error}"[:300]}
    if header:
        text, blobs = json.dumps(header).encode(), []
    sys.stdout.buffer.write(len(text).to_bytes(8, "little") + text)
    for blob in blobs:
        sys.stdout.buffer.write(blob)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
