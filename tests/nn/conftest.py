import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def plain() -> SimpleNamespace:
    """The functions of frame_reference.py: systems over frames as plain loops."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "frames" / "frame_reference.py")))
