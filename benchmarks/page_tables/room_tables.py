"""The table of rooms in docs/architecture.md, rendered by ``benchmarks.tables``: before and after they were divided."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown

Counts = Mapping[str, Any]


def _crowded(counts: Counts) -> str:
    found = {**counts["crowded_folders"], **counts["crowded_folders_outside"]}
    return ", ".join(f"{folder.removeprefix('dialogue_ser/')} {n}" for folder, n in found.items()) or "none"


ROWS: Mapping[str, Callable[[Counts], str]] = {
    "folders of the package": lambda counts: str(counts["folders"]),
    "Python files in them": lambda counts: str(counts["files"]),
    "most Python files in one folder": lambda counts: str(counts["most_files_in_a_folder"]),
    "folders with more than 15, tests and benchmarks included": _crowded,
    "imports between modules": lambda counts: str(counts["imports"]),
    "imports that go up or sideways": lambda counts: str(len(counts["imports_up"])),
    "modules in a circle": lambda counts: str(sum(map(len, counts["circles"]))),
    "rooms that no contract names": lambda counts: str(len(counts["unlisted"])),
}


@register_renderer("rooms")
def rooms(folder: Path) -> str:
    """Counts of both versions side by side."""
    result = read_result(folder, "rooms.json")
    rows = [{"": what, **{age: cell(result[age]) for age in ("before", "after")}} for what, cell in ROWS.items()]
    return f"{render_markdown(rows)}\n\nBefore is commit {result['before']['commit']}. `{result['command']}`"
