"""Write metrics.jsonl, the complete record of a run's metrics, and start the process that sends it to W&B."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

from dialogue_ser.training.config.run_config import WandbConfig
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.state import TrainState

WANDB_GRACE_SECONDS = 8.0
"""How long a run waits for W&B at its end; a server that does not answer costs no more than this."""

logger = logging.getLogger(__name__)


class MetricsFile(Callback):
    """The open metrics.jsonl: one JSON object per line, synced to disk after epochs and before checkpoints.

    Args:
        path: ``RUN/metrics.jsonl``; None = write nothing, for all processes except the main one.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("a+b")
        self._hash = hashlib.sha256()
        if self._file is not None:
            self._hash_first(self._file.tell())

    @property
    def n_bytes(self) -> int:
        """Current length of the file in bytes."""
        return self._file.tell() if self._file else 0

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as it is now."""
        return self._hash.hexdigest()

    def truncate(self, n_bytes: int) -> None:
        """Cut the file to the length that it had at a checkpoint.

        Raises:
            ValueError: the file is shorter than that.
        """
        if self._file is None:
            return
        if self.n_bytes < n_bytes:
            raise ValueError(f"metrics.jsonl has {self.n_bytes} bytes, but it had {n_bytes} at the checkpoint")
        self._file.truncate(n_bytes)
        self._hash_first(n_bytes)

    def write(self, row: dict[str, Any]) -> None:
        """Append a line and pass it to the operating system, so that a killed process does not lose it."""
        if self._file is not None:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            self._file.write(line)
            self._file.flush()
            self._hash.update(line)

    def sync(self) -> None:
        """Sync the file to disk, so that a power cut does not destroy what was written."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close the file; a second call does nothing."""
        if self._file is not None and not self._file.closed:
            self.sync()
            self._file.close()

    def _hash_first(self, n_bytes: int) -> None:
        """Begin the hash anew with the first bytes of the file. The position in the file is then behind them."""
        assert self._file is not None
        self._file.seek(0)
        self._hash = hashlib.sha256(self._file.read(n_bytes))

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Append the line of a step."""
        self.write(row)

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Append the line of an epoch and sync."""
        self.write(row)
        self.sync()


class WandbMirror:
    """A child process that reads metrics.jsonl while it grows and sends it to W&B.

    It is a separate process so that W&B (a dead server, a killed service, a slow upload) cannot stop, slow or crash the
    run. W&B can only cost the waiting time at the end.

    Args:
        run_dir: the run directory. The child reads config.yaml and metrics.jsonl, and from predictions.parquet the
            columns with splits and labels.
        config: mode, project, group and tags.
    """

    def __init__(self, run_dir: Path, config: WandbConfig) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._log = run_dir / "wandb.log"
        if config.mode == "disabled":
            return
        start = (run_dir / "metrics.jsonl").stat().st_size
        command = [
            sys.executable,
            "-P",  # a file of the working folder, which may be a run of somebody else, must not take a module's place
            "-m",
            "dialogue_ser.training.record.wandb_mirror",
            str(run_dir),
            "--from-byte",
            str(start),
        ]
        try:
            with self._log.open("ab") as log:
                self._child = subprocess.Popen(  # noqa: S603 - our own module
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            logger.warning("W&B mirror could not be started (%s); metrics.jsonl is complete without it", error)

    def finish(self) -> None:
        """Wait a short time for the child to end; log one warning if it failed or did not end in time."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            status: int | str = child.wait(WANDB_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            status = f"not finished after {WANDB_GRACE_SECONDS:g} s"
            self._kill(child)
        if status != 0:
            logger.warning("W&B mirror failed (%s, see %s); metrics.jsonl is complete without it", status, self._log)

    def abandon(self) -> None:
        """Stop the child at once, because the run was interrupted or failed."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate()  # the child gets a chance to exit cleanly
            try:
                child.wait(2.0)
            except subprocess.TimeoutExpired:
                self._kill(child)

    @staticmethod
    def _kill(child: "subprocess.Popen[bytes]") -> None:
        """Kill the child and all processes that it started, e.g. W&B's service."""
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
