import subprocess
import sys
from pathlib import Path

import pytest

from dialogue_ser import user_modules
from dialogue_ser.errors import ConfigError
from dialogue_ser.registry import Registry

MODULE = """
def late():
    import late_sibling
    from late_package.part import value
    return late_sibling.value + value
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module that imports its neighbours when its function is called."""
    home = tmp_path / "home"
    (home / "late_package").mkdir(parents=True)
    (home / "late_user.py").write_text(MODULE)
    (home / "late_sibling.py").write_text("value = 1\n")
    (home / "late_package" / "__init__.py").touch()
    (home / "late_package" / "part.py").write_text("value = 2\n")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(user_modules._finder, "folders", [])
    yield home
    for name in [name for name in sys.modules if name.startswith("late_")]:
        del sys.modules[name]


def test_a_users_function_imports_its_neighbours_although_path_and_folder_have_changed(folder, tmp_path, monkeypatch):
    tools = Registry("tool", "dialogue_ser.no_such_group", {})
    monkeypatch.chdir(folder)
    before = list(sys.path)
    late = tools.find("late_user:late")
    monkeypatch.chdir(tmp_path)
    assert sys.path == before
    assert late() == 3


def test_other_code_sees_nothing_of_that_folder(folder, monkeypatch):
    tools = Registry("tool", "dialogue_ser.no_such_group", {})
    monkeypatch.chdir(folder)
    tools.find("late_user:late")
    with pytest.raises(ModuleNotFoundError):
        __import__("late_sibling")


def test_a_module_that_is_nowhere_is_still_an_import_error(folder, monkeypatch):
    tools = Registry("tool", "dialogue_ser.no_such_group", {})
    (folder / "late_wrong.py").write_text("import late_nowhere\n")
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match="No module named 'late_nowhere'"):
        tools.find("late_wrong:x")


def test_worker_code_runs_in_a_fresh_process(folder):
    code = (
        "import os; from dialogue_ser.registry import Registry; "
        "f = Registry('tool', 'dialogue_ser.no_such_group', {}).find('late_user:late'); os.chdir('/'); print(f())"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "3\n", done.stderr
