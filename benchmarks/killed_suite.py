"""Kill a suite three times, continue it, and compare its table with that of a suite that nothing stopped.

    python -m benchmarks.killed_suite --record      # some minutes on 2 cores, into benchmarks/results/killed-suite.json

The suite trains EmotionRNN and BiGRU on the bundled sample with two seeds, two runs at a time. SIGKILL ends the command
in the middle of runs. Its processes must be gone within 30 seconds.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.results_files import write_result
from benchmarks.training import RESULTS

SUITE = """\
name: killed
base: quickstart
seeds: [1, 2]
reference: blind
settings:
  features.audio: null
  features.text: {encoder: textcnn, options: {n_filters: 8, embedding_dim: 16, out_dim: 16}}
  model.options.projection: {}
  training.epochs: 8
systems:
  erc: {}
  blind: {model.name: bigru}
"""
#: Shares of all epochs at which the command is killed.
KILLS = (0.2, 0.5, 0.8)
N_EPOCHS = 4 * 8
MOST_SECONDS = 30.0


def start(folder: Path, out: Path) -> "subprocess.Popen[bytes]":
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "dialogue_ser.cli.main", "benchmark", str(folder / "suite.yaml")]
    with (folder / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen([*command, "--out", str(out), "--jobs", "2"], stdout=log, stderr=log)


def epochs_of(out: Path) -> int:
    """How many epochs all runs have finished."""
    files = out.glob("runs/*/*/metrics.jsonl")
    return sum(file.read_bytes().count(b'"kind": "epoch"') for file in files)


def kill_at(share: float, folder: Path, out: Path) -> dict[str, Any]:
    """Start the command, kill it when a share of the epochs is done, and wait until its processes are gone."""
    process = start(folder, out)
    while epochs_of(out) < share * N_EPOCHS:
        if process.poll() is not None:
            raise RuntimeError(f"the suite ended before {share:.0%} of its epochs: {folder / out.name}.log")
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    started = time.monotonic()
    _, alive = psutil.wait_procs(children, timeout=MOST_SECONDS)
    if alive:
        raise RuntimeError(f"{len(alive)} processes lived on for {MOST_SECONDS:.0f} s after their parent was killed")
    records = [json.loads(file.read_text()) for file in out.glob("jobs/*.json")]
    finished = sum(record["status"] == "finished" and not record["key"].startswith("features") for record in records)
    return {
        "epochs_done": epochs_of(out),
        "runs_finished": finished,
        "processes": len(children),
        "seconds_until_they_ended": round(time.monotonic() - started, 2),
    }


def scores_of(out: Path) -> list[dict[str, Any]]:
    """The rows of the table without what differs from time to time: seconds and memory."""
    rows = json.loads((out / "results.json").read_text())["rows"]
    return [{name: value for name, value in row.items() if name != "cost"} for row in rows]


def measure(folder: Path) -> dict[str, Any]:
    """Run the suite without and with kills, and compare the tables.

    Raises:
        RuntimeError: the tables differ, or a process lived on.
    """
    (folder / "suite.yaml").write_text(SUITE)
    whole, killed = folder / "whole", folder / "killed"
    kills = [kill_at(share, folder, killed) for share in KILLS]
    for out in (killed, whole):
        if start(folder, out).wait() != 0:
            raise RuntimeError(f"the suite failed: {folder / out.name}.log")
    if scores_of(killed) != scores_of(whole):
        raise RuntimeError(f"the tables differ: {killed}/table.md and {whole}/table.md")
    return {"kills": kills, "runs": 4, "same_table": True, "rows": scores_of(whole)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/killed-suite.json")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder))
    result["command"] = "python -m benchmarks.killed_suite --record"
    print(json.dumps(result["kills"], indent=1))
    print("the tables are the same")
    if args.record:
        print(f"written: {write_result(RESULTS, 'killed-suite.json', result)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
