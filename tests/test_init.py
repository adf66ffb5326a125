import importlib
import subprocess
import sys
from importlib.metadata import version

import pytest

import dialogue_ser


@pytest.mark.parametrize("name", sorted(dialogue_ser._HOMES))
def test_every_public_name_loads_and_is_the_one_of_its_module(name):
    home = importlib.import_module(f"dialogue_ser.{dialogue_ser._HOMES[name]}")
    assert getattr(dialogue_ser, name) is getattr(home, name)


def test_public_names_are_listed_before_they_are_loaded():
    code = "import dialogue_ser; names = dir(dialogue_ser); print(*names)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(dialogue_ser._HOMES) <= set(done.stdout.split())


def test_a_star_import_brings_the_public_names_and_nothing_else():
    names: dict[str, object] = {}
    exec("from dialogue_ser import *", names)
    assert set(names) - {"__builtins__"} == set(dialogue_ser._HOMES)


def test_importing_the_package_imports_neither_torch_nor_pandas():
    code = "import sys, dialogue_ser; dialogue_ser.LabelSet; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        dialogue_ser.trian  # noqa: B018 - the access is the test


def test_the_type_checker_sees_the_same_names():
    source = dialogue_ser.__loader__.get_source("dialogue_ser")
    seen = {line.rpartition(" as ")[2].strip() for line in source.splitlines() if line.startswith("    from ")}
    assert seen == set(dialogue_ser._HOMES)


def test_the_version_is_kept_in_one_place():
    assert version("dialogue-ser") == dialogue_ser.__version__
