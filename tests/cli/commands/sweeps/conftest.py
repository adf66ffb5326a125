from collections.abc import Callable
from pathlib import Path

import pytest

SWEEP = """\
method: random
metric: {name: dev/weighted_f1, goal: maximize}
run_cap: 8
early_terminate: {type: hyperband, min_iter: 3}
command: ['${env}', dialogue-ser, train, --preset, quickstart, '${args}']
parameters:
  optimizer.learning_rate: {distribution: log_uniform_values, min: 2.0e-4, max: 3.0e-3}
  model.options.hidden_dim: {distribution: q_uniform, min: 16, max: 64, q: 16}
  training: {parameters: {batch_size: {values: [8, 16]}}}
"""


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes a sweep file in which texts are replaced, and returns its path."""

    def write(*replaced: tuple[str, str], text: str = SWEEP) -> Path:
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
