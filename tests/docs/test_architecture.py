"""docs/architecture.md names files, rooms and names that exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dialogue_ser"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Text of one section, without its heading."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def cells(heading: str) -> list[list[str]]:
    """Rows of the table of a section, without its first two lines."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def defined_in(place: Path) -> set[str]:
    """Names that the modules of a file or folder define, methods included."""
    found = set()
    for path in [place] if place.is_file() else place.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


PLACES = sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+(?:\.py)?|(?:[a-z_]+/)+)`", PAGE)))


@pytest.mark.parametrize("place", PLACES)
def test_a_file_or_folder_that_the_page_names_exists(place: str) -> None:
    bases = (ROOT, PACKAGE, PACKAGE / "nn" / "recurrence")
    candidates = [base / f"{place}{suffix}" for base in bases for suffix in ("", ".py")]
    assert any(path.exists() for path in candidates) or place in ("checkpoints/", "model/")


@pytest.mark.parametrize("row", cells("What each room offers"), ids=lambda row: row[0])
def test_a_room_offers_the_names_that_the_page_gives(row: list[str]) -> None:
    places = [PACKAGE / place for place in re.findall(r"`([^`]+)`", row[0])]
    names = set().union(*map(defined_in, places))
    code = re.findall(r"`([^`]+)`", row[1])
    stated = {
        match for text in code for match in re.findall(r"(?:^|, |\.)([A-Za-z_]\w+)(?=[(,.]|$| ->)", text.split("(")[0])
    }
    assert stated, "the row names nothing"
    assert stated - names - {"package", "module", "attribute", "find"} == set()


def test_the_page_lists_every_room_in_the_order_of_its_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [contract["layers"] for contract in contracts if contract["containers"] == ["dialogue_ser"]]
    stated: dict[int, set[str]] = {}
    for number, room in (row[:2] for row in cells("Rooms") if row[0].isdigit()):
        stated.setdefault(int(number), set()).update(
            name.removesuffix(".py") for name in re.findall(r"`([^`]+)`", room)
        )
    assert [stated[number] for number in sorted(stated)] == [set(re.findall(r"\w+", layer)) for layer in layers]
