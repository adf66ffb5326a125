"""Let a user's module find the modules beside it, also when it imports them late, inside a function.

A module of the working folder is imported while this folder is on ``sys.path``, and the path is then restored. Without
the finder below, an import that runs later would fail, or would depend on the working folder of that moment.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType

_INSTALLED = ("site-packages", "dist-packages")


class _SiblingFinder(MetaPathFinder):
    """Finds modules in the folder of the module that imports them. Only modules of known folders are served."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is, if code of a known folder imports it and it lies in this folder."""
        importer = _importing_file() if path is None else None
        if importer is None or any(part in _INSTALLED for part in importer.parts):
            return None
        folders = [str(folder) for folder in self.folders if importer.is_relative_to(folder)]
        return PathFinder.find_spec(fullname, folders, target) if folders else None


_finder = _SiblingFinder()


def remember_folder(folder: Path) -> None:
    """Let code in a folder import what lies in this folder, from now on and whatever the working folder is.

    Installed packages win over files of the folder, and code outside the folder sees nothing of it.

    Args:
        folder: absolute path of the folder.
    """
    if folder not in _finder.folders:
        _finder.folders.append(folder)
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)


def _importing_file() -> Path | None:
    """Return the file of the code that runs an import statement now."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<frozen importlib") and file != importlib.__file__:
            return Path(file)
        frame = frame.f_back
    return None
