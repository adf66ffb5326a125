"""Unpack archives that may be harmful. An archive is checked completely before the first byte is written."""

import shutil
import tarfile
import tempfile
import unicodedata
from pathlib import Path, PurePosixPath

from dialogue_ser.errors import CorpusError

#: An archive with more bytes or files than this is refused, because it may be made to fill the disk (a bomb). MELD.Raw
#: holds 11 GB in 14,000 files.
MAX_BYTES = 60 * 10**9
MAX_FILES = 200_000
#: Media cannot be compressed more than this. The ratio is checked only if the content has at least 100 MB, because a
#: small archive can hold long runs of zeros.
MAX_RATIO = 200
_RATIO_FROM_BYTES = 100 * 10**6
_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
    """Unpack a tar archive, and the tar archives inside it, into a new folder.

    The result is complete, or there is none: everything is first unpacked beside ``folder`` and renamed at the end. If
    the archive has a single top folder, ``folder`` takes its place.

    Args:
        archive: ``.tar``, ``.tar.gz``, ….
        folder: the folder to make; it must not exist.
        max_bytes: largest size of the content.
        max_files: largest number of files and folders in the archive.

    Raises:
        CorpusError: the archive is damaged or is not a tar archive, or it has absolute paths, ``..``, links, devices,
            duplicate names, names with control characters, or impossible sizes. Then nothing is written, and the error
            names all such members.
    """
    if folder.exists():
        raise CorpusError(f"{folder}: exists already; move it away if you want to unpack {archive.name} again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        staging = Path(name) / "content"
        _unpack_one(archive, staging, max_bytes, max_files)
        entries = list(staging.iterdir())
        top = entries[0] if len(entries) == 1 and entries[0].is_dir() else staging
        # A name with a leading dot is a file that macOS adds. It is not an archive.
        for inner in sorted(path for path in top.rglob("*.tar*") if not path.name.startswith(".")):
            # gzip's checksums prove that the inner archive arrived undamaged, but not that it is harmless.
            _unpack_one(inner, inner.parent / f".{inner.name}.content", max_bytes, max_files)
            inner.unlink()
            _move_entries(inner.parent / f".{inner.name}.content", inner.parent)
        top.rename(folder)


def _unpack_one(archive: Path, folder: Path, max_bytes: int, max_files: int) -> None:
    try:
        with tarfile.open(archive, "r:*") as opened:
            _check_members(archive, opened, max_bytes, max_files)
        with tarfile.open(archive, "r:*") as opened:
            folder.mkdir(parents=True)
            for member in opened:
                target = folder / member.name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                content = opened.extractfile(member)
                assert content is not None  # _check_members accepts only files and folders
                with content, target.open("xb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CorpusError(
            f"{archive}: cannot be unpacked ({error}); it is damaged or is not a tar archive: delete it and download "
            "it again"
        ) from error


def _check_members(archive: Path, opened: tarfile.TarFile, max_bytes: int, max_files: int) -> None:
    """Read the headers of all members, and refuse an archive that is not safe."""
    problems: list[str] = []
    seen: set[PurePosixPath] = set()
    total = 0
    packed = archive.stat().st_size
    for count, member in enumerate(opened, start=1):
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name.partition("/")[0]:
            problems.append(f"{archive}: member {member.name!r} leads outside the folder")
        elif member.issym() or member.islnk():
            problems.append(f"{archive}: member {member.name!r} is a link to {member.linkname!r}")
        elif _has_hidden_characters(member.name):
            problems.append(f"{archive}: member {member.name!a} has control characters in its name")
        elif not (member.isfile() or member.isdir()) or member.issparse():
            problems.append(f"{archive}: member {member.name!r} is neither an ordinary file nor a folder")
        elif member.isfile() and path in seen:
            problems.append(f"{archive}: member {member.name!r} is in it twice")
        seen.add(path)
        total += member.size
        is_bomb = total > _RATIO_FROM_BYTES and total > MAX_RATIO * packed
        if total > max_bytes or count > max_files or is_bomb:
            problems.append(
                f"{archive}: holds at least {total} bytes in {count} members, but is itself {packed} bytes long; "
                "it may be a bomb (an archive that is made to fill the disk)"
            )
            break
    if problems:
        raise CorpusError(
            *problems, f"{archive}: is refused, and nothing was unpacked; get the archive from its publisher"
        )


def _has_hidden_characters(name: str) -> bool:
    """Does a name hold characters that could change what a terminal shows?

    These are control characters, line breaks, marks that turn the direction of text, and bytes that are no text.
    """
    return any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") or one in _DIRECTION_MARKS for one in name)


def _move_entries(folder: Path, target: Path) -> None:
    """Move all entries of a folder into another folder, and remove the empty folder. Nothing is overwritten."""
    for entry in folder.iterdir():
        if (target / entry.name).exists():
            raise CorpusError(f"{target / entry.name}: is in two archives; get the archive from its publisher")
        entry.rename(target / entry.name)
    folder.rmdir()
