"""Paths that stand in other people's tables: relative, and inside the folder they belong to."""

from pathlib import Path, PurePosixPath, PureWindowsPath


def resolve_inside(folder: Path, text: str) -> Path:
    """The file a table means, refused where it lies outside the folder after following ``..`` and symbolic links.

    Args:
        folder: the only folder that may be read.
        text: path as written, relative to ``folder`` (an absolute path inside it is accepted).

    Raises:
        ValueError: the path leads out of the folder; the message says what to do.
    """
    if "\0" in text:
        raise ValueError(f"path {text!r} holds a zero byte; correct it")
    if ".." in PurePosixPath(text).parts or ".." in PureWindowsPath(text).parts:
        raise ValueError(f"path {text!r} climbs with '..'; write it relative to {folder}")
    resolved = (folder / text).resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise ValueError(
            f"path {text!r} leads outside {folder}; move the file there, or state its folder (option audio_root)"
        )
    return resolved
