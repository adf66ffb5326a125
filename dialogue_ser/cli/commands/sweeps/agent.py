"""``dialogue-ser sweep agent FILE``: the commands that run a sweep on a server of Weights & Biases."""

import shlex
from pathlib import Path

from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.search_space.sweep_file import read_sweep


def sweep_agent(file: str) -> int:
    """Print the two commands that run a sweep on a server of Weights & Biases, and the variables that they need.

    Args:
        file: the sweep file, in YAML (docs/sweeps.md). It is checked first.

    Returns:
        exit status 0.

    Raises:
        ConfigError: the file has mistakes; the error lists all of them.
    """
    sweep = read_sweep(Path(file))
    print(visible(f"wandb sweep {shlex.quote(file)}"))
    print(visible(f"wandb agent {'/'.join(part for part in (sweep.entity, sweep.project, 'SWEEP_ID') if part)}"))
    return 0
