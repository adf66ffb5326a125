"""One way to find things by name: the library's own, decorated ones, entry points, and ``package.module:attribute``."""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from dialogue_ser.errors import ConfigError, unknown_name

T = TypeVar("T")
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class Registered:
    """What a decorator registered under a name.

    Args:
        target: the function or class.
        details: what the decorator was told beside the name, e.g. an encoder's modality.
    """

    target: Any
    details: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One name of a registry.

    Args:
        name: as a configuration gives it.
        origin: ``built in``, ``registered`` or ``entry point``.
        target: ``package.module:attribute``.
    """

    name: str
    origin: str
    target: str


class Registry(Mapping[str, T]):
    """Things of one kind by name; a module is imported only when its name is asked for.

    :meth:`find` takes a name of the library, a registered one (:meth:`register`), one that an installed package offers
    as entry point, and ``package.module:attribute``. As a mapping, a registry is the library's own list: name → thing.

    Args:
        what: the kind of thing, for messages, e.g. ``model``.
        group: entry-point group of installed packages.
        built_in: name → ``package.module:attribute`` of the library's own, which nobody can take.
        check: called with the name and what was found under it; gives it back as the right type, or raises
            ConfigError that says what it lacks (:func:`import_path_of` says where it is defined). None = anything is right.
        beside: a registry whose decorator and entry points serve this one too; neither can take names of the other.

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
        what: str,
        group: str,
        built_in: Mapping[str, str],
        check: Callable[[str, Any], T] | None = None,
        *,
        shared_with: "Registry[Any] | None" = None,
    ) -> None:
        self.what = what
        self.group = group
        self.built_in = dict(built_in)
        self.registered: dict[str, Registered] = {} if shared_with is None else shared_with.registered
        self._check = check
        self._family: list[Registry[Any]] = [] if shared_with is None else shared_with._family
        self._family.append(self)

    def __getitem__(self, name: str) -> T:
        if name not in self.built_in:
            raise KeyError(name)
        return self.find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.built_in)

    def __len__(self) -> int:
        return len(self.built_in)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in  # a mapping's own way would import it

    def find(self, name: str, *, also_known: Iterable[str] = ()) -> T:
        """What a name stands for.

        Args:
            name: of the library, registered, of an installed package, or ``package.module:attribute``.
            also_known: further names to suggest for an unknown one.

        Raises:
            ConfigError: unknown name (with the nearest match), a name that several packages offer, an import that
                fails, or a thing of another kind.
        """
        if name in self.built_in:
            found = load(self.what, name, self.built_in[name])
        elif self.comes_from_outside(name):
            found = self.load_outside(name)
        else:
            known = {*(entry.name for entry in self.entries()), *also_known}
            raise ConfigError(unknown_name(self.what, name, known) + "; or package.module:attribute of your own")
        return found if self._check is None else self._check(name, found)

    def comes_from_outside(self, name: str) -> bool:
        """Whether a decorator or an installed package gives the name, or it is ``package.module:attribute`` itself."""
        if self._owner(name):
            return False
        return ":" in name or name in self.registered or name in entry_point_targets(self.group)

    def load_outside(self, name: str) -> Any:
        """What a name from outside the library stands for, unchecked; asked after :meth:`comes_from_outside`.

        Raises:
            ConfigError: several packages offer the name, or it cannot be imported.
        """
        if name in self.registered:
            return self.registered[name].target
        targets = [name] if ":" in name else sorted(_offers(self.group)[name])
        if len(targets) > 1:
            raise ConfigError(
                f"{self.what} name {name!r} is taken twice, by installed packages: {', '.join(targets)}; "
                "say which one you mean by writing that instead of the name"
            )
        return load(self.what, name, targets[0])

    def register(self, name: str, **details: Any) -> Callable[[Target], Target]:
        """A decorator that registers a function or class under a name; running its definition again replaces it.

        Args:
            name: to use in configurations.
            details: kept beside it (:attr:`registered`).

        Raises:
            ConfigError: the name holds a colon, or belongs to the library or to another function or class.
        """
        owner = self._owner(name)
        if owner:
            raise self._taken(name, owner)
        if ":" in name:
            raise ConfigError(
                f"{self.what} name {name!r} holds a colon, as package.module:attribute; choose another one"
            )

        def keep(target: Target) -> Target:
            former = self.registered.get(name)
            if former is not None and import_path_of(former.target) != import_path_of(target):
                raise self._taken(name, import_path_of(former.target))
            self.registered[name] = Registered(target, details)
            return target

        return keep

    def entries(self) -> list[Entry]:
        """Every name with where it comes from, those of the library first; imports none of them."""
        found = [Entry(name=name, origin="built in", target=target) for name, target in self.built_in.items()]
        found += [
            Entry(name=name, origin="registered", target=import_path_of(one.target))
            for name, one in self.registered.items()
        ]
        taken = {entry.name for entry in found}
        found += [
            Entry(name=name, origin="entry point", target=target)
            for name, target in entry_point_targets(self.group).items()
            if name not in taken and not self._owner(name)
        ]
        return found

    def _owner(self, name: str) -> str:
        """The target of a name of the library, also of a registry beside this one; else empty."""
        return next((one.built_in[name] for one in self._family if name in one.built_in), "")

    def _taken(self, name: str, owner: str) -> ConfigError:
        return ConfigError(f"{self.what} name {name!r} is taken by {owner}; choose another one")


def import_path_of(thing: object) -> str:
    """Where a function or class is defined, as ``package.module:attribute``; of anything else, its type.

    >>> import_path_of(Registry.find)
    'dialogue_ser.registry:Registry.find'
    """
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{named.__qualname__}"


def entry_point_targets(group: str) -> Mapping[str, str]:
    """Name → ``package.module:attribute`` of what installed packages offer under an entry-point group; imports nothing.

    >>> sorted(entry_point_targets("dialogue_ser.no_such_group"))
    []
    """
    return {name: min(targets) for name, targets in _offers(group).items()}


def _offers(group: str) -> dict[str, set[str]]:
    """All targets of each name; more than one where packages disagree."""
    offers: dict[str, set[str]] = {}
    for point in entry_points(group=group):
        offers.setdefault(point.name, set()).add(point.value)
    return offers


def load(what: str, name: str, target: str) -> Any:
    """Import an attribute; a module of one's own may lie in the working folder.

    Args:
        what: kind of thing, for the error, e.g. ``encoder``.
        name: name under which the user asked for it, for the error.
        target: ``package.module:attribute``.

    Raises:
        ConfigError: no such module or attribute, or importing it fails.

    >>> load("reader", "table", "dialogue_ser.corpus.readers.table:read_table").__name__
    'read_table'
    """
    module_name, _, attribute = target.partition(":")
    folder = str(Path.cwd())
    # A console script has no working directory on its path, yet that is where a user's own module lies.
    is_added = folder not in sys.path
    if is_added:
        sys.path.append(folder)
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except Exception as error:  # the module is somebody's program and may raise anything
        raise ConfigError(
            f"{what} {name!r}: cannot import {target} ({error}); is it installed or in this folder?"
        ) from error
    finally:
        if is_added and folder in sys.path:
            sys.path.remove(folder)
    return value
