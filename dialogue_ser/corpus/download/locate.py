"""Find the folders of corpora on this machine."""

import os
from importlib.resources import files
from pathlib import Path

from dialogue_ser.corpus.download.catalogue import PUBLISHED_CORPORA
from dialogue_ser.errors import MissingDataError

#: Names the folder that holds the folders of the corpora (meld, …), or several such folders with the path separator.
ENVIRONMENT_VARIABLE = "DIALOGUE_SER_DATA"


def _checkout() -> Path | None:
    """Return the checkout of the repository that this package runs from; None in an installed wheel."""
    folder = Path(__file__).resolve().parents[3]
    return folder if (folder / "pyproject.toml").is_file() else None


def data_folders() -> tuple[Path, ...]:
    """Return the folders in which corpora are looked for, in this order.

    If DIALOGUE_SER_DATA is set, only its folders are used. Otherwise this is ``data/`` in the current directory, and
    then ``data/`` in the checkout of the repository, if the package runs from one.
    """
    stated = os.environ.get(ENVIRONMENT_VARIABLE)
    if stated:
        return tuple(Path(part).expanduser() for part in stated.split(os.pathsep) if part)
    bases = (Path.cwd(), _checkout())
    return tuple(dict.fromkeys(base / "data" for base in bases if base is not None))


def find_data(name: str) -> Path:
    """Return the folder of a corpus, e.g. ``find_data("meld")``.

    Raises:
        MissingDataError: the corpus is in none of the folders. The error names them, and the command for the download.
    """
    folders = data_folders()
    for folder in folders:
        if (folder / name).is_dir():
            return (folder / name).resolve()
    tried = ", ".join(str(folder / name) for folder in folders)
    mend = f"get it with `dialogue-ser data download {name}`, " if name in PUBLISHED_CORPORA else ""
    raise MissingDataError(
        f"{name}: no such folder (looked for {tried}); {mend}give its path "
        f"(--data.path), or set {ENVIRONMENT_VARIABLE} to the folder that holds {name}/"
    )


def download_folder() -> Path:
    """Return the folder for downloads: the first of :func:`data_folders`."""
    return data_folders()[0]


def sample_folder() -> Path:
    """Return the folder of the bundled synthetic corpus: in the installed package, or ``data/sample`` of the checkout.

    It does not depend on the current directory or on DIALOGUE_SER_DATA.

    Raises:
        MissingDataError: the folder was deleted.
    """
    shipped = Path(str(files("dialogue_ser").joinpath("sample_corpus")))
    checkout = _checkout()
    folder = shipped if checkout is None else checkout / "data" / "sample"
    if not folder.is_dir():
        raise MissingDataError(
            f"sample: {folder} is missing, although it is a part of the package; install the package again, or give "
            "the path of the corpus (--data.path)"
        )
    return folder
