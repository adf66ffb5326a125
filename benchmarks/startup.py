"""The time of a command from a cold start, and the speed of MiniLM: this checkout against another one.

    python -m benchmarks.startup --against ../before --record    # some minutes, into benchmarks/results
    python -m benchmarks.startup --runs 1 --texts 200            # whether it runs

Every figure is for one process, from its start to its end, as the operating system counts it. One run of each checkout
warms the disk cache. Then the checkouts take turns. On a shared machine, processor time (user and system) says more
than clock time. The result is the fastest run, with the median beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.results_files import write_result
from benchmarks.speed.contest import load_average, machine
from benchmarks.training import RESULTS

ROOT = Path(__file__).parents[1]
PACKAGES = ("dialogue-ser", "torch", "transformers", "tokenizers", "safetensors", "pandas")
TURNS = "speaker,text\nA,Oh my God!\nB,I am so happy for you.\nA,Thanks.\n"
MAIN = ("-m", "dialogue_ser.cli.main")  # what the console script runs
TRAIN = (*MAIN, "train", "--preset", "meld-text", "--data.reader", "sample", "--training.epochs", "1")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "python -c 'import torch', for comparison": ("-c", "import torch"),
    "python -c 'import dialogue_ser'": ("-c", "import dialogue_ser"),
    "dialogue-ser --help": (*MAIN, "--help"),
    "dialogue-ser train --preset meld-text --help": (*MAIN, "train", "--preset", "meld-text", "--help"),
    "dialogue-ser predict MODEL turns.csv": (*MAIN, "predict", "run", "turns.csv"),
}
ENCODE = """
import json, sys, tempfile, time
import torch
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
n_texts, n_threads = map(int, sys.argv[1:])
torch.set_num_threads(n_threads)
said = read_corpus("meld").splits["train"]
some, n = [], 0
for dialogue in said:
    if n < n_texts:
        some.append(dialogue)
        n += len(dialogue)
encoder = build_encoder("minilm", "text", {"layers": [2, 4, 6], "layer_merge": "concat"})
encoder.encode(said[-2:])  # loads the model
with tempfile.TemporaryDirectory() as folder:
    store, wall, cpu = FeatureStore(folder), time.perf_counter(), time.process_time()
    store.table(encoder, some, progress=False)
    print(json.dumps({"n": n, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
"""


def child_environment(checkout: Path, threads: int = 1) -> dict[str, str]:
    """Environment variables with which a process uses that checkout."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}


def timed(arguments: Sequence[str], checkout: Path, folder: Path) -> dict[str, float]:
    """Clock time and processor time of ``python arguments``, in seconds.

    Raises:
        RuntimeError: the command fails.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=child_environment(checkout), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it is reaped already
    wall = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} in {checkout} ended with status {process.returncode}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime}


def encoded(n_texts: int, threads: int, checkout: Path, folder: Path) -> dict[str, float]:
    """Seconds to encode the first texts of MELD train with ``minilm`` and an empty store, after loading the model."""
    done = subprocess.run(
        [sys.executable, "-c", ENCODE, str(n_texts), str(threads)],
        cwd=folder,
        env=child_environment(checkout, threads),
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def summary(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The minimum and the median of every figure, and all values.

    >>> summary([{"wall": 2.0}, {"wall": 1.0}, {"wall": 4.0}])
    {'wall': {'min': 1.0, 'median': 2.0, 'all': [2.0, 1.0, 4.0]}}
    """
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    return {
        name: {"min": min(values), "median": statistics.median(values), "all": values}
        for name, values in columns.items()
    }


def measure(checkouts: Mapping[str, Path], args: argparse.Namespace) -> dict[str, Any]:
    """Measure every command and every number of threads. The checkouts take turns."""
    commands, encoding = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "turns.csv").write_text(TURNS, encoding="utf-8")
        # By the older checkout: the newer one reads its models.
        timed([*TRAIN, "--out", "run"], next(iter(checkouts.values())), folder)
        for command, arguments in COMMANDS.items():
            for checkout in checkouts.values():
                timed(arguments, checkout, folder)
            rounds = [
                {key: timed(arguments, path, folder) for key, path in checkouts.items()} for _ in range(args.runs)
            ]
            commands.append({"command": command, **{key: summary([r[key] for r in rounds]) for key in checkouts}})
            print(json.dumps(commands[-1]), flush=True)
        for threads in args.threads:
            rounds = [
                {key: encoded(args.texts, threads, path, folder) for key, path in checkouts.items()}
                for _ in range(args.encodings)
            ]
            encoding.append({"threads": threads, **{key: summary([r[key] for r in rounds]) for key in checkouts}})
            print(json.dumps(encoding[-1]), flush=True)
    return {"commands": commands, "encoding": encoding}


def revision(checkout: Path) -> str:
    """The commit of the checkout, and whether files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of this repository: 'before' in the tables")
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each command")
    parser.add_argument("--texts", type=int, default=3000, help="about so many of MELD's training texts are encoded")
    parser.add_argument("--encodings", type=int, default=3, help="counted runs of encoding")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="torch threads of encoding")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the result goes without --record")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/startup.json")
    args = parser.parse_args(argv)
    checkouts = {"after": ROOT} if args.against is None else {"before": args.against.resolve(), "after": ROOT}
    of_machine = machine(torch.device("cpu"))
    result = {
        "what": "Whole processes from a cold start, and MiniLM on MELD's training texts, before and after",
        "command": f"python -m benchmarks.startup {' '.join(sys.argv[1:] if argv is None else argv)}".strip(),
        "revisions": {key: revision(path) for key, path in checkouts.items()},
        "versions": {name: version(name) for name in PACKAGES},
        **measure(checkouts, args),
        "machine": {**of_machine, "load_average_after": load_average()},
    }
    target = write_result(RESULTS if args.record else args.out, "startup.json", result)
    print(f"written: {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
