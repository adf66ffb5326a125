"""Check the paths in a user's table: they must stay inside the folder to which they belong."""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from dialogue_ser.errors import ConfigError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def resolve_inside(folder: Path, text: str) -> Path:
    r"""Return the file that a table names. A file outside the folder is refused, also behind a symbolic link.

    Tables that were written on Windows separate folders by backslashes. If there is no file whose name holds the
    backslash, they are read as slashes.

    Args:
        folder: the only folder from which files may be read.
        text: path as the table writes it: relative to ``folder``, or an absolute path inside it.

    Raises:
        ValueError: the path holds ``..`` or leads out of the folder. The message says what to do.
    """
    if "\0" in text:
        raise ValueError(f"path {text!r} holds a zero byte; correct it")
    if ".." in PurePosixPath(text).parts or ".." in PureWindowsPath(text).parts:
        raise ValueError(f"path {text!r} holds '..', which is not allowed; write the path relative to {folder}")
    if _ADDRESS.match(text):
        raise ValueError(f"path {text!r} is an address, not a file; download it, and write its path below {folder}")
    drive = PureWindowsPath(text).drive
    path = folder / text
    if "\\" in text and not os.path.lexists(path):
        path = folder / text.replace("\\", "/")
    if os.name != "nt" and drive and not os.path.lexists(path):
        raise ValueError(
            f"path {text!r} begins with a drive or a server of Windows ({drive}), which this machine does not have; "
            f"write the path relative to {folder}, or to another folder that you name with audio_root"
        )
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        if path.is_absolute() and PurePosixPath(text).is_absolute() and not os.path.lexists(path):
            raise ValueError(
                f"path {text!r} is absolute, and this machine has no such file; write the path relative to {folder}, "
                "or to another folder that you name with audio_root"
            )
        raise ValueError(
            f"path {text!r} leads outside {folder}; move the file there, or name a folder that holds all files "
            "(audio_root)"
        )
    return resolved


def audio_folder(folder: str | Path | None) -> Path | None:
    """Return the option ``audio_root`` of a table as a path. Raises ConfigError if it is no folder."""
    if folder is None or Path(folder).is_dir():
        return None if folder is None else Path(folder)
    raise ConfigError(f"audio_root {folder}: is no folder; name the folder that the audio paths start from")
