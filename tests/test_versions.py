import importlib.metadata
from importlib.metadata import PackageNotFoundError

import pytest

from dialogue_ser.versions import installed_version


def test_the_files_of_a_package_are_read_once_in_a_process(monkeypatch):
    found = installed_version("numpy")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: pytest.fail(f"{name} is read again"))
    assert installed_version("numpy") == found


def test_a_package_that_is_not_installed_has_no_version():
    with pytest.raises(PackageNotFoundError, match="no-such-package"):
        installed_version("no-such-package")
