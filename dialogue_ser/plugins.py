"""Code from outside the library: entry points of installed packages, and ``package.module:attribute`` of one's own."""

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError


def installed(group: str) -> Mapping[str, str]:
    """Name → ``package.module:attribute`` of what installed packages offer under an entry-point group; imports nothing.

    >>> sorted(installed("dialogue_ser.no_such_group"))
    []
    """
    return {point.name: point.value for point in entry_points(group=group)}


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
