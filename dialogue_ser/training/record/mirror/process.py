"""Start the mirror, a process beside the training that sends the run to W&B, and end it again."""

import contextlib
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.training.config.run_config import WandbConfig
from dialogue_ser.training.record.mirror.messages import COMPLETE
from dialogue_ser.training.record.mirror.server import server_of

GRACE_SECONDS = 8.0
"""How long a run waits at its end for a W&B that does nothing."""

MOST_SECONDS = {"online": 300.0, "offline": 60.0}
"""How long a run waits at its end for a W&B that works: a server that answers, or a disk."""

STOP_GRACE_SECONDS, MOST_STOP_SECONDS = 5.0, 15.0
"""The same for a run that was interrupted."""

#: Variables that name one W&B run. A fold or a member is another run than the one that they name.
_OF_ONE_RUN = ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_NAME")
#: Variables that the settings of the run replace.
_REPLACED = ("WANDB_MODE", "WANDB_DISABLED", "WANDB_SERVICE")
_FOLDERS = ("WANDB_DIR", "WANDB_SWEEP_PARAM_PATH", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")
#: Job types of runs that are a part of something greater.
PARTS = ("fold", "member", "suite")

logger = logging.getLogger(__name__)


class WandbMirror:
    """A child process that reads metrics.jsonl while it grows and sends it to W&B.

    It is a separate process so that W&B (a dead server, a killed service, a slow upload) cannot stop, slow or crash the
    run. W&B can only cost the waiting time at the end.

    As a context, it lets the child finish at the end, or stops it after an error.

    Args:
        run_dir: the run directory.
        config: settings of W&B.
    """

    def __init__(self, run_dir: Path, config: WandbConfig) -> None:
        self._run_dir, self._config = run_dir, config
        self._child: subprocess.Popen[bytes] | None = None
        self._log = run_dir / "wandb.log"

    def __enter__(self) -> "WandbMirror":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish() if error is None else self.abandon()

    def start(self) -> None:
        """Start the child, unless W&B is disabled or the child runs already. If the server gets data, say which one."""
        if self._config.mode == "disabled" or self._child is not None:
            return
        folder = self._run_dir.resolve()
        environment = child_environment(os.environ, folder, is_part=self._config.job_type in PARTS)
        if self._config.mode == "online":
            print(visible(upload_line(self._config, environment)), file=sys.stderr, flush=True)
        # A file of the working folder, which may be a run of somebody else, must not take a module's place (-P), and
        # W&B must not find its settings there.
        command = [sys.executable, "-P", "-m", "dialogue_ser.training.record.mirror.child", str(folder)]
        command += ["--parent", str(os.getpid())]
        try:
            with self._log.open("ab") as log:
                self._child = subprocess.Popen(  # noqa: S603 - our own module
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    cwd=folder.anchor,
                    env=environment,
                )
        except OSError as error:
            logger.warning("W&B mirror could not be started (%s); metrics.jsonl is complete without it", error)

    def finish(self) -> None:
        """Let the child send the results, and wait for it; log one warning if W&B did not get everything.

        A server that answers, or a disk, gets the time that it needs. One that does not answer gets a short time.
        """
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        with contextlib.suppress(OSError):  # the child may have ended already; its messages say why
            child.stdin.write(COMPLETE)
            child.stdin.flush()
        messages = _messages(child, GRACE_SECONDS, MOST_SECONDS[self._config.mode])
        status = child.returncode
        if status is None:
            messages.append(f"failed it has not finished within {GRACE_SECONDS:g} s")
        _end(child)
        if status not in (0, None) and not any(line.startswith("failed") for line in messages):
            messages.append(f"failed its process ended with status {status}")
        if messages:
            self._warn(messages, is_written=status in (0, None))

    def abandon(self) -> None:
        """Stop the child, because the run was interrupted or failed. It gets a moment to send the last lines."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate()
            _messages(child, STOP_GRACE_SECONDS, MOST_STOP_SECONDS)
            _end(child)

    def _warn(self, messages: list[str], *, is_written: bool) -> None:
        """Log one warning for everything that went wrong."""
        said = "; ".join(line.partition(" ")[2] for line in dict.fromkeys(messages))
        written = _newest(self._run_dir) if is_written else None
        later = f". To send it later: wandb sync {written}" if written else ""
        logger.warning("W&B: %s. metrics.jsonl is complete without it (%s)%s", said, self._log, later)


def upload_line(config: WandbConfig, environment: Mapping[str, str]) -> str:
    """Say where the run is sent to.

    >>> upload_line(WandbConfig(mode="online"), {"WANDB_BASE_URL": "http://localhost:8080"})
    'W&B: this run is uploaded to http://localhost:8080, project dialogue-ser (wandb.mode is online)'
    """
    project = environment.get("WANDB_PROJECT") if environment.get("WANDB_SWEEP_ID") else config.project
    named = f", project {project}" if project else ""
    texts = "; with the texts of all turns" if config.texts else ""
    return f"W&B: this run is uploaded to {server_of(environment)}{named} (wandb.mode is online){texts}"


def child_environment(environment: Mapping[str, str], run_dir: Path, *, is_part: bool) -> dict[str, str]:
    """Return the environment variables of the child. It works in another folder, so no path may be relative.

    W&B's copies of files lie in the run directory, and W&B reports no errors of its own, unless variables say so.

    Args:
        environment: those of this process.
        run_dir: the run directory, an absolute path.
        is_part: the run is a part, e.g. a fold, of the run that the variables may name.
    """
    dropped = (*_REPLACED, *(_OF_ONE_RUN if is_part else ()))
    kept = {name: value for name, value in environment.items() if name not in dropped}
    paths = {name: str(Path(kept[name]).absolute()) for name in _FOLDERS if kept.get(name)}
    if kept.get("PYTHONPATH"):
        paths["PYTHONPATH"] = os.pathsep.join(str(Path(one).absolute()) for one in kept["PYTHONPATH"].split(os.pathsep))
    defaults = {
        "WANDB_DATA_DIR": str(run_dir / "wandb" / "data"),
        "WANDB_ERROR_REPORTING": "false",  # W&B would send its own crashes to a server that nobody has named
    }
    return defaults | kept | paths


def _messages(child: "subprocess.Popen[bytes]", grace_seconds: float, most_seconds: float) -> list[str]:
    """Wait until the child ends, or was silent for too long; return its messages.

    Args:
        child: the child.
        grace_seconds: how long it may be silent.
        most_seconds: how long to wait at most.
    """
    assert child.stdout is not None
    begun = last = time.monotonic()
    received, is_open = b"", True
    with selectors.DefaultSelector() as selector:
        os.set_blocking(child.stdout.fileno(), False)
        selector.register(child.stdout, selectors.EVENT_READ)
        while (now := time.monotonic()) - last < grace_seconds and now - begun < most_seconds:
            if is_open and selector.select(0.1):
                part = child.stdout.read() or b""
                is_open, received = bool(part), received + part
                last = now if b"" in part.splitlines() else last  # an empty line: it is worth while to wait
            elif child.poll() is not None:
                break
            elif not is_open:
                time.sleep(0.05)
    return [line for line in received.decode("utf-8", "replace").splitlines() if line]


def _newest(run_dir: Path) -> Path | None:
    """Return the newest folder with a file of W&B; None if there is none."""
    found = [path.parent for path in (run_dir / "wandb").glob("*run-*/*.wandb") if path.stat().st_size > 1000]
    return max(found, key=lambda folder: max(path.stat().st_mtime_ns for path in folder.glob("*.wandb")), default=None)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child, if it still runs, with all processes that it started, e.g. W&B's service; close the pipes."""
    if child.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
