"""Train in two processes and in one, compare them, and kill one of two processes.

    python -m benchmarks.processes --record      # some minutes on 2 cores, into benchmarks/results/processes.json

Every case is trained three times on the bundled sample: in one process, in two (``torchrun``, gloo, CPU), and in one
with batches of half the size of which two are accumulated. Dropout is 0, because processes draw other random numbers.
Then one of two processes is killed (SIGKILL), and the run is continued.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors.numpy import load_file

from benchmarks.results_files import write_result
from benchmarks.training import RESULTS

#: Settings of all cases.
BASE: dict[str, Any] = {
    "features.audio": None,
    "features.text": {
        "encoder": "textcnn",
        "options": {"n_filters": 8, "embedding_dim": 16, "out_dim": 16, "dropout": 0.0},
    },
    "model.options.projection": {},
    "model.options.input_dropout": 0.0,
    "model.options.dropout": 0.0,
    "training.epochs": 2,
    "training.batch_size": 8,
    "training.device": "cpu",
    "training.threads": 1,
    "save_attention": False,
}
VALUES: dict[str, Any] = {
    "task": "regression",
    "data.reader": "table",
    "data.options": {"columns": {"targets": ["valence", "arousal"]}},
    "data.labels": "none",
    "loss.class_weights": "none",
    "loss.class_weight_power": 1.0,
}
#: Loss or option → its settings.
CASES: dict[str, dict[str, Any]] = {
    "negative log-likelihood, class weights": {},
    "the same, label smoothing, focal": {"loss.label_smoothing": 0.1, "loss.focal_gamma": 2.0},
    "pseudo-focal": {"loss.kind": "pseudo-focal", "loss.focal_gamma": 2.5},
    "binary": {"loss.kind": "binary"},
    "with the contrastive loss": {"loss.contrastive.weight": 0.5},
    "with adversarial training": {"training.adversarial": {"epsilon": 1.0, "rate": 1.0}},
    "averaged weights, L2": {"training.ema_decay": 0.9, "optimizer.l2": {"head": 0.01}},
    "classes downsampled": {"training.balance": "downsample"},
    "batches of like length": {"training.sampling": "bucketed"},
    "last batch of one dialogue": {"training.batch_size": 59},
    "mean squared error": {**VALUES, "loss.kind": "mse"},
    "1 − CCC": {**VALUES, "loss.kind": "ccc"},
    "bf16": {"training.precision": "bf16"},
}
#: Cases whose accumulated batches are not the larger batch, and why.
NOT_ACCUMULATED = {
    "with the contrastive loss": "pairs within a batch only",
    "1 − CCC": "one CCC for each batch",
    "batches of like length": "other dialogues share a batch",
    "last batch of one dialogue": "its batch size is odd",
}
KILL_AT_STEP = 13
LAUNCHERS = {
    "torchrun": ["torchrun", "--standalone", "--nproc_per_node", "2"],
    "accelerate launch": ["accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                          "--mixed_precision", "no", "--dynamo_backend", "no"],
}  # fmt: skip
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def train_all(folder: Path, *, accumulate: bool) -> None:
    """Train every case into a folder, in this process and those that its launcher has started."""
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.run import train

    for name, settings in CASES.items():
        if accumulate and name in NOT_ACCUMULATED:
            continue
        values = {**BASE, **settings}
        if "data.reader" in values:
            values["data.path"] = str((folder.parent / "values.csv").resolve())
        if accumulate:
            values |= {"training.batch_size": values["training.batch_size"] // 2, "training.accumulate": 2}
        resume = (folder / name / "config.yaml").is_file()  # of a measurement that was stopped
        train(apply_overrides(load_preset("quickstart"), values), folder / name, progress=False, resume=resume)


def write_values(path: Path) -> None:
    """Write a table of 60 dialogues with two values for each turn, which follow from its words."""
    rng = np.random.default_rng(1)
    words = ("no stop never", "fine okay sure", "great lovely yes")
    lines = ["split,dialogue,speaker,text,valence,arousal"]
    for number in range(60):
        split = "train" if number < 40 else "dev" if number < 50 else "test"
        for _ in range(int(rng.integers(1, 8))):
            mood = int(rng.integers(3))
            values = rng.normal((mood, 2 - mood), 0.3)
            text = " ".join(rng.choice(words[mood].split(), size=4))
            lines.append(f"{split},d{number},{rng.choice(['Ann', 'Bo'])},{text},{values[0]:.3f},{values[1]:.3f}")
    path.write_text("\n".join(lines) + "\n")


def rows_of(run: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of one kind in metrics.jsonl."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def largest_differences(one: Path, other: Path) -> dict[str, float]:
    """Return the largest difference of the losses of steps, of the losses on dev, and of the weights."""

    def of_rows(kind: str, key: str) -> float:
        pairs = zip(rows_of(one, kind), rows_of(other, kind), strict=True)
        return max(abs(first[key] - second[key]) for first, second in pairs)

    weights = [load_file(run / "model" / "model.safetensors") for run in (one, other)]
    return {
        "step_loss": of_rows("step", "loss"),
        "dev_loss": of_rows("epoch", "dev_loss"),
        "weights": max(float(np.abs(value - weights[1][name]).max()) for name, value in weights[0].items()),
    }


def equality(folder: Path) -> list[dict[str, Any]]:
    """Train every case in one process, in two, and with accumulated batches; compare the losses and the weights."""
    if not (folder / "values.csv").is_file():
        write_values(folder / "values.csv")
    child = ["-m", "benchmarks.processes", "--child"]
    for name, launcher, more in (
        ("one", [sys.executable], []),
        ("two", LAUNCHERS["torchrun"], []),
        ("accumulated", [sys.executable], ["--accumulate"]),
    ):
        subprocess.run([*launcher, *child, str(folder / name), *more], check=True, env=_ENVIRONMENT)
    rows = []
    for name in CASES:
        row: dict[str, Any] = {"case": name, "steps": len(rows_of(folder / "one" / name, "step"))}
        row["two_processes"] = largest_differences(folder / "one" / name, folder / "two" / name)
        if name in NOT_ACCUMULATED:
            row["not_accumulated"] = NOT_ACCUMULATED[name]
        else:
            row["accumulated"] = largest_differences(folder / "one" / name, folder / "accumulated" / name)
        rows.append(row)
    return rows


def training(launcher: str, out: Path, *, resume: bool = False) -> list[str]:
    """Return the command that trains the sample in two processes."""
    settings = ["--training.epochs", "12", "--training.checkpoint_every_steps", "4", "--training.device", "cpu"]
    how = ["--resume", str(out)] if resume else ["--preset", "quickstart", "--out", str(out), *settings]
    return [*LAUNCHERS[launcher], "-m", "dialogue_ser.cli.main", "train", *how]


def kill(launcher: str, rank: int, out: Path) -> dict[str, Any]:
    """Start a training in two processes, kill one in the middle, and measure when all others have ended.

    Raises:
        RuntimeError: the training ended before.
    """
    with out.with_suffix(".log").open("wb") as log:
        command = subprocess.Popen(training(launcher, out), stdout=log, stderr=log, env=_ENVIRONMENT)
    metrics = out / "metrics.jsonl"
    while not metrics.is_file() or metrics.read_bytes().count(b"\n") < KILL_AT_STEP:
        if command.poll() is not None:
            raise RuntimeError(f"the training ended too early: {log.name}")
        time.sleep(0.02)
    ranks = {
        process.environ().get("RANK"): process
        for process in psutil.Process(command.pid).children(recursive=True)
        if "train" in process.cmdline()
    }
    ranks[str(rank)].kill()
    started = time.monotonic()
    psutil.wait_procs([*ranks.values()], timeout=120)
    ranks_seconds = time.monotonic() - started
    status = command.wait(120)
    return {
        "launcher": launcher,
        "rank": rank,
        "ranks_gone_seconds": round(ranks_seconds, 1),
        "command_gone_seconds": round(time.monotonic() - started, 1),
        "status": status,
        "says_why": b"another process of this run has ended" in out.with_suffix(".log").read_bytes(),
    }


def contents(run: Path) -> tuple[list[dict[str, Any]], bytes, bytes]:
    """Return the losses, the weights and the predictions of a run."""
    steps = rows_of(run, "step")
    return steps, (run / "model" / "model.safetensors").read_bytes(), (run / "predictions.parquet").read_bytes()


def killed(folder: Path) -> list[dict[str, Any]]:
    """Kill each process under each launcher, continue the run, and compare it with one that nothing stopped."""
    whole = folder / "whole"
    if not (whole / "scores.json").is_file():
        shutil.rmtree(whole, ignore_errors=True)
        subprocess.run(training("torchrun", whole), check=True, env=_ENVIRONMENT, stdout=subprocess.DEVNULL)
    rows = []
    for launcher in LAUNCHERS:
        for rank in (0, 1):
            out = folder / f"{launcher.split()[0]}-{rank}"
            done = out.with_suffix(".json")
            if not done.is_file():
                shutil.rmtree(out, ignore_errors=True)
                row = kill(launcher, rank, out)
                resumed = training(launcher, out, resume=True)
                subprocess.run(resumed, check=True, env=_ENVIRONMENT, stdout=subprocess.DEVNULL)
                done.write_text(json.dumps({**row, "same_bits": contents(out) == contents(whole)}))
            rows.append(json.loads(done.read_text()))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/processes.json")
    parser.add_argument("--child", help="train all cases into this folder, and nothing else")
    parser.add_argument("--accumulate", action="store_true", help="with --child: two batches of half the size")
    parser.add_argument("--work", help="keep the runs in this folder; the same command continues there")
    args = parser.parse_args(argv)
    if args.child:
        train_all(Path(args.child), accumulate=args.accumulate)
        return 0
    with nullcontext(args.work) if args.work else tempfile.TemporaryDirectory() as name:
        result: Mapping[str, Any] = {
            "equality": equality(Path(name)),
            "killed": killed(Path(name)),
            "torch": torch.__version__,
            "command": "python -m benchmarks.processes --record",
        }
    print(json.dumps(result, indent=1))
    if args.record:
        print(f"written: {write_result(RESULTS, 'processes.json', dict(result))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
