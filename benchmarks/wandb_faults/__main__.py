"""Trains with a W&B that fails in every way that is known, and records what it costs.

    python -m benchmarks.wandb_faults --record            # ten minutes on 2 cores, into benchmarks/results
    python -m benchmarks.wandb_faults --only offline --repeats 1

Each try is one ``dialogue-ser train`` on a small made-up corpus, and a server of ``server.py`` on loopback. Seconds are
those of the whole command. The tries of all kinds take turns, and each round has a run without W&B to compare with.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.faults import trained
from benchmarks.results_files import Result, write_result
from benchmarks.training import RESULTS, machine
from benchmarks.wandb_faults.server import FakeServer, fake_server
from dialogue_ser.report.sections.tables import render_markdown
from dialogue_ser.training.record.mirror.offline_file import records

FILE = "wandb-faults.json"
NOTHING = "no W&B"
_CLOSED = "http://127.0.0.1:9"
_CONFIG = "training.yaml"
_EPOCHS = 15
_TIMES = ("seconds", "peak_memory_bytes")
MOST_SECONDS = 300.0


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


def one_try(kind: Kind, folder: Path) -> dict[str, Any]:
    """Train once; return what came of it.

    Args:
        kind: how W&B behaves.
        folder: the run directory.
    """
    with ExitStack() as stack:
        server = stack.enter_context(fake_server(kind.server, kind.delay_seconds)) if kind.server else None
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", *_command(kind, folder.parent / _CONFIG), "--out", str(folder)],
            env=_environment(kind, server, folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        seen: dict[int, psutil.Process] = {}
        while process.poll() is None and time.monotonic() - started < MOST_SECONDS:
            _watch(process.pid, seen)
            _interfere(kind, server, folder, seen)
            time.sleep(0.3)
        seconds = time.monotonic() - started
        _, said = process.communicate()
        found = _lines(folder, server)
    warnings = [line for line in said.splitlines() if line.startswith("W&B") and "is uploaded to" not in line]
    return {
        "status": process.returncode,
        "seconds": round(seconds, 2),
        "warnings": len(warnings),
        "warning": warnings[0].split(". metrics.jsonl")[0].replace(str(folder), "RUN") if warnings else "",
        "processes_left": sum(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in seen.values()),
        "metrics": _metrics(folder),
        "lines": found,
    }


def _command(kind: Kind, config: Path) -> list[str]:
    program = (
        ["benchmarks.wandb_faults.small_disk", str(kind.kibibytes)] if kind.kibibytes else ["dialogue_ser.cli.main"]
    )
    return [*program, "train", "--config", str(config), "--wandb.mode", kind.mode]


def _environment(kind: Kind, server: FakeServer | None, folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    wandb = {"WANDB_BASE_URL": server.url if server else _CLOSED, "WANDB_CONFIG_DIR": str(folder / "none")}
    return own | wandb | ({"WANDB_API_KEY": "0" * 40} if kind.has_key else {"HOME": str(folder.parent)})


def _watch(pid: int, seen: dict[int, psutil.Process]) -> None:
    try:
        seen |= {one.pid: one for one in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return


def _interfere(kind: Kind, server: FakeServer | None, folder: Path, seen: Mapping[int, psutil.Process]) -> None:
    """Let the server or W&B's service fail, once the first epoch has reached W&B."""
    if not (kind.becomes or kind.kills) or server is None or not any("dev/loss" in line for line in server.history):
        return
    server.kind = kind.becomes or server.kind
    if kind.kills:
        for one in list(seen.values()):
            try:
                if "wandb-core" in " ".join(one.cmdline()):
                    one.kill()
            except psutil.NoSuchProcess:
                continue


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
    tries: dict[str, list[dict[str, Any]]] = {name: [] for name in (NOTHING, *names) if name in KINDS}
    trained.write_corpus(out)
    settings = trained.settings(out, "text", 1)
    settings["training"]["epochs"] = _EPOCHS
    (out / _CONFIG).write_text(yaml.safe_dump(settings), encoding="utf-8")
    for number in range(repeats):
        for place, (name, done) in enumerate(tries.items()):
            done.append(one_try(KINDS[name], out / f"{place}-{number}"))
            print(name, {key: value for key, value in done[-1].items() if key != "metrics"}, flush=True)
    return [_row(name, done, tries[NOTHING]) for name, done in tries.items()]


def _row(name: str, done: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    added = [one["seconds"] - other["seconds"] for one, other in zip(done, plain, strict=True)]
    return {
        "kind": name,
        "seconds": [one["seconds"] for one in done],
        "added_seconds": round(statistics.median(added), 1),
        "most_added_seconds": round(max(added), 1),
        "same_metrics": all(one["status"] == 0 and one["metrics"] == plain[0]["metrics"] for one in done),
        "warnings": [one["warnings"] for one in done],
        "warning": done[-1]["warning"],
        "processes_left": max(one["processes_left"] for one in done),
        "lines": min(one["lines"] for one in done),
        "of_lines": sum(row["kind"] != "summary" for row in done[0]["metrics"]),
    }


def render(result: Result) -> str:
    """The table of the documentation."""
    rows = [
        {
            "W&B": row["kind"],
            "same metrics": "yes" if row["same_metrics"] else "no",
            "warnings": "/".join(map(str, sorted(set(row["warnings"])))),
            "seconds added (most)": "–"
            if row["kind"] == NOTHING
            else f"{row['added_seconds']:.1f} ({row['most_added_seconds']:.1f})",
            "lines that W&B has or can be sent": "–"
            if row["kind"] == NOTHING
            else f"{row['lines']} of {row['of_lines']}",
            "processes left": str(row["processes_left"]),
        }
        for row in result["rows"]
    ]
    plain, n_cores = result["rows"][0]["seconds"], result["machine"]["cpu_count"]
    tries = "one try" if len(plain) == 1 else f"medians of {len(plain)} tries"
    return (
        f"{render_markdown(rows)}\n\nThe training takes {statistics.median(plain):.0f} s; {tries} of each kind, "
        f"in turn, on {n_cores} cores with other work; wandb {result['versions']['wandb']}. `{result['command']}`"
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
    rows = measure(names, args.repeats, out.resolve())
    result = {
        "what": "one small training with a W&B that fails",
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
