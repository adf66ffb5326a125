"""Where corpora lie on this machine."""

import os
from importlib.resources import files
from pathlib import Path

from dialogue_ser.corpus.download.catalogue import SOURCES
from dialogue_ser.errors import MissingDataError

#: Folder, or several joined by the path separator, that hold corpora: DIALOGUE_SER_DATA/meld, ….
ENVIRONMENT_VARIABLE = "DIALOGUE_SER_DATA"


def _checkout() -> Path | None:
    """The repository checkout that this package is run from; None in an installed wheel."""
    folder = Path(__file__).resolve().parents[3]
    return folder if (folder / "pyproject.toml").is_file() else None


def data_folders() -> tuple[Path, ...]:
    """Folders that are searched for corpora, first match wins.

    DIALOGUE_SER_DATA, where it is set, is the only place: what was said explicitly is not second-guessed. Otherwise
    ``data/`` in the current directory and then in the repository checkout, if the package is run from one.
    """
    stated = os.environ.get(ENVIRONMENT_VARIABLE)
    if stated:
        return tuple(Path(part).expanduser() for part in stated.split(os.pathsep) if part)
    bases = (Path.cwd(), _checkout())
    return tuple(dict.fromkeys(base / "data" for base in bases if base is not None))


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
    """Folder of the bundled synthetic corpus: in the installed package, or ``data/sample`` of the checkout.

    Neither the current directory nor DIALOGUE_SER_DATA matters to it.

    Raises:
        MissingDataError: it was deleted.
    """
    shipped = Path(str(files("dialogue_ser").joinpath("sample_corpus")))
    checkout = _checkout()
    folder = shipped if checkout is None else checkout / "data" / "sample"
    if not folder.is_dir():
        raise MissingDataError(
            f"sample: {folder} is missing, which comes with the package; install the package again, or give the "
            "corpus's path (--data.path)"
        )
    return folder
