"""Jobs for the tests: they count with a checkpoint, print, fail or die. As a script, this file does some of them.

``python slow_jobs.py FOLDER N_JOBS`` counts to TOP in four jobs, ``N_JOBS`` at the same time.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.many.engines import Processes
from dialogue_ser.many.jobs import Job
from dialogue_ser.many.progress import Shown
from dialogue_ser.many.run_many import run_many

TOP = 12
SECONDS = 0.05


def count(file: str, top: int = TOP, seconds: float = SECONDS) -> dict[str, Any]:
    """Count to a number, one step after the other; the file has one line for each step, so a new start goes on."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = path.read_text().splitlines() if path.is_file() else []
    for step in range(len(steps), top):
        time.sleep(seconds)
        with path.open("a") as lines:
            lines.write(f"{step} {os.getpid()}\n")
    return {"sum": sum(int(line.split()[0]) for line in path.read_text().splitlines())}


def fail(kind: str = "error") -> None:
    """Fail in some way."""
    print("this is said before the end", flush=True)
    if kind == "user":
        raise ConfigError("file.yaml row 3: too bad", "file.yaml row 4: worse")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        sys.exit(3)
    raise ZeroDivisionError("by nothing")


def counting(folder: Path, n: int = 4, **payload: Any) -> list[Job]:
    """Jobs that count, one file each."""
    return [
        Job(
            key=f"count/{number}",
            target="slow_jobs:count",
            payload={"file": str(folder / f"{number}.txt"), **payload},
            fingerprint="a",
            fraction=lambda number=number: lines_of(folder / f"{number}.txt") / TOP,
        )
        for number in range(n)
    ]


def lines_of(file: Path) -> int:
    """Number of lines of a file; 0 without one."""
    return len(file.read_text().splitlines()) if file.is_file() else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background processes without it
    out = Path(sys.argv[1])
    run_many(counting(out), out, Processes(int(sys.argv[2])), Shown("counts"))
