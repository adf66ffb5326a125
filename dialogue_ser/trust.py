"""Code that a file names is not run, unless the user trusts it.

A setting such as ``mine:encoder`` names code: its import runs a program. A name that the user gives by a flag or in
Python is used as it is. A name that stands in a file (a configuration, a run directory, a model folder) is refused
without trust, because a file may come from anybody. There are two walls:

1. What reads a file lists the code that it names (:func:`code_in`) and refuses all of it in one error
   (:func:`refuse_code`), before anything is imported.
2. :func:`only_code` limits what may be imported while a command runs or while a saved model is rebuilt. The registry
   asks :func:`check_import` before every import. So a name that the first wall overlooks is refused too.
"""

import hashlib
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError, DialogueSerError

#: True = all code, False = none, or the names of the code that is trusted.
Trust = bool | Collection[str]

# Module names may have hyphens: a file my-encoders.py can be imported. An attribute is an identifier of Python.
# A name begins where a word does, so that a long text without a colon is searched once and not once for each letter.
_TARGET = re.compile(r"(?<![\w.-])[\w-]+(?:\.[\w-]+)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
# Names that may be imported at this moment; None = all.
_allowed: ContextVar[frozenset[str] | None] = ContextVar("allowed", default=None)


@dataclass(frozen=True, slots=True)
class NamedCode:
    """A name of code in a file.

    Args:
        name: ``package.module:attribute``.
        place: where it stands, e.g. ``run/config.yaml: data.reader``.
    """

    name: str
    place: str


def is_target(text: str) -> bool:
    """Return whether a text has the form ``package.module:attribute``. Only such a text can be imported.

    >>> [is_target(text) for text in ("mine:encoder", "my-package.part:Model.build", "what time: now", "C:\\\\x")]
    [True, True, False, False]
    """
    return _TARGET.fullmatch(text) is not None


def targets_in(texts: Sequence[str]) -> frozenset[str]:
    """Return all names of code in some texts, e.g. in the flags of a command.

    >>> sorted(targets_in(["--loss.kind=mine:loss", "{frames: other.frames:Mel}"]))
    ['mine:loss', 'other.frames:Mel']
    """
    return frozenset(found for text in texts for found in _TARGET.findall(text))


def is_found(name: str) -> bool:
    """Return whether a text names code that this machine has: the form fits, and its module or package is found.

    Nothing is imported. So the label ``joy:high`` is no code where no module ``joy`` exists.
    """
    if not is_target(name):
        return False
    package = name.partition(":")[0].partition(".")[0]
    if package in sys.modules:
        return True
    try:
        return find_spec(package) is not None or PathFinder.find_spec(package, [str(Path.cwd())]) is not None
    except (ImportError, ValueError):
        return True  # something of this name is there, in a form that cannot be looked at


def code_in(
    values: Any, *, names: Collection[str] = (), words: Collection[str] = (), at: tuple[str, ...] = ()
) -> Iterator[NamedCode]:
    """Yield all code that nested settings name, with its place.

    Every text counts that names code which this machine has. So a new setting or a new option needs no entry anywhere.

    Args:
        values: mapping, list or single value, as YAML or JSON gives it.
        names: places of names of a registry. There every text with a colon counts. ``*`` stands for one part of a
            place, and ``**`` at the start for any number of parts.
        words: places with words of the user, e.g. labels. There nothing counts, also in what stands inside.
        at: where the values stand.

    >>> settings = {"encoder": "no_such:one", "options": {"inner": ["os:system"], "label_map": {"a": "os:path"}}}
    >>> [(one.place, one.name) for one in code_in(settings, names=["encoder"], words=["**.label_map"])]
    [('encoder', 'no_such:one'), ('options.inner[0]', 'os:system')]
    """
    if _is_at(at, words):
        return
    if isinstance(values, Mapping):
        for key, item in values.items():
            inner = (*at, str(key))
            if is_found(str(key)) and not _is_at(inner, words):
                yield NamedCode(str(key), _dotted(inner))
            yield from code_in(item, names=names, words=words, at=inner)
    elif isinstance(values, list | tuple):
        for index, item in enumerate(values):
            yield from code_in(item, names=names, words=words, at=(*at, f"[{index}]"))
    elif isinstance(values, str) and ((":" in values and _is_at(at, names)) or is_found(values)):
        yield NamedCode(values, _dotted(at))


def _is_at(at: Sequence[str], patterns: Collection[str]) -> bool:
    """Return whether a place fits one of the patterns. The indices of lists do not count."""
    if not patterns:
        return False
    parts = [part for part in at if not part.startswith("[")]
    ends = ("*", "**", parts[-1] if parts else "")
    for pattern in patterns:
        if pattern.rpartition(".")[2] not in ends:
            continue
        wanted = pattern.split(".")
        if wanted[0] == "**":
            wanted = [*parts[: len(parts) - len(wanted) + 1], *wanted[1:]]
        if len(wanted) == len(parts) and all(want in ("*", part) for want, part in zip(wanted, parts, strict=True)):
            return True
    return False


def _dotted(at: Sequence[str]) -> str:
    return ".".join(at).replace(".[", "[")


def refuse_code(
    found: Sequence[NamedCode], trust: Trust, advice: str, error: type[DialogueSerError] = ConfigError
) -> None:
    """Refuse code that files name, unless it is trusted.

    Args:
        found: the code and its places.
        trust: what is trusted.
        advice: the last line of the error: how to allow the code.
        error: type of the error.

    Raises:
        DialogueSerError: some of the code is not trusted. The error lists all of it.
    """
    refused = [one for one in found if not _is_trusted(one.name, trust)]
    if refused:
        raise error(
            *(f"{one.place}: {one.name!r} is code{_origin(one.name)}, and a file may not run code" for one in refused),
            advice,
        )


@contextmanager
def only_code(trust: Trust) -> Iterator[None]:
    """Let the registries import only trusted code by ``package.module:attribute`` while the context is open.

    An inner context can only forbid more than the outer one.
    """
    before = _allowed.get()
    if isinstance(trust, bool):
        now = before if trust else frozenset()
    else:
        now = frozenset(trust) if before is None else before & frozenset(trust)
    token = _allowed.set(now)
    try:
        yield
    finally:
        _allowed.reset(token)


def check_import(kind: str, name: str) -> None:
    """Refuse the import of a name that :func:`only_code` does not allow at this moment.

    Raises:
        ConfigError: the name is not allowed.
    """
    allowed = _allowed.get()
    if allowed is not None and name not in allowed:
        raise ConfigError(
            f"{kind} {name!r} is code{_origin(name)} that a file names, and a file may not run code; add --trust_code "
            "(in Python: trust_code=True) if you trust this code"
        )


def source_hashes(names: Collection[str]) -> dict[str, str]:
    """Return name of code → hash of the files that its module consists of. Nothing is imported.

    A module of a package stands for all files of its folder, because it may import them. What is imported from
    elsewhere does not count. The hash of a module that is not found is "".

    Args:
        names: names of the form ``package.module:attribute``.
    """
    return {name: _source_hash(name) for name in names}


def _source_hash(name: str) -> str:
    origin = _found_file(name)
    if origin is None:
        return ""
    in_package = "." in name.partition(":")[0] or origin.name == "__init__.py"
    files = sorted(origin.parent.rglob("*.py")) if in_package else [origin]
    total = hashlib.sha256()
    for file in files:
        if file.is_file():
            total.update(str(file.relative_to(origin.parent)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in nested settings, also the keys. A run that is in progress trusts the names in its settings.

    >>> sorted(texts_in({"encoder": "mine:encoder", "sizes": [1, "two"]}))
    ['encoder', 'mine:encoder', 'sizes', 'two']
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, str):
        yield value


def _is_trusted(name: str, trust: Trust) -> bool:
    return trust if isinstance(trust, bool) else name in trust


def _origin(name: str) -> str:
    """Return the file that an import would run, as ``" (FILE)"``; "" if it cannot be found without an import."""
    file = _found_file(name)
    return "" if file is None else f" ({file})"


def _found_file(name: str) -> Path | None:
    """Return the file that an import would run; None if it cannot be found without an import."""
    folders, origin = [*sys.path, str(Path.cwd())], None
    for part in name.partition(":")[0].split("."):
        try:
            spec = PathFinder.find_spec(part, folders)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        folders, origin = list(spec.submodule_search_locations or ()), spec.origin
    return Path(origin) if origin else None
