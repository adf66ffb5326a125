"""Versions of installed packages."""

from functools import cache
from importlib.metadata import version


@cache
def installed_version(package: str) -> str:
    """Return the version of an installed package.

    The files of the package are read once in a process, because that is slow and fingerprints ask often.

    Raises:
        PackageNotFoundError: the package is not installed.

    >>> installed_version("numpy") == __import__("numpy").__version__
    True
    """
    return version(package)
