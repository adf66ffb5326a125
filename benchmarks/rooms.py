"""Counts the rooms of a checkout: files per folder, imports that go up, imports that run in a circle.

``python -m benchmarks.rooms [FOLDER]`` reads a checkout (default: this one) and prints what it finds.
``--before FOLDER --record`` writes the counts of two checkouts to ``benchmarks/results/rooms.json``.

The script reads every import of the package, also those inside functions. The only import that does not count is the
package's own ``__init__.py``: it names what the rooms offer and loads it on first use.
"""

import argparse
import ast
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "rooms.json"
PACKAGE = "dialogue_ser"
MOST_FILES = 15
"""A folder holds at most this many Python files."""


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """What a checkout looks like.

    Args:
        files: folder → Python files that lie flat in it.
        n_imports: imports between modules of the package.
        up: imports against the layers of ``pyproject.toml``, as ``importer -> imported``.
        circles: groups of modules that import each other in a circle.
        unlisted: modules or folders that a contract of ``pyproject.toml`` should name but does not.
    """

    files: Mapping[str, int]
    n_imports: int
    up: Sequence[str]
    circles: Sequence[Sequence[str]]
    unlisted: Sequence[str]

    @property
    def crowded(self) -> dict[str, int]:
        """Folders with more than 15 Python files."""
        return {folder: n for folder, n in self.files.items() if n > MOST_FILES}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the result file: counts, and the names of what is wrong."""
        package = {folder: n for folder, n in self.files.items() if folder.startswith(PACKAGE)}
        return {
            "folders": len(package),
            "files": sum(package.values()),
            "most_files_in_a_folder": max(package.values()),
            "crowded_folders": {folder: n for folder, n in self.crowded.items() if folder in package},
            "crowded_folders_outside": {folder: n for folder, n in self.crowded.items() if folder not in package},
            "imports": self.n_imports,
            "imports_up": list(self.up),
            "circles": [list(circle) for circle in self.circles],
            "unlisted": list(self.unlisted),
        }


def read_rooms(root: Path) -> Rooms:
    """Count files and imports of the checkout in ``root``.

    Raises:
        FileNotFoundError: the folder is no checkout of this project.
    """
    modules = {_module_name(path.relative_to(root)): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    imports = sorted(
        {
            (name, imported)
            for name, path in modules.items()
            if name != PACKAGE
            for imported in _imports(path, modules)
            if imported not in (name, PACKAGE)
        }
    )
    contracts = _contracts(root / "pyproject.toml")
    folders = Counter(
        str(path.parent.relative_to(root))
        for top in (PACKAGE, "tests", "benchmarks")
        for path in (root / top).rglob("*.py")
    )
    return Rooms(
        files=dict(sorted(folders.items())),
        n_imports=len(imports),
        up=[f"{a} -> {b}" for a, b in imports if any(contract.forbids(a, b) for contract in contracts)],
        circles=_circles(list(modules), imports),
        unlisted=[name for contract in contracts for name in contract.unlisted(modules)],
    )


@dataclass(frozen=True)
class _Contract:
    """The layers of one container, from the highest to the lowest; rooms of one layer do not import each other."""

    container: str
    level_of: Mapping[str, int]
    ignored: Sequence[str]

    def forbids(self, importer: str, imported: str) -> bool:
        """Whether the import goes up, or sideways between two rooms of one layer."""
        own, other = self._room(importer), self._room(imported)
        if own is None or other is None or own == other:
            return False
        return self.level_of[own] >= self.level_of[other]

    def unlisted(self, modules: Mapping[str, Path]) -> list[str]:
        """Rooms of the container that the contract does not name."""
        depth = self.container.count(".") + 1
        inside = {name.split(".")[depth] for name in modules if name.startswith(f"{self.container}.")}
        return sorted(f"{self.container}.{name}" for name in inside - set(self.level_of) - set(self.ignored))

    def _room(self, module: str) -> str | None:
        if not module.startswith(f"{self.container}."):
            return None
        name = module.removeprefix(f"{self.container}.").split(".")[0]
        return name if name in self.level_of else None


def _contracts(pyproject: Path) -> list[_Contract]:
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]
    found = []
    for contract in settings["contracts"]:
        levels = {name.strip(): i for i, layer in enumerate(contract["layers"]) for name in layer.split("|")}
        ignored = contract.get("exhaustive_ignores", [])
        found += [_Contract(container, levels, ignored) for container in contract["containers"]]
    return found


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Modules of the package that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in modules:
                    yield inner
                elif node.module in modules:
                    yield node.module


def _circles(names: Sequence[str], imports: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Groups of two or more modules that reach each other along imports."""
    index = {name: i for i, name in enumerate(names)}
    rows, columns = [index[a] for a, _ in imports], [index[b] for _, b in imports]
    graph = coo_array((np.ones(len(imports), dtype=np.int8), (rows, columns)), shape=(len(names), len(names)))
    _, group_of = connected_components(graph.tocsr(), directed=True, connection="strong")
    groups: dict[int, list[str]] = {}
    for name, group in zip(names, group_of.tolist(), strict=True):
        groups.setdefault(group, []).append(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _show(rooms: Rooms) -> str:
    lines = [f"{n:4}  {folder}{'  (more than 15)' if n > MOST_FILES else ''}" for folder, n in rooms.files.items()]
    lines.append(f"imports between modules: {rooms.n_imports}")
    lines += [f"imports that go up or sideways: {len(rooms.up)}", *(f"  {line}" for line in rooms.up)]
    lines += [f"circles: {len(rooms.circles)}", *(f"  {' <-> '.join(circle)}" for circle in rooms.circles)]
    lines += [f"rooms without a layer: {len(rooms.unlisted)}", *(f"  {name}" for name in rooms.unlisted)]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print one checkout; with ``--record`` write the counts of two.

    Returns:
        1 if this checkout has an import up, a circle, a folder with more than 15 files or a room without a layer.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rooms", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT, help="checkout to read; default: this one")
    parser.add_argument("--before", type=Path, help="an earlier checkout, e.g. of `git worktree add`")
    parser.add_argument("--before-commit", default="", help="its commit, for the result file")
    parser.add_argument("--record", action="store_true", help=f"write the counts to {RESULTS.relative_to(ROOT)}")
    arguments = parser.parse_args(argv)
    rooms = read_rooms(arguments.folder)
    print(_show(rooms))
    if arguments.record:
        content: dict[str, Any] = {"command": "python -m benchmarks.rooms " + " ".join(argv or sys.argv[1:])}
        if arguments.before is not None:
            before = read_rooms(arguments.before)
            content["before"] = {"commit": arguments.before_commit, **before.to_dict()}
        content["after"] = rooms.to_dict()
        RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(bool(rooms.up or rooms.circles or rooms.crowded or rooms.unlisted))


if __name__ == "__main__":
    sys.exit(main())
