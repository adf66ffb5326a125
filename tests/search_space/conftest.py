from collections.abc import Callable
from pathlib import Path

import pytest

from dialogue_ser.search_space.sweep import Sweep
from dialogue_ser.search_space.sweep_file import read_sweep

USUAL = """\
method: random
metric: {name: dev/weighted_f1, goal: maximize}
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-2}
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Sweep]:
    """Function that reads the text of a sweep file."""

    def read_text(text: str) -> Sweep:
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return read_sweep(path)

    return read_text
