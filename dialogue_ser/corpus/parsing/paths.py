"""Check the paths in a user's table: they must stay inside the folder to which they belong."""

from pathlib import Path, PurePosixPath, PureWindowsPath


def resolve_inside(folder: Path, text: str) -> Path:
    """Return the file that a table names. A file outside the folder is refused, also behind a symbolic link.

    Args:
        folder: the only folder from which files may be read.
        text: path as the table writes it, relative to ``folder`` (or an absolute path inside it).

    Raises:
        ValueError: the path holds ``..`` or leads out of the folder. The message says what to do.
    """
    if "\0" in text:
        raise ValueError(f"path {text!r} holds a zero byte; correct it")
    if ".." in PurePosixPath(text).parts or ".." in PureWindowsPath(text).parts:
        raise ValueError(f"path {text!r} holds '..', which is not allowed; write the path relative to {folder}")
    resolved = (folder / text).resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise ValueError(
            f"path {text!r} leads outside {folder}; move the file there, or name its folder (option audio_root)"
        )
    return resolved
