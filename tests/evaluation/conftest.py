import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

# --import-mode=importlib puts no test folder on sys.path, so the shared maker is loaded by its path.
_spec = importlib.util.spec_from_file_location("synthetic_run", Path(__file__).parents[1] / "synthetic_run.py")
assert _spec is not None
assert _spec.loader is not None
synthetic_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(synthetic_run)


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    return synthetic_run.write_run


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return synthetic_run.write_run(tmp_path / "demo")
