"""Finds and fetches the wheels that a machine without a network lacks."""

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dialogue_ser.errors import MissingDataError

PYTHON = "3.12"
PLATFORMS = tuple(
    f"manylinux{version}_x86_64" for version in ("_2_35", "_2_34", "_2_31", "_2_28", "_2_27", "_2_24", "_2_17", 2014, 1)
)
MARKERS = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.3",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}
FOR_TESTS = ("beartype", "hypothesis", "pytest")
"""What the marked tests need beside the package's own dependencies."""
Fetch = Callable[[str, Path], Path]
"""Requirement such as ``av==18.1.0`` and a folder → the wheel in it; MissingDataError where it cannot be had."""


def read_pins(path: Path) -> dict[str, str]:
    """Name → version (empty if the line has none) of a file in the format of pip freeze.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("# seen\\nNumPy==2.5.2\\ntqdm\\n"), file.flush()
    ...     read_pins(Path(file.name))
    {'numpy': '2.5.2', 'tqdm': ''}
    """
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("==")[::2] for line in lines if line]
    return {canonicalize_name(name): version for name, version in pairs}


def own_requirements(pyproject: Path) -> list[Requirement]:
    """The dependencies of the package, and those of its tests."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in (*project["dependencies"], *FOR_TESTS)]


def gather(
    requirements: Iterable[Requirement],
    folder: Path,
    *,
    provided: Mapping[str, str],
    pins: Mapping[str, str],
    leave_out: Collection[str],
    fetch: Fetch | None = None,
) -> list[str]:
    """Put every wheel that the other machine lacks into a folder, and remove all other wheels.

    Args:
        requirements: to begin with; what they need in turn is read from the wheels.
        folder: wheels that are in it already are kept.
        provided: what that machine has: name → version, or empty.
        pins: name → version to take.
        leave_out: names that are neither fetched nor looked into.
        fetch: pip where None.

    Returns:
        remarks: versions there that do not satisfy a requirement.

    Raises:
        MissingDataError: wheels that cannot be had, all of them; those that could be stay.
    """
    remarks, problems, taken = [], [], {}
    waiting, seen = list(requirements), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in leave_out or str(requirement) in seen:
            continue
        seen.add(str(requirement))
        if name in provided:
            version = provided[name]
            if version and not requirement.specifier.contains(Version(version), prereleases=True):
                remarks.append(f"{requirement}: that machine has {version}")
            continue
        try:
            taken[name] = taken.get(name) or _wheel(name, pins.get(name), folder, fetch or fetch_with_pip)
        except MissingDataError as error:
            problems.append(str(error))
            continue
        waiting += _needs(taken[name], requirement.extras)
    if problems:
        raise MissingDataError(*dict.fromkeys(problems))
    for wheel in set(folder.glob("*.whl")) - set(taken.values()):
        wheel.unlink()  # two versions of one package would stop the whole installation
    return remarks


def fetch_with_pip(requirement: str, folder: Path) -> Path:
    """``pip download`` for :data:`PYTHON` on Linux, x86_64.

    Raises:
        MissingDataError: pip found no wheel, or there is no network.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--implementation", "cp", "--dest", str(folder)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no wheel"]
        raise MissingDataError(
            f"{requirement}: pip gives no wheel for Python {PYTHON} on Linux x86_64 ({said[-1]}); run this again where "
            "a package index can be reached, or leave it out with --leave-out"
        )
    return found[0]


def _wheel(name: str, version: str | None, folder: Path, fetch: Fetch) -> Path:
    """Path of the wheel in the folder. It is fetched if it is absent, completely or not at all."""
    for path in sorted(folder.glob("*.whl")):
        own_name, own_version, *_ = parse_wheel_filename(path.name)
        if own_name == name and version in (None, str(own_version)) and zipfile.is_zipfile(path):
            return path
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        wheel = fetch(f"{name}=={version}" if version else name, Path(partial))
        return wheel.replace(folder / wheel.name)


def _needs(wheel: Path, extras: Collection[str]) -> list[Requirement]:
    """Requirements in the METADATA of a wheel for that machine, with these extras."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    found = [Requirement(text) for text in metadata.get_all("Requires-Dist") or ()]
    wanted = ("", *extras)
    return [
        one
        for one in found
        if one.marker is None or any(one.marker.evaluate({**MARKERS, "extra": extra}) for extra in wanted)
    ]
