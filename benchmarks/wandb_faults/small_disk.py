"""Run a command of ``dialogue-ser`` whose W&B process can write only small files, as on a full disk.

``python -m benchmarks.wandb_faults.small_disk KIBIBYTES train …``
"""

import sys
import tempfile
from pathlib import Path

from dialogue_ser.cli.main import main


def run(kibibytes: int, tokens: list[str]) -> int:
    """Run a command; return its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        limited = Path(folder) / "python"
        limited.write_text(f'#!/bin/sh\nulimit -f {2 * kibibytes}\nexec {sys.executable} "$@"\n', encoding="utf-8")
        limited.chmod(0o755)
        sys.executable = str(limited)  # the mirror is the only process that this command starts
        return main(tokens)


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))
