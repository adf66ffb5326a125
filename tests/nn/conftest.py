import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def plain() -> ModuleType:
    """The module frame_reference.py, which computes systems on frames by plain loops."""
    spec = importlib.util.spec_from_file_location(
        "frame_reference", Path(__file__).parent / "frames" / "frame_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
