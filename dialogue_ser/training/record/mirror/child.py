"""Send a run's metrics.jsonl to Weights & Biases (W&B), in a separate process beside the training.

``python -m dialogue_ser.training.record.mirror.child RUN_DIR`` reads the file while it grows. When the parent process
says that the run is complete, it sends the results and ends. When its parent process has ended, or on SIGTERM, it sends
the lines that are there and ends. It never sends audio, code or the command line, and texts only if the settings ask
for it. W&B itself reads its key from the environment or from netrc; this module neither reads nor writes it.

If the server cannot be used, or W&B's service dies, everything is written into the run directory as in the mode
offline, and the parent process is told why. Line n of metrics.jsonl always is step n of W&B's history. So a run that is
resumed sends no line twice and leaves none out.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.foreign_text.json_text import parse_json
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.mirror.content import best_of, config_of, history_of, summary_of
from dialogue_ser.training.record.mirror.messages import Parent
from dialogue_ser.training.record.mirror.offline_file import refuse_unless_whole
from dialogue_ser.training.record.mirror.results import send_results
from dialogue_ser.training.record.mirror.server import problem_of, server_of

POLL_SECONDS = 0.2
INIT_TIMEOUT_SECONDS = 20.0
SERVER_SECONDS = 30.0
"""How long a training goes on before the mirror stops waiting for a server that does not answer."""

DEFAULT_PROJECT = RunConfig().wandb.project
_STOPPED = 128 + signal.SIGTERM


def follow(path: Path, parent: Parent) -> Iterator[dict[str, Any]]:
    """Yield the lines of a growing metrics.jsonl until the summary, or until the parent process has ended.

    Args:
        path: metrics.jsonl.
        parent: the parent process.
    """
    position = 0
    while True:
        is_over = parent.is_gone or parent.is_complete  # checked before reading, so that the last lines are read too
        with path.open("rb") as file:
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the line is not complete yet
                position += len(line)
                row: dict[str, Any] = parse_json(line)
                yield row
                if row["kind"] == "summary":
                    return
        if is_over:
            return
        time.sleep(POLL_SECONDS)


class Sender:
    """Sends lines of metrics.jsonl to a W&B run.

    Args:
        run: the W&B run. Lines that it has from an earlier part of a resumed run are not sent again.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._first = int(getattr(run, "starting_step", 0) or 0)
        self._has_epochs = False
        self.n_lines = 0

    def send(self, row: dict[str, Any]) -> None:
        """Send the next line. W&B's summary always has the numbers of the epoch that is chosen up to now."""
        step, self.n_lines = self.n_lines, self.n_lines + 1
        if row["kind"] == "summary":
            values = summary_of(row)
            if not self._has_epochs and step >= self._first:  # an ensemble: a sweep looks for its metric in the history
                self._run.log({name: value for name, value in values.items() if "/" in name}, step=step)
            self._run.summary.update(values)
            return
        if step >= self._first:
            self._run.log(history_of(row), step=step)
        if row["kind"] == "epoch":
            self._has_epochs = True
            if row.get("is_best"):
                self._run.summary.update(best_of(row))


Mode = Literal["online", "offline", "disabled"]


def start_run(run_dir: Path, config: RunConfig, mode: Mode) -> Any:
    """Start the W&B run, or continue it if the run was resumed.

    In a sweep W&B's own variables say to which project and run the values go.
    """
    import wandb

    is_sweep = bool(os.environ.get("WANDB_SWEEP_ID"))
    names_project = not is_sweep and not (config.wandb.project == DEFAULT_PROJECT and os.environ.get("WANDB_PROJECT"))
    id_file = run_dir / "wandb_id.txt"
    known_id = id_file.read_text(encoding="utf-8").strip() if id_file.is_file() else None
    wanted: dict[str, Any] = {
        "init_timeout": INIT_TIMEOUT_SECONDS,
        "base_url": server_of(os.environ),
        "console": "off",
        "silent": True,
        "save_code": False,
        "disable_git": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_disable_machine_info": True,
        "x_save_requirements": False,
        "x_transaction_log_flush_interval": 1.0,  # what was sent is then also in the run directory
    }
    known = wandb.Settings.model_fields
    run = wandb.init(
        project=config.wandb.project if names_project else None,
        group=config.wandb.group,
        job_type=config.wandb.job_type,
        tags=[tag[:64] for tag in config.wandb.tags if tag] or None,
        name=None if is_sweep or os.environ.get("WANDB_NAME") else config.name,
        config=config_of(config, run_dir),
        dir=str(run_dir),
        mode=mode,
        id=None if is_sweep else os.environ.get("WANDB_RUN_ID") or known_id,
        resume="allow",
        settings=wandb.Settings(**{name: value for name, value in wanted.items() if name in known}),
    )
    id_file.write_text(run.id, encoding="utf-8")
    run.define_metric("step")
    run.define_metric("epoch")
    run.define_metric("train/*", step_metric="step")
    for names in ("epoch/*", "dev/*", "test/*"):
        run.define_metric(names, step_metric="epoch", summary="none")  # the summary is the chosen epoch, not the last
    return run


def warm_up() -> None:
    """Import what is needed while the training is running, so that it need not wait for that at its end."""
    for name in ("wandb", "pandas", "pyarrow.parquet", "sklearn.metrics"):
        import_module(name)


@dataclass
class Way:
    """How a run is sent.

    Args:
        mode: online or offline.
        server: address of the server.
        problem: why it is sent offline although the settings say online; "" = it is sent as they say.
    """

    mode: Mode
    server: str
    problem: str = ""

    def start(self, run_dir: Path, config: RunConfig, parent: Parent) -> Any:
        """Start the W&B run; offline, if the server refuses it."""
        import wandb

        try:
            return start_run(run_dir, config, self.mode)
        except wandb.errors.Error as error:
            if self.mode == "offline":
                raise
            self.go_offline(_reason(error), parent)
            return start_run(run_dir, config, self.mode)

    def go_offline(self, problem: str, parent: Parent) -> None:
        """Send the run offline from now on, and tell the training why."""
        self.mode, self.problem = "offline", problem
        parent.tell("offline", problem)

    def is_alive(self) -> bool:
        """Return whether it is worth while to wait for the end: the server answers, or only the disk is needed."""
        return not self.problem and (self.mode == "offline" or not problem_of(self.server))


def mirror(run_dir: Path, config: RunConfig, way: Way, parent: Parent) -> None:
    """Send all lines of metrics.jsonl and, when the run is complete, its results.

    Raises:
        Exception: W&B does not work: a service that has died, a full disk.
    """
    run = way.start(run_dir, config, parent)
    file = getattr(run.settings, "sync_file", None)
    sender, problems = Sender(run), list[str]()
    for row in follow(run_dir / "metrics.jsonl", parent):
        sender.send(row)
    while not (parent.is_complete or parent.is_gone):
        time.sleep(POLL_SECONDS)
    if parent.is_complete:
        problems = send_results(run, run_dir, config, sender.n_lines)
    run.finish(exit_code=0 if parent.is_complete else _STOPPED)
    for problem in problems:
        parent.tell("problem", problem)
    if file and way.mode == "offline":
        import wandb

        wandb.teardown()  # only the end of W&B's service writes the end of the file
        refuse_unless_whole(Path(file))


def wait_for_server(server: str, parent: Parent, seconds: float = SERVER_SECONDS) -> str:
    """Wait until the server answers, while the training goes on; return why it cannot be used, or ""."""
    started = time.monotonic()
    while problem := problem_of(server):
        if parent.is_complete or parent.is_gone or time.monotonic() - started > seconds:
            return problem
        time.sleep(1.0)
    return ""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 if everything was sent, or written instead, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process id of the training")
    parser.add_argument("--instead", default="", help="why the mode is now offline")
    parser.add_argument("--complete", action="store_true", help="the run is complete already")
    arguments = parser.parse_args(argv)
    parent = Parent(arguments.parent, is_complete=arguments.complete)
    try:
        config = load_record(arguments.run_dir / "config.yaml")
        way = Way(config.wandb.mode, server_of(os.environ))
        problem = arguments.instead
        threading.Thread(target=warm_up, daemon=True).start()
        if way.mode == "online" and not problem:
            problem = wait_for_server(way.server, parent)
        if problem:
            way.go_offline(problem, parent)
        parent.watch(way.is_alive)
        mirror(arguments.run_dir, config, way, parent)
    except Exception as error:
        _print(f"W&B: {type(error).__name__}: {error}")
        if arguments.instead or (isinstance(error, OSError) and not isinstance(error, ConnectionError)):
            parent.tell("failed", "; then ".join(dict.fromkeys(filter(None, (arguments.instead, _reason(error))))))
            return 1
        _begin_again(arguments.run_dir, _reason(error), parent)
    return 0


def _reason(error: Exception) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300].rstrip(": ")


def _print(text: str) -> None:
    """Write a line to wandb.log, if the disk is not full."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _begin_again(run_dir: Path, reason: str, parent: Parent) -> None:
    """Replace this process by one that writes everything into the run directory. W&B's library cannot begin again."""
    command = [sys.executable, "-P", "-m", __spec__.name if __spec__ else __name__, str(run_dir), "--instead", reason]
    command += ["--parent", str(parent.number), *(["--complete"] if parent.is_complete else [])]
    parent.hand_on()
    os.environ.pop("WANDB_SERVICE", None)  # it names the service that has died
    os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
