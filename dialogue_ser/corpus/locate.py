"""Where corpora lie on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

from dialogue_ser.corpus.sources import SOURCES
from dialogue_ser.errors import MissingDataError

#: Folder, or several joined by the path separator, that hold corpora: DIALOGUE_SER_DATA/meld, ….
ENVIRONMENT_VARIABLE = "DIALOGUE_SER_DATA"


def _bases() -> Iterator[Path]:
    """The current directory and, for an editable install, the repository checkout."""
    yield Path.cwd()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        yield checkout


def data_folders() -> tuple[Path, ...]:
    """Folders that are searched for corpora, first match wins.

    DIALOGUE_SER_DATA, where it is set, is the only place: what was said explicitly is not second-guessed. Otherwise
    ``data/`` and then ``../shared/data``, each seen from the current directory and from the repository checkout.
    """
    stated = os.environ.get(ENVIRONMENT_VARIABLE)
    if stated:
        return tuple(Path(part).expanduser() for part in stated.split(os.pathsep) if part)
    bases = tuple(_bases())
    return tuple(dict.fromkeys(base / folder for folder in ("data", "../shared/data") for base in bases))


def find_data(name: str) -> Path:
    """Folder of a corpus, e.g. ``find_data("meld")``.

    Raises:
        MissingDataError: it is in none of the places; names them and the command that downloads it.
    """
    folders = data_folders()
    for folder in folders:
        if (folder / name).is_dir():
            return (folder / name).resolve()
    places = ", ".join(str(folder / name) for folder in folders)
    fetch = f"get it with `dialogue-ser data download {name}`, " if name in SOURCES else ""
    raise MissingDataError(
        f"{name}: no such folder in {places}; {fetch}give its path "
        f"(--data.path), or set {ENVIRONMENT_VARIABLE} to the folder that holds {name}/"
    )


def download_folder() -> Path:
    """Where downloads land: the first of :func:`data_folders`."""
    return data_folders()[0]


def sample_folder() -> Path:
    """Folder of the bundled synthetic corpus, ``data/sample``; DIALOGUE_SER_DATA does not matter to it.

    Raises:
        MissingDataError: neither the current directory nor the checkout has it.
    """
    folders = [base / "data" / "sample" for base in _bases()]
    for folder in folders:
        if folder.is_dir():
            return folder.resolve()
    raise MissingDataError(
        f"sample: no such folder in {', '.join(map(str, folders))}; the sample corpus is part of the repository: run "
        "from a checkout of it, or give its path (--data.path)"
    )
