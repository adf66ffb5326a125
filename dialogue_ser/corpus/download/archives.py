"""Unpacking of archives that nobody has vouched for: checked whole before the first byte is written."""

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from dialogue_ser.errors import CorpusError

#: An archive that claims to hold more is refused as a bomb; MELD.Raw holds 11 GB in 14,000 files.
MOST_BYTES = 60 * 10**9
MOST_FILES = 200_000
#: Compression beyond this is no media; checked from 100 MB upwards, small archives may well hold long runs of zeros.
MOST_RATIO = 200
_RATIO_FROM_BYTES = 100 * 10**6


def unpack(archive: Path, folder: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
    """Unpack a tar archive, and the tar archives inside it, into a new folder; all of it or nothing.

    A single top folder is left out. Everything is unpacked beside ``folder`` first and renamed when complete.

    Args:
        archive: ``.tar``, ``.tar.gz``, ….
        folder: that will be made; must not exist.
        most_bytes: the content may have.
        most_files: the archive may list.

    Raises:
        CorpusError: no tar archive, damaged, or one with absolute paths, ``..``, links, devices, duplicate names or
            senseless sizes: refused whole, before anything is written; all offending members are named.
    """
    if folder.exists():
        raise CorpusError(f"{folder}: exists already; move it away to unpack {archive.name} again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        staging = Path(name) / "content"
        _unpack_one(archive, staging, most_bytes, most_files)
        entries = list(staging.iterdir())
        top = entries[0] if len(entries) == 1 and entries[0].is_dir() else staging
        # Names with a leading dot are what macOS puts beside a file, no archives.
        for inner in sorted(path for path in top.rglob("*.tar*") if not path.name.startswith(".")):
            # The CRCs of gzip were checked while reading, so what is inside is what was packed; trust stops there.
            _unpack_one(inner, inner.parent / f".{inner.name}.content", most_bytes, most_files)
            inner.unlink()
            _merge(inner.parent / f".{inner.name}.content", inner.parent)
        top.rename(folder)


def _unpack_one(archive: Path, folder: Path, most_bytes: int, most_files: int) -> None:
    try:
        with tarfile.open(archive, "r:*") as opened:
            _check(archive, opened, most_bytes, most_files)
        with tarfile.open(archive, "r:*") as opened:
            folder.mkdir(parents=True)
            for member in opened:
                target = folder / member.name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                source = opened.extractfile(member)
                assert source is not None  # _check let only files and folders pass
                with source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CorpusError(
            f"{archive}: cannot be unpacked ({error}); it is damaged or no tar archive: delete it and download it again"
        ) from error


def _check(archive: Path, opened: tarfile.TarFile, most_bytes: int, most_files: int) -> None:
    """Read every header; refuse before anything is written."""
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
        elif not (member.isfile() or member.isdir()) or member.issparse():
            problems.append(f"{archive}: member {member.name!r} is neither a plain file nor a folder")
        elif member.isfile() and path in seen:
            problems.append(f"{archive}: member {member.name!r} stands there twice")
        seen.add(path)
        total += member.size
        is_bomb = total > _RATIO_FROM_BYTES and total > MOST_RATIO * packed
        if total > most_bytes or count > most_files or is_bomb:
            problems.append(f"{archive}: holds at least {total} bytes in {count} members, packed in {packed}: a bomb")
            break
    if problems:
        raise CorpusError(*problems, f"{archive}: refused, nothing was unpacked; get the archive from its publisher")


def _merge(source: Path, target: Path) -> None:
    """Move a folder's entries into another; nothing may be overwritten."""
    for entry in source.iterdir():
        if (target / entry.name).exists():
            raise CorpusError(f"{target / entry.name}: two archives hold it; get the archive from its publisher")
        entry.rename(target / entry.name)
    source.rmdir()
