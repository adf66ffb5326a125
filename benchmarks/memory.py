"""Peak memory of train steps, each system in a process of its own. On CUDA it is the maximum of the allocator.

python -m benchmarks.memory '{"system": "EmotionRNN", "axis": "turns", "sizes": [64, 128], "threads": 2}'
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.progress import Progress

from benchmarks.speed.growth import AXES, LOOP, SYSTEMS, build, shaped, sized, sizes_for

ROOT = Path(__file__).parents[1]
LONG_DIALOGUE = "500 turns, 64 parties"
STATUS = Path("/proc/self/status")
LIVES = ("EmotionRNN", "DialogueRNN, listeners", "DialogueRNN")  # systems that must train on the long dialogue


def peaks(
    system: str, axis: str, sizes: Sequence[int], device: torch.device, threads: int
) -> tuple[float, list[float]] | None:
    """Bytes held before the first step, and the peak of one train step for each size, with these bytes included.

    Args:
        system: of `benchmarks.speed.growth.SYSTEMS`.
        axis: of `benchmarks.speed.growth.AXES`, or ``LONG_DIALOGUE`` (sizes are then not looked at).
        sizes: growing, for memory that was freed is not always given back.
        device: measured here on CUDA, in a new process on the CPU.
        threads: of torch.

    Returns:
        None where the system does not tell a process its peak.
    """
    if device.type == "cuda":
        return _peaks_here(system, axis, sizes, device)
    task = {"system": system, "axis": axis, "sizes": list(sizes), "threads": threads}
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(task)]
    # a session of its own: on Ctrl-C the child is killed, and says nothing
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, start_new_session=True)
    answer = json.loads(done.stdout)
    return None if answer is None else (answer[0], answer[1])


def _peaks_here(system: str, axis: str, sizes: Sequence[int], device: torch.device) -> tuple[float, list[float]] | None:
    if device.type == "cpu" and not STATUS.is_file():
        return None
    candidate, for_loop = build(system, device), system == LOOP
    candidate.train(shaped(1, 2, 2, device=device, for_loop=for_loop))  # gradients, Adam's state, libraries
    idle = _held(device)
    found = []
    for size in sizes:
        _forget_peak(device)
        if axis == LONG_DIALOGUE:
            batch = shaped(1, 500, 64, device=device, for_loop=for_loop)
        else:
            batch = sized(axis, size, device=device, for_loop=for_loop)
        candidate.train(batch)
        del batch
        found.append(_peak(device))
    return idle, found


def _held(device: torch.device) -> float:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def _peak(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident_peak()


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    # Forgets the peak of the imports; where that is forbidden small sizes show it: too much, never too little.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _resident_peak() -> float:
    # Not psutil, which knows no peak on Linux. Not getrusage: a child's ru_maxrss starts from its parent's, which is
    # large.
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024.0 * int(line.split()[1])


def add_peaks(
    growth: dict[str, dict[str, Any]], device: torch.device, progress: Progress, *, quick: bool, threads: int
) -> None:
    """Add to each row its peak above what the process held before. Full runs only."""
    if quick:
        return
    task = progress.add_task("peak memory", total=len(AXES) * len(SYSTEMS))
    for axis in AXES:
        for system in SYSTEMS:
            sizes = sizes_for(system, axis, quick=quick)
            measured = peaks(system, axis, sizes, device, threads)
            progress.advance(task)
            if measured is None:
                continue
            by_size = dict(zip(sizes, measured[1], strict=True))
            for row in growth[axis]["rows"]:
                if row["system"] == system:
                    row["peak_megabytes"] = (by_size[row["size"]] - measured[0]) / 1e6


def long_dialogue(device: torch.device, progress: Progress, *, quick: bool, threads: int) -> dict[str, Any]:
    """Peak gigabytes of the whole process for a train step over one dialogue of 500 turns and 64 parties."""
    systems = LIVES[:1] if quick else LIVES
    task = progress.add_task(LONG_DIALOGUE, total=len(systems))
    found: dict[str, float | None] = {}
    for system in systems:
        measured = peaks(system, LONG_DIALOGUE, (500,), device, threads)
        found[system] = None if measured is None else measured[1][0] / 1e9
        progress.advance(task)
    known = [value for value in found.values() if value is not None]
    return {
        "dialogue_500_turns_64_parties_gb": max(known) if known else None,
        "dialogue_500_turns_64_parties_gb_by_system": found,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """What the child process does: print the peaks as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("task", type=json.loads, help="JSON mapping with system, axis, sizes and threads")
    task = parser.parse_args(argv).task
    torch.set_num_threads(task["threads"])
    print(json.dumps(_peaks_here(task["system"], task["axis"], task["sizes"], torch.device("cpu"))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
