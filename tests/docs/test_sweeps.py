import re
from pathlib import Path

import pytest

from dialogue_ser.search_space.macros import MACROS
from dialogue_ser.search_space.shapes import SHAPES
from dialogue_ser.search_space.sweep_file import read_sweep
from dialogue_ser.search_space.sweep_reader import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
FILES = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "method:" in block]


def first_cells(heading: str) -> list[str]:
    """The names in backticks in the first column of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in rows for name in re.findall(r"`([^`]+)`", cell)]


def test_the_page_lists_all_keys_shapes_and_macros():
    assert sorted(first_cells("A sweep file")) == sorted(KEYS)
    assert sorted(first_cells("Parameters")) == sorted((*SHAPES, "nested"))
    assert len(first_cells("Parameters")) == 19
    assert sorted(first_cells("The command")) == sorted((*(f"${{{name}}}" for name in MACROS), "${envvar:NAME}"))


@pytest.mark.parametrize("number", range(len(FILES)))
def test_the_files_of_the_page_have_no_mistakes(number, tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(FILES[number])
    assert read_sweep(path).warnings == ()
