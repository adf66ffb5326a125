"""``dialogue-ser sweep check FILE``: every mistake of a sweep file, before anything is trained."""

from pathlib import Path

from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.search_space.sweep_file import read_sweep


def sweep_check(file: str) -> int:
    """Check a sweep file of Weights & Biases.

    Args:
        file: the sweep file, in YAML (docs/sweeps.md).

    Returns:
        exit status 0, which means that the sweep can run.

    Raises:
        ConfigError: there are mistakes; the error lists all of them.
    """
    sweep = read_sweep(Path(file))
    print(visible(f"ok: {file}"))
    for warning in sweep.warnings:
        print(visible(f"warning: {warning}"))
    return 0
