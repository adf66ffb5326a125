"""The whole run: the parts one after the other, each in its own process with its own time limit.

    python -m benchmarks.gpu                          # on a machine with a GPU: at most 8 minutes
    python -m benchmarks.gpu --device cpu --quick     # whether everything runs: some minutes, no GPU
    python -m benchmarks.gpu --parts kernels waiting  # only these

The run writes gpu.jsonl (one line when a part ends) and gpu.log (the output of the parts) into --out. A part that fails
or takes too long is recorded, and the next part begins. The exit status is 0, or 1 if a part failed. This process
imports neither torch nor the library, so it continues if they fail.
"""

import argparse
import json
import os
import resource
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.gpu.parts import CPU_PATIENCE, PARTS, Part
from benchmarks.gpu.process import Ended, run_limited
from benchmarks.gpu.record import Record

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "gpu"
TRIED = ROOT / "runs" / "gpu"
BAD = ("failed", "timed out")
ON_CPU = {"OMP_NUM_THREADS": "1"}
"""Small products on several threads crawl where other programs use the processors too."""


def parse(argv: Sequence[str] | None, parts: Sequence[Part]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [part.name for part in parts]
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see whether everything runs")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names))
    parser.add_argument(
        "--out",
        type=Path,
        help="folder (the environment variable OUT where it is set, else benchmarks/results/gpu; runs/gpu for a run on "
        "the CPU or a quick one)",
    )
    args = parser.parse_args(argv)
    if args.out is None:
        is_whole = args.device == "cuda" and not args.quick
        args.out = Path(os.environ.get("OUT") or (RESULTS if is_whole else TRIED))
    return args


def main(argv: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Run the parts, write the record and print it; see the docstring of the module."""
    args = parse(argv, parts)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    record, started = Record(args.out.resolve()), time.monotonic()
    given = sys.argv[1:] if argv is None else argv
    record.add(
        {
            "kind": "run",
            "command": shlex.join(["python", "-m", "benchmarks.gpu", *given]),
            "device": args.device,
            "is_quick": args.quick,
            "python": sys.version.split()[0],
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    )
    rows = []
    before = signal.signal(signal.SIGTERM, _stop)  # so that the part under way is ended too
    try:
        for part in parts:
            if part.name in args.parts:
                rows.append(_run(part, args.device, args.quick, record))
                print(_line(rows[-1]), flush=True)
    finally:
        signal.signal(signal.SIGTERM, before)
        counts = {status: sum(row["status"] == status for row in rows) for status in ("ok", "skipped", *BAD)}
        missing = [name for name in args.parts if name not in [row["name"] for row in rows]]
        seconds = round(time.monotonic() - started, 1)
        record.add({"kind": "end", "seconds": seconds, "counts": counts, "not_begun_or_interrupted": missing})
    print(_summary(rows, seconds, record))
    return int(any(row["status"] in BAD for row in rows))


def _run(part: Part, device: str, is_quick: bool, record: Record) -> dict[str, Any]:
    """Run one part and return its row. The row is then on disk."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, *part.arguments(device, is_quick, result)]
        limit = part.seconds * (CPU_PATIENCE if device == "cpu" else 1)
        environment = {**part.environment, **(ON_CPU if device == "cpu" else {})}
        ended = run_limited(command, seconds=limit, log=record.log, cwd=ROOT, environment=environment)
        found = _read(result)
    status, why = _status(part, device, ended, found, limit)
    row = {
        "kind": "part",
        "name": part.name,
        "what": part.what,
        "status": status,
        "why": why,
        "seconds": round(ended.seconds, 1),
        "limit_seconds": limit,
        "command": shlex.join(["python", *command[1:]]),
        "environment": environment,
        "headline": _headline(part, found),
        "result": found,
        "tail": ended.tail if status in BAD else "",
    }
    record.add(row)
    return row


def _status(part: Part, device: str, ended: Ended, found: dict[str, Any] | None, limit: float) -> tuple[str, str]:
    """Status (ok, failed, timed out, skipped) and the reason."""
    if ended.status is None:
        return "timed out", f"stopped after {limit:g} s"
    if ended.status:
        return "failed", f"exit status {ended.status}"
    if found is None:
        return "failed", "it left no result"
    if device == "cpu" and part.needs_cuda:
        return "skipped", f"needs CUDA: {part.needs_cuda}"
    return "ok", ""


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _headline(part: Part, found: dict[str, Any] | None) -> str:
    try:
        return part.headline(found or {})
    except (KeyError, TypeError, ValueError):  # a part that was stopped has not found everything
        return ""


def _line(row: dict[str, Any]) -> str:
    """The lines to print when a part ends. If it failed, they have the end of its output."""
    told = "; ".join(text for text in (row["why"], row["headline"]) if text)
    shown = f"{row['name']:<16} {row['status']:<9} {row['seconds']:>6.1f} s  {told}"
    return shown + (f"\n{row['tail'].rstrip()}\n" if row["status"] in BAD else "")


def _summary(rows: Sequence[dict[str, Any]], seconds: float, record: Record) -> str:
    lines = ["", f"{'part':<16} {'status':<9} {'seconds':>8}  limit"]
    lines += [f"{row['name']:<16} {row['status']:<9} {row['seconds']:>8.1f}  {row['limit_seconds']:g}" for row in rows]
    return "\n".join([*lines, f"{seconds:.0f} s in all; written: {record.path} and {record.log.name}"])


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
