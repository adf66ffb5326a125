"""Reads a pickle in a process that can do nothing else. It is a script: start it, do not import it.

The library reads pickles nowhere else. :mod:`dialogue_ser.features.files.pickle_reading` starts the script isolated
(``python -I -S``, no environment) with the pickle as standard input. The script first gives up the right to open files,
sockets and processes, then reads. A pickle may name only the stand-ins below, which collect data; not even numpy is
imported. Any other name stops the reading before anything is called. Standard output gets 8 bytes (length), a JSON
header and the bytes of the arrays. The header is a list of nodes that refer to earlier nodes: shared parts are written
once, and nothing is nested.

Long because an isolated script cannot import other modules of the package.
"""

import codecs
import json
import pickle
import sys
from typing import Any

_SCALARS = (str, int, float, bool, type(None))
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8, 16)}  # of types S and U: any size but 0
_FORBIDDEN_EVENTS = ("os.", "socket.", "subprocess.", "shutil.", "ctypes.", "import", "open", "exec", "compile", "sys.")


class RefusedError(Exception):
    """Raised if the pickle names something that is not in :data:`ALLOWED`."""


class UnsupportedError(Exception):
    """Raised for data that no feature file needs."""


class StandIn:
    """An object that the pickle gets instead of a class or function. Without an action it cannot be called."""

    __slots__ = ("_action",)

    def __init__(self, action: Any = None) -> None:
        self._action = action

    def __call__(self, *args: Any) -> Any:
        """Do the harmless action instead of the call."""
        if self._action is None:
            raise UnsupportedError("it calls a type that it may only mention")
        return self._action(*args)

    def __setstate__(self, state: Any) -> None:
        raise UnsupportedError("it changes a type")


class Dtype:
    """The data of a numpy.dtype: its letters and its byte order."""

    def __init__(self, letters: Any, *_: Any) -> None:
        self.letters = str(letters)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if len(state) > 4 and any(part is not None for part in state[2:5]):
            raise UnsupportedError("it holds structured arrays")
        self.order = state[1] if state[1] in ("<", ">") else "<"

    @property
    def code(self) -> str:
        """The dtype as numpy reads it, e.g. ``<f4``."""
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
        """The number of bytes of one value."""
        return int(self.code[2:]) * (4 if self.code[1] == "U" else 1)


class Array:
    """The data of a numpy.ndarray or a numpy scalar: type, shape and bytes."""

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


def _new_array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    """Stand-in of numpy's functions that make an array or a scalar from bytes."""
    array = Array()
    array.__setstate__((1, tuple(shape), dtype, order == "F", bytes(data) if isinstance(data, bytearray) else data))
    return array


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand-in of _codecs.encode, which Python 3 uses to write bytes as a text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnsupportedError(f"it encodes something as {str(encoding)[:20]!r}, not latin1")
    return text.encode("latin1")


def _bytes(data: Any = b"", encoding: Any = "latin1") -> bytes:
    """Stand-in of bytes and bytearray."""
    return bytes(data) if isinstance(data, (bytes, bytearray)) else _latin1(data, encoding)


def _sequence(value: Any = ()) -> Any:
    """Return the argument of list, tuple, set or frozenset, if it is plain data."""
    if not isinstance(value, (list, tuple, set, frozenset, bytes, str)):
        raise UnsupportedError(f"it makes a collection of {type(value).__name__}")
    return value


def _pairs(*args: Any) -> dict[Any, Any]:
    """Stand-in of dict, OrderedDict and defaultdict; the default of a defaultdict is ignored."""
    found = args[-1] if args and not isinstance(args[-1], StandIn) else ()
    return dict(found if isinstance(found, dict) else _sequence(found))


def _allowed() -> dict[tuple[str, str], StandIn]:
    """Return the stand-in for every module and name that a pickle may contain."""
    reconstruct = StandIn(lambda *_: Array())
    scalar = StandIn(lambda dtype, data=b"": _new_array(_latin1(data) if isinstance(data, str) else data, dtype, ()))
    names = {("numpy", "ndarray"): StandIn(), ("numpy", "dtype"): StandIn(Dtype)}
    for package in ("numpy.core", "numpy._core"):
        names[f"{package}.multiarray", "_reconstruct"] = reconstruct
        names[f"{package}.multiarray", "scalar"] = scalar
        names[f"{package}.numeric", "_frombuffer"] = StandIn(_new_array)
    names["collections", "OrderedDict"] = names["collections", "defaultdict"] = StandIn(_pairs)
    names["_codecs", "encode"] = StandIn(_latin1)
    for builtins in ("builtins", "__builtin__"):
        for name, kind in (("list", list), ("tuple", tuple), ("set", set), ("frozenset", frozenset)):
            names[builtins, name] = StandIn(lambda value=(), kind=kind: kind(_sequence(value)))
        names[builtins, "dict"] = StandIn(_pairs)
        names[builtins, "bytes"] = names[builtins, "bytearray"] = StandIn(_bytes)
        for name in ("int", "float", "str", "bool"):  # these can be the default of a defaultdict
            names[builtins, name] = StandIn()
    return names


ALLOWED = _allowed()


class SandboxUnpickler(pickle.Unpickler):
    """An unpickler that knows only the names in :data:`ALLOWED`."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of an allowed name.

        Raises:
            RefusedError: the name is not allowed.
        """
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None


def flatten(root: Any, memory_bytes: int) -> tuple[list[list[Any]], list[bytes]]:
    """Return nodes, in which parts come before the objects that contain them, and the bytes of the arrays.

    Raises:
        UnsupportedError: an object contains itself, or a dictionary has keys that features never have.
        MemoryError: the data is larger than ``memory_bytes``, if a shared part counts as often as it is named.
    """
    nodes: list[list[Any]] = []
    blobs: list[bytes] = []
    n_bytes = 0
    numbers: dict[int, int] = {}  # id() of an object → number of its node
    cost: dict[int, int] = {}  # id() of an object → bytes of the object and its parts
    begins: dict[int, int] = {}  # id() of an array's bytes → where they begin
    unfinished: set[int] = set()
    kept_alive: list[Any] = []  # so that no other object gets the same id()
    stack: list[Any] = [root]
    while stack:
        value = stack[-1]
        if id(value) in numbers:
            stack.pop()
            continue
        parts = _parts(value)
        missing = [part for part in parts if id(part) not in numbers]
        if missing:
            if id(value) in unfinished:
                raise UnsupportedError("it contains itself")
            unfinished.add(id(value))
            kept_alive.append(parts)
            stack.extend(missing)
            continue
        if isinstance(value, Array) and value.dtype.code != "O":
            if id(value.data) not in begins:  # many arrays may share the same bytes
                begins[id(value.data)] = n_bytes
                blobs.append(bytes(value.data))
                n_bytes += len(value.data)
            location = begins[id(value.data)], len(value.data)
            nodes.append(["a", value.dtype.code, list(value.shape), value.is_fortran, *location])
        else:
            nodes.append(_node(value, [numbers[id(part)] for part in parts]))
        numbers[id(value)] = len(nodes) - 1
        cost[id(value)] = _cost(value) + sum(cost[id(part)] for part in parts)
        if cost[id(value)] > memory_bytes:
            raise MemoryError
        unfinished.discard(id(value))
        kept_alive.append(value)
        stack.pop()
    return nodes, blobs


def _cost(value: Any) -> int:
    """Return the bytes that a value needs as float32 features, without its parts."""
    if isinstance(value, Array) and value.dtype.code != "O":
        return 64 + 4 * int(len(value.data) // value.dtype.item_bytes)
    value = value.data if isinstance(value, Array) else value
    return 64 + 4 * len(value) if isinstance(value, (list, tuple, set, frozenset, dict)) else 0


def _parts(value: Any) -> list[Any]:
    """Return the objects inside a value that become nodes of their own."""
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
    """Return a value as a node: a letter for its type, then its content or the numbers of its parts."""
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
    """Give up the right to open files, sockets and processes, and limit memory and time."""
    import resource

    for codec in ("latin1", "ascii", "utf-8", "unicode_escape", "raw_unicode_escape"):
        codecs.lookup(codec)  # load the codecs now, because nothing can be imported later
    limits = {"AS": memory_bytes, "CPU": cpu_seconds, "FSIZE": 0, "CORE": 0, "NPROC": 0, "NOFILE": 3}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    def refuse(event: str, _: Any) -> None:
        if event.startswith(_FORBIDDEN_EVENTS):
            raise RefusedError(f"(while reading) {event}")

    sys.addaudithook(refuse)


def main() -> int:
    """Read the pickle from standard input, and write its data to standard output."""
    restrict_process(int(sys.argv[1]), int(sys.argv[2]))
    blobs: list[bytes] = []
    header: dict[str, Any] = {}
    try:
        nodes, blobs = flatten(SandboxUnpickler(sys.stdin.buffer, encoding="latin1").load(), int(sys.argv[1]))
        text = json.dumps({"nodes": nodes}, ensure_ascii=False).encode()  # half characters (surrogates) fail here
    except RefusedError as error:
        header = {"refused": str(error)}
    except MemoryError:
        header = {"limit": "memory"}
    except Exception as error:  # a broken pickle can cause any error
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
