"""Tables that find things by name: things of the library, registered things and things of installed packages."""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.trust import check_import, is_target
from dialogue_ser.user_modules import remember_folder

T = TypeVar("T")
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class Registered:
    """A function or class that a decorator registered under a name.

    Args:
        target: the function or class.
        details: further arguments of the decorator, e.g. an encoder's modality.
    """

    target: Any
    details: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One name of a registry.

    Args:
        name: the name as it is written in a configuration.
        origin: ``built in``, ``registered`` or ``entry point``.
        target: ``package.module:attribute``.
    """

    name: str
    origin: str
    target: str


class Registry(Mapping[str, T]):
    """A table of things of one kind. A module is imported only when one of its names is used.

    :meth:`find` accepts four kinds of names: a name of the library, a name that was registered with :meth:`register`,
    a name that an installed package declares as an entry point, and ``package.module:attribute``. As a mapping, a
    registry contains the names of the library only: name → thing.

    Args:
        kind: kind of thing for messages, e.g. ``model``.
        group: entry-point group in which installed packages declare their names.
        built_in: names of the library, name → ``package.module:attribute``. Nobody else can use these names.
        check: function that gets a name and the thing found under it. It returns the thing with the right type, or
            raises a ConfigError that says what is wrong with it. None = everything is accepted.
        shared_with: another registry. Both then share registered names and entry points, and neither can use a name
            that belongs to the other.

    >>> numbers = Registry("number", "dialogue_ser.no_such_group", {"pi": "math:pi", "e": "math:e"})
    >>> numbers.find("pi") == numbers["pi"] == numbers.find("math:pi")
    True
    >>> numbers.find("tau")
    Traceback (most recent call last):
    ...
    dialogue_ser.errors.ConfigError: unknown number 'tau'; known: e, pi; or package.module:attribute of your own
    """

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, str],
        check: Callable[[str, Any], T] | None = None,
        *,
        shared_with: "Registry[Any] | None" = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self.built_in = dict(built_in)
        self.registered: dict[str, Registered] = {} if shared_with is None else shared_with.registered
        self._check = check
        self._sharing: list[Registry[Any]] = [] if shared_with is None else shared_with._sharing
        self._sharing.append(self)

    def __getitem__(self, name: str) -> T:
        if name not in self.built_in:
            raise KeyError(name)
        return self.find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.built_in)

    def __len__(self) -> int:
        return len(self.built_in)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in  # Mapping's own method would import the thing

    def find(self, name: str, *, also_known: Iterable[str] = ()) -> T:
        """Return the thing that has a name.

        Args:
            name: name of the library, registered name, name of an installed package, or
                ``package.module:attribute``.
            also_known: further names that the message for an unknown name may suggest.

        Raises:
            ConfigError: the name is unknown (the message suggests the most similar one), several packages offer it,
                the import fails, or the thing is of the wrong kind.
        """
        if name in self.built_in:
            found = load(self.kind, name, self.built_in[name])
        elif self.comes_from_outside(name):
            found = self.load_outside(name)
        else:
            known = {*(entry.name for entry in self.entries()), *also_known}
            raise ConfigError(unknown_name(self.kind, name, known) + "; or package.module:attribute of your own")
        return found if self._check is None else self._check(name, found)

    def comes_from_outside(self, name: str) -> bool:
        """Return whether the thing is no part of the library: it is registered, installed or given by its module."""
        if self._library_target(name):
            return False
        return ":" in name or name in self.registered or name in entry_point_targets(self.group)

    def load_outside(self, name: str) -> Any:
        """Return the thing for which :meth:`comes_from_outside` is true. The check of the registry is not applied.

        Raises:
            ConfigError: several packages offer the name, it cannot be imported, or it is code that a file names and
                that is not trusted (:mod:`~dialogue_ser.trust`).
        """
        if name in self.registered:
            return self.registered[name].target
        if ":" in name:
            return _load_users(self.kind, name)
        targets = sorted(_targets_by_name(self.group)[name])
        if len(targets) > 1:
            raise ConfigError(
                f"{self.kind} name {name!r} is used by several installed packages: {', '.join(targets)}; "
                "write the one that you mean instead of the name"
            )
        return load(self.kind, name, targets[0])

    def register(self, name: str, **details: Any) -> Callable[[Target], Target]:
        """Return a decorator that registers a function or class. If its definition runs again, the new one counts.

        Args:
            name: name for configurations.
            details: further values that are stored with it in :attr:`registered`.

        Raises:
            ConfigError: the name contains a colon, or it belongs to the library or to another function or class.
        """
        library_target = self._library_target(name)
        if library_target:
            raise self._name_taken(name, library_target)
        if ":" in name:
            raise ConfigError(
                f"{self.kind} name {name!r} contains a colon, which only package.module:attribute may have; "
                "choose another name"
            )

        def keep(target: Target) -> Target:
            former = self.registered.get(name)
            if former is not None and import_path_of(former.target) != import_path_of(target):
                raise self._name_taken(name, import_path_of(former.target))
            self.registered[name] = Registered(target, details)
            return target

        return keep

    def entries(self) -> list[Entry]:
        """Return every name with its origin, the names of the library first. Nothing is imported."""
        found = [Entry(name=name, origin="built in", target=target) for name, target in self.built_in.items()]
        found += [
            Entry(name=name, origin="registered", target=import_path_of(one.target))
            for name, one in self.registered.items()
        ]
        listed = {entry.name for entry in found}
        found += [
            Entry(name=name, origin="entry point", target=target)
            for name, target in entry_point_targets(self.group).items()
            if name not in listed and not self._library_target(name)
        ]
        return found

    def _library_target(self, name: str) -> str:
        """Return the target if the name belongs to the library, in this or in a sharing registry; else ""."""
        return next((one.built_in[name] for one in self._sharing if name in one.built_in), "")

    def _name_taken(self, name: str, target: str) -> ConfigError:
        return ConfigError(f"{self.kind} name {name!r} is taken by {target}; choose another name")


def import_path_of(thing: object) -> str:
    """Return where a function or class is defined, as ``package.module:attribute``. For other things: their type.

    >>> import_path_of(Registry.find)
    'dialogue_ser.registry:Registry.find'
    """
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{named.__qualname__}"


def entry_point_targets(group: str) -> Mapping[str, str]:
    """Return what installed packages declare in an entry-point group: name → ``package.module:attribute``.

    Nothing is imported.

    >>> sorted(entry_point_targets("dialogue_ser.no_such_group"))
    []
    """
    return {name: min(targets) for name, targets in _targets_by_name(group).items()}


def _targets_by_name(group: str) -> dict[str, set[str]]:
    """Return all targets of each name. There are several where two packages declare the same name."""
    targets: dict[str, set[str]] = {}
    for point in entry_points(group=group):
        targets.setdefault(point.name, set()).add(point.value)
    return targets


def load(kind: str, name: str, target: str) -> Any:
    """Import an attribute of an installed module.

    Args:
        kind: kind of thing for the error message, e.g. ``encoder``.
        name: name in the configuration, for the error message.
        target: ``package.module:attribute``.

    Raises:
        ConfigError: the module or the attribute does not exist, or its import fails.

    >>> load("reader", "table", "dialogue_ser.corpus.readers.table:read_table").__name__
    'read_table'
    """
    module_name, _, attribute = target.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except Exception as error:  # the module is a user's program and may raise anything
        is_absent = isinstance(error, ImportError | AttributeError)
        found = str(error) if is_absent else f"{type(error).__name__}: {error}"
        mend = "install it, or put it into this folder" if is_absent else "its code failed; mend the module"
        raise ConfigError(f"{kind} {name!r}: cannot import {target} ({found}); {mend}") from error
    return value


def _load_users(kind: str, name: str) -> Any:
    """Import what a user gives as ``package.module:attribute``. The module may also be a file in the working folder.

    Raises:
        ConfigError: see :func:`load`; or the name has another form; or a file names it and it is not trusted.
    """
    check_import(kind, name)
    if not is_target(name):
        raise ConfigError(f"{kind} {name!r}: is no name of code; write it as package.module:attribute")
    folder = str(Path.cwd())
    # The path of an installed command lacks the working folder, where users keep their own modules. It comes last, and
    # only for these names: no file in it can take the place of a library.
    is_added = folder not in sys.path
    if is_added:
        sys.path.append(folder)
    try:
        found = load(kind, name, name)
        remember_folder(Path(folder))  # its functions may import modules beside it later
        return found
    finally:
        if is_added and folder in sys.path:
            sys.path.remove(folder)
