import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module ``tiny`` with the tiny corpus, importable by its name; each test has its own feature store."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "cache"))
    import tiny

    return tiny


@pytest.fixture
def script(warm_process, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a script of this folder in a separate process."""

    def run(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        environment = {"DIALOGUE_SER_CACHE": str(tmp_path / "cache")}
        return warm_process.run([HERE / name, *arguments], [HERE], environment)

    return run
