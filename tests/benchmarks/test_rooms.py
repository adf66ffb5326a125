from pathlib import Path

import pytest

from benchmarks import rooms

LAYERS = """
[tool.importlinter]
root_package = "dialogue_ser"
[[tool.importlinter.contracts]]
layers = ["top", "left | right", "bottom"]
containers = ["dialogue_ser"]
[[tool.importlinter.contracts]]
layers = ["above", "below"]
containers = ["dialogue_ser.top"]
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small checkout without faults."""
    (tmp_path / "pyproject.toml").write_text(LAYERS)
    for name, text in {
        "__init__": "from dialogue_ser.top.above import anything",
        "top/__init__": "",
        "top/above": "from dialogue_ser.top import below\nfrom dialogue_ser import __version__",
        "top/below": "import dialogue_ser.left",
        "left": "def f():\n    from dialogue_ser.bottom import g",
        "right": "",
        "bottom": "",
    }.items():
        write(tmp_path, name, text)
    return tmp_path


def write(house: Path, name: str, text: str) -> None:
    path = house / "dialogue_ser" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_house_without_faults_has_none(house: Path) -> None:
    found = rooms.read_rooms(house)
    assert (found.up, found.circles, found.unlisted, found.crowded) == ([], [], [], {})
    assert found.n_imports == 3
    assert found.files == {"dialogue_ser": 4, "dialogue_ser/top": 3}
    assert rooms.main([str(house)]) == 0


@pytest.mark.parametrize(
    ("importer", "line", "up"),
    [
        ("bottom", "from dialogue_ser.left import f", "dialogue_ser.bottom -> dialogue_ser.left"),
        ("left", "import dialogue_ser.right", "dialogue_ser.left -> dialogue_ser.right"),
        ("top/below", "from dialogue_ser.top.above import x", "dialogue_ser.top.below -> dialogue_ser.top.above"),
        ("bottom", "def f():\n    from dialogue_ser import top", "dialogue_ser.bottom -> dialogue_ser.top"),
    ],
)
def test_an_import_up_or_sideways_is_found_even_in_a_function(house: Path, importer: str, line: str, up: str) -> None:
    write(house, importer, line)
    assert up in rooms.read_rooms(house).up
    assert rooms.main([str(house)]) == 1


def test_a_circle_of_several_modules_is_one_group(house: Path) -> None:
    write(house, "top/one", "from dialogue_ser.top.two import x")
    write(house, "top/two", "from dialogue_ser.top import three")
    write(house, "top/three", "import dialogue_ser.top.one")
    assert rooms.read_rooms(house).circles == [[f"dialogue_ser.top.{name}" for name in ("one", "three", "two")]]


def test_a_crowded_folder_and_a_room_without_a_layer_are_found(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(16):
        write(house, f"right_{number}", "")
    found = rooms.read_rooms(house)
    assert found.crowded == {"dialogue_ser": 20}
    assert len(found.unlisted) == 16
    assert rooms.main([str(house)]) == 1
    assert "20  dialogue_ser  (more than 15)" in capsys.readouterr().out


def test_this_checkout_has_no_crowded_folder_no_circle_and_no_import_up() -> None:
    found = rooms.read_rooms(rooms.ROOT)
    assert (found.up, found.circles, found.unlisted, found.crowded) == ([], [], [], {})
