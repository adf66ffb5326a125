import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]  # a checkout is tested as it is, whatever is installed beside it


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module with the tiny corpus; readers and encoders find it by name; features go to the test's own store."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "cache"))
    import tiny

    return tiny


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a script of this folder in a process of its own."""

    def run(name: str, *arguments: object, launcher: tuple[str, ...] = (), **environment: str):
        command = [sys.executable, *launcher, str(HERE / name), *map(str, arguments)]
        fixed = {
            "OMP_NUM_THREADS": "1",
            "DIALOGUE_SER_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}",
        }
        return subprocess.run(
            command,
            env={**os.environ, **fixed, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
