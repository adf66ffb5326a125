"""Trains with a W&B that fails in every way that is known, and records what it costs.

    python -m benchmarks.wandb_faults --record            # five minutes on 2 cores, into benchmarks/results
    python -m benchmarks.wandb_faults --only offline --repeats 1

Each try is a training on a small made-up corpus, with scores at its end, and a server of ``server.py`` on loopback. The
seconds are those that the training waits for W&B: to start the mirror, and at its end.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from benchmarks.faults import trained
from benchmarks.results_files import Result, write_result
from benchmarks.training import RESULTS, machine
from benchmarks.wandb_faults.server import FakeServer, fake_server
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.sections.tables import render_markdown
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.state import TrainState
from dialogue_ser.training.record.mirror import process as process_module
from dialogue_ser.training.record.mirror.offline_file import records
from dialogue_ser.training.record.mirror.process import WandbMirror
from dialogue_ser.training.run import train

FILE = "wandb-faults.json"
NOTHING = "no W&B"
_CLOSED = "http://127.0.0.1:9"
_EPOCHS = 30
_EPOCH_OF_FAULT = 2
_SECONDS_TO_END = 5.0
_MOST_SECONDS_TO_A_FAULT = 90.0
_TIMES = ("seconds", "peak_memory_bytes")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way in which W&B behaves.

    Args:
        mode: the setting ``wandb.mode``.
        server: kind of the server; "" = nobody listens.
        becomes: kind of the server from the first epoch on.
        has_key: whether there is a key.
        kills: W&B's service is killed after the first epoch.
        kibibytes: largest file that W&B can write.
        delay_seconds: how long the server takes for an upload.
    """

    mode: str = "online"
    server: str = "live"
    becomes: str = ""
    has_key: bool = True
    kills: bool = False
    kibibytes: int = 0
    delay_seconds: float = 0.0


KINDS: Mapping[str, Kind] = {
    NOTHING: Kind(mode="disabled"),
    "mode offline": Kind(mode="offline"),
    "a server that works": Kind(),
    "a server that takes 3 s for every upload": Kind(delay_seconds=3.0),
    "nobody listens": Kind(server=""),
    "the server accepts and never answers": Kind(server="silent"),
    "the server answers with error 500": Kind(server="error"),
    "the server refuses the key (401)": Kind(server="refusing"),
    "there is no key": Kind(has_key=False),
    "the server falls silent after an epoch": Kind(becomes="silent"),
    "W&B's service is killed after an epoch": Kind(kills=True),
    "the disk is full, mode offline": Kind(mode="offline", kibibytes=16),
}


def one_try(kind: Kind, config: RunConfig, folder: Path) -> dict[str, Any]:
    """Train once; return what came of it.

    Args:
        kind: how W&B behaves.
        config: configuration of the training.
        folder: the run directory.
    """
    said, waited, seen = _Said(), list[float](), dict[int, psutil.Process]()
    with ExitStack() as stack:
        server = stack.enter_context(fake_server(kind.server, kind.delay_seconds)) if kind.server else None
        stack.enter_context(mock.patch.dict(os.environ, _environment(kind, server, folder), clear=True))
        for name in ("start", "finish"):
            stack.enter_context(mock.patch.object(WandbMirror, name, _timed(getattr(WandbMirror, name), waited)))
        if kind.kibibytes:
            stack.enter_context(mock.patch.object(sys, "executable", _small_disk(kind.kibibytes, folder.parent)))
        process_module.logger.addHandler(said)
        stack.callback(process_module.logger.removeHandler, said)
        is_over, has_failed = threading.Event(), threading.Event()
        if not (kind.becomes or kind.kills):
            has_failed.set()
        watcher = threading.Thread(target=_interfere, args=(kind, server, seen, is_over, has_failed))
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(is_over.set)
        wandb = replace(config.wandb, mode=kind.mode)
        run = replace(config, wandb=wandb)
        train(run, folder, progress=False, complete=evaluate_run, callbacks=[_WaitForFault(has_failed)])
    return {
        "seconds": round(sum(waited), 2),
        "warnings": len(said.lines),
        "warning": said.lines[0].split(". metrics.jsonl")[0].replace(str(folder), "RUN") if said.lines else "",
        "processes_left": _left(list(seen.values())),
        "metrics": _metrics(folder),
        "lines": _lines(folder, server),
    }


def _left(started: list[psutil.Process]) -> int:
    """Return how many processes have not ended some seconds after the training."""
    _, alive = psutil.wait_procs(started, timeout=_SECONDS_TO_END)
    return sum(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in alive)


class _WaitForFault(Callback):
    """Makes the training wait after the second epoch until W&B has failed in the middle of the run.

    Args:
        has_failed: is set when W&B has failed, or if it is not to fail.

    Raises:
        TimeoutError: W&B has not failed in time, so the try says nothing.
    """

    def __init__(self, has_failed: threading.Event) -> None:
        self.has_failed = has_failed

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Wait. W&B keeps the last line until a further one comes, so the first epoch arrives during the second one."""
        if row["epoch"] < _EPOCH_OF_FAULT:
            return
        if not self.has_failed.wait(_MOST_SECONDS_TO_A_FAULT):
            raise TimeoutError(f"no epoch has arrived at the server within {_MOST_SECONDS_TO_A_FAULT:g} s")


class _Said(logging.Handler):
    """Keeps the warnings of the mirror."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.lines.append(record.getMessage())


def _timed(method: Callable[[WandbMirror], None], waited: list[float]) -> Callable[[WandbMirror], None]:
    """Return the method with a clock."""

    def call(self: WandbMirror) -> None:
        started = time.monotonic()
        method(self)
        waited.append(time.monotonic() - started)

    return call


def _environment(kind: Kind, server: FakeServer | None, folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    wandb = {"WANDB_BASE_URL": server.url if server else _CLOSED, "WANDB_CONFIG_DIR": str(folder / "none")}
    return own | wandb | ({"WANDB_API_KEY": "0" * 40} if kind.has_key else {"HOME": str(folder.parent)})


def _small_disk(kibibytes: int, folder: Path) -> str:
    """Return a Python that can write only small files, as on a full disk. Only the mirror is started with it."""
    limited = folder / f"python-{kibibytes}"
    limited.write_text(f'#!/bin/sh\nulimit -f {2 * kibibytes}\nexec {sys.executable} "$@"\n', encoding="utf-8")
    limited.chmod(0o755)
    return str(limited)


def _interfere(
    kind: Kind,
    server: FakeServer | None,
    seen: dict[int, psutil.Process],
    is_over: threading.Event,
    has_failed: threading.Event,
) -> None:
    """Note all processes that are started. Let the server or W&B's service fail, once the first epoch has arrived."""
    while not is_over.wait(0.3):
        seen |= {one.pid: one for one in psutil.Process().children(recursive=True)}
        if has_failed.is_set() or server is None or not any("dev/loss" in line for line in server.history):
            continue
        server.kind = kind.becomes or server.kind
        for one in list(seen.values()) if kind.kills else ():
            with suppress(psutil.Error):
                if "wandb-core" in " ".join(one.cmdline()):
                    one.kill()
        has_failed.set()


def _metrics(folder: Path) -> list[dict[str, Any]]:
    """Return metrics.jsonl without what differs from run to run."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name not in _TIMES} for row in rows]


def _lines(folder: Path, server: FakeServer | None) -> int:
    """Return how many lines of metrics.jsonl are in W&B's history: at the server, or in a file for ``wandb sync``."""
    counts = [len({line["_step"] for line in server.history if _is_line(line)})] if server else [0]
    for file in (folder / "wandb").glob("*run-*/*.wandb"):
        try:
            steps = {
                record.history.step.num
                for record in records(file)
                if record.WhichOneof("record_type") == "history"
                and any("step" in (item.key, *item.nested_key) for item in record.history.item)
            }
        except ValueError:
            continue
        counts.append(len(steps))
    return max(counts)


def _is_line(line: Mapping[str, Any]) -> bool:
    return "step" in line


def measure(names: Sequence[str], repeats: int, out: Path) -> list[dict[str, Any]]:
    """Do all tries; return one row for each kind."""
    trained.write_corpus(out)
    settings = trained.settings(out, "text", 1)
    settings["training"]["epochs"] = _EPOCHS
    config = config_from_dict(settings)
    tries: dict[str, list[dict[str, Any]]] = {name: [] for name in (NOTHING, *names)}
    for number in range(repeats):
        for place, (name, done) in enumerate(tries.items()):
            done.append(one_try(KINDS[name], config, out / f"{place}-{number}"))
            print(name, {key: value for key, value in done[-1].items() if key != "metrics"}, flush=True)
    return [_row(name, done, tries[NOTHING][0]) for name, done in tries.items()]


def _row(name: str, done: Sequence[Mapping[str, Any]], plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": name,
        "seconds": [one["seconds"] for one in done],
        "same_metrics": all(one["metrics"] == plain["metrics"] for one in done),
        "warnings": [one["warnings"] for one in done],
        "warning": done[-1]["warning"],
        "processes_left": max(one["processes_left"] for one in done),
        "lines": min(one["lines"] for one in done),
        "of_lines": sum(row["kind"] != "summary" for row in plain["metrics"]),
    }


def render(result: Result) -> str:
    """The table of the documentation."""
    rows = [
        {
            "W&B": row["kind"],
            "same metrics": "yes" if row["same_metrics"] else "no",
            "warnings": "/".join(map(str, sorted(set(row["warnings"])))),
            "seconds waited": f"{statistics.median(row['seconds']):.1f} (most {max(row['seconds']):.1f})",
            "lines that W&B has or can be sent": f"{row['lines']} of {row['of_lines']}",
            "processes left": str(row["processes_left"]),
        }
        for row in result["rows"]
        if row["kind"] != NOTHING
    ]
    n_tries, n_cores = len(result["rows"][0]["seconds"]), result["machine"]["cpu_count"]
    tries = "one try" if n_tries == 1 else f"medians of {n_tries} tries"
    machine_then = f"{n_cores} cores, with a load of {result['load']:.1f} when it began"
    return (
        f"{render_markdown(rows)}\n\nSeconds: {tries} of each kind, in turn, on {machine_then}; "
        f"wandb {result['versions']['wandb']}. `{result['command']}`"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the result; return 1 if a metric changed or a process was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(KINDS), help="a part of the names of kinds")
    parser.add_argument("--repeats", type=int, default=3, help="tries of each kind")
    parser.add_argument("--out", type=Path, default=Path("runs/wandb-faults"), help="where the runs lie")
    parser.add_argument("--record", action="store_true", help=f"write benchmarks/results/{FILE}")
    args = parser.parse_args(argv)
    names = [name for name in KINDS if name != NOTHING and any(part in name for part in args.only)]
    given = " ".join(sys.argv[1:] if argv is None else argv)
    out = args.out / time.strftime("%Y%m%d-%H%M%S")
    out.mkdir(parents=True)
    load = os.getloadavg()[0]
    rows = measure(names, args.repeats, out.resolve())
    result = {
        "what": "one small training with a W&B that fails",
        "load": round(load, 1),
        "rows": rows,
        "machine": machine(),
        "versions": {name: version(name) for name in ("wandb", "torch")},
        "command": f"python -m benchmarks.wandb_faults {given}".strip(),
    }
    target = write_result(RESULTS if args.record else out, FILE, result)
    print(f"{render(result)}\nwritten: {target}")
    return 0 if all(row["same_metrics"] and not row["processes_left"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
