"""Kill a sweep five times, continue it, and compare its trials with those of a sweep that nothing stopped.

    python -m benchmarks.sweeps.killed_sweep --record    # some minutes on 2 cores

The sweep draws 30 trials of EmotionRNN on the bundled sample, two at a time. Each time, SIGKILL ends one of the
processes that train, and some seconds later the command itself. The processes of the command must be gone within 30
seconds. ``--engines`` then does one grid with one worker, with two, and on Ray, and compares the trials.
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

COMMAND = """\
command: ['${env}', dialogue-ser, train, --preset, quickstart, --features.audio=null, --features.text.encoder=textcnn,
  '--features.text.transforms=[]', --features.text.options.n_filters=8, --features.text.options.embedding_dim=16,
  --features.text.options.out_dim=16, '--model.options.projection={}', --training.epochs=4, --save_attention=false,
  '${args}']
metric: {name: dev/weighted_f1, goal: maximize}
"""
SWEEP = f"""\
{COMMAND}method: random
run_cap: 30
parameters:
  optimizer.learning_rate: {{distribution: log_uniform_values, min: 0.0005, max: 0.05}}
  model.options.hidden_dim: {{values: [8, 16, 32]}}
"""
GRID = f"""\
{COMMAND}method: grid
parameters:
  optimizer.learning_rate: {{values: [0.001, 0.01, 0.03]}}
  model.options.hidden_dim: {{values: [8, 16]}}
"""
#: Numbers of ended trials at which the sweep is killed.
KILLS = (3, 8, 14, 19, 25)
MOST_SECONDS = 30.0


def start(file: Path, out: Path, *flags: str) -> "subprocess.Popen[bytes]":
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "dialogue_ser.cli.main", "sweep", "run", str(file), "--out", str(out), *flags]
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def ended(out: Path) -> int:
    """How many trials have ended."""
    return sum(file.read_bytes().count(b'"summary"') for file in out.glob("0*/metrics.jsonl"))


def kill_at(number: int, file: Path, out: Path) -> dict[str, Any]:
    """Start the command, kill one of its workers when some trials have ended, then the command.

    Raises:
        RuntimeError: the command ended before, or a process of it lived on.
    """
    process = start(file, out, "--workers", "2")
    parent = psutil.Process(process.pid)
    while ended(out) < number or not parent.children():
        if process.poll() is not None:
            raise RuntimeError(f"the sweep ended before {number} trials: {out.with_suffix('.log')}")
        time.sleep(0.05)
    parent.children()[0].kill()
    time.sleep(3.0)  # the trial of the killed worker is taken up again
    children = parent.children(recursive=True)
    process.kill()
    process.wait()
    begun = time.monotonic()
    _, alive = psutil.wait_procs(children, timeout=MOST_SECONDS)
    if alive:
        raise RuntimeError(f"{len(alive)} processes lived on for {MOST_SECONDS:.0f} s after the command was killed")
    return {
        "trials_ended": ended(out),
        "processes": len(children),
        "seconds_until_they_ended": round(time.monotonic() - begun, 2),
    }


def results_of(file: Path, out: Path) -> dict[str, Any]:
    """What ``sweep show`` writes.

    Raises:
        RuntimeError: it fails.
    """
    command = [sys.executable, "-m", "dialogue_ser.cli.main", "sweep", "show", str(file), "--out", str(out)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        raise RuntimeError(f"sweep show failed for {out}")
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def trials_of(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials without what differs from time to time."""
    kept = ("number", "state", "values", "score", "best_epoch")
    return [{name: trial[name] for name in kept} for trial in results["trials"]]


def done(file: Path, out: Path, *flags: str) -> float:
    """Run the command to its end; return its seconds.

    Raises:
        RuntimeError: it fails.
    """
    begun = time.monotonic()
    if start(file, out, *flags).wait() != 0:
        raise RuntimeError(f"the sweep failed: {out.with_suffix('.log')}")
    return time.monotonic() - begun


def measure_kills(folder: Path) -> dict[str, Any]:
    """Run the sweep without and with kills, and compare the trials.

    Raises:
        RuntimeError: a trial is missing or there twice, the best differs, or a process lived on.
    """
    file = folder / "killed.yaml"
    file.write_text(SWEEP)
    killed, whole = folder / "killed", folder / "whole"
    kills = [kill_at(number, file, killed) for number in KILLS]
    done(file, killed, "--workers", "2")
    seconds = done(file, whole, "--workers", "2")
    one, other = results_of(file, killed), results_of(file, whole)
    if trials_of(one) != trials_of(other) or one["best"] != other["best"]:
        raise RuntimeError(f"the trials differ: {killed}/results.json and {whole}/results.json")
    runs = sorted(path.name for path in killed.glob("0*"))
    if len(runs) != len(one["trials"]):
        raise RuntimeError(f"{len(runs)} run directories for {len(one['trials'])} trials")
    return {
        "kills": kills,
        "trials": len(one["trials"]),
        "states": one["counts"],
        "same_trials": True,
        "best": {"trial": one["best"], "score": one["trials"][one["best"]]["score"]},
        "seconds_without_kills": round(seconds, 1),
    }


def measure_engines(folder: Path, *, with_ray: bool) -> dict[str, Any]:
    """Do one grid with one worker, with two, and on Ray.

    Raises:
        RuntimeError: the trials differ.
    """
    file = folder / "grid.yaml"
    file.write_text(GRID)
    ways = {"1 worker": ("--workers", "1"), "2 workers": ("--workers", "2")}
    ways |= {"Ray, 2 workers": ("--workers", "2", "--engine", "ray")} if with_ray else {}
    rows, first = [], None
    for name, flags in ways.items():
        out = folder / f"grid-{len(rows)}"
        seconds = done(file, out, *flags)
        trials = trials_of(results_of(file, out))
        first = first or trials
        if trials != first:
            raise RuntimeError(f"the trials with {name} differ: {out}/results.json")
        rows.append(
            {"way": name, "seconds": round(seconds, 1), "trials_per_minute": round(60 * len(trials) / seconds, 2)}
        )
    return {"points": len(first or ()), "same_trials": True, "ways": rows}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/killed-sweep.json")
    parser.add_argument("--engines", choices=("none", "local", "ray"), default="ray", help="engines that do the grid")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        result = measure_kills(Path(folder))
        if args.engines != "none":
            result["grid"] = measure_engines(Path(folder), with_ray=args.engines == "ray")
    result["command"] = "python -m benchmarks.sweeps.killed_sweep --record"
    print(json.dumps(result, indent=1))
    if args.record:
        print(f"written: {write_result(RESULTS, 'killed-sweep.json', result)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
