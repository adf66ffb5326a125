"""metrics.jsonl, the source of truth of a run, and the process that mirrors it to Weights & Biases."""

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
"""All the time a W&B that does not answer may cost, at a run's end."""

logger = logging.getLogger(__name__)


class MetricsFile(Callback):
    """Appends one JSON object a line; synced to disk at epochs and before checkpoints.

    Args:
        path: ``RUN/metrics.jsonl``; None writes nothing (all ranks but the main one).
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("ab")

    @property
    def n_bytes(self) -> int:
        """Length so far."""
        return self._file.tell() if self._file else 0

    def truncate(self, n_bytes: int) -> None:
        """Cuts the file back to a checkpoint's length.

        Raises:
            ValueError: it is shorter than that.
        """
        if self._file is None:
            return
        if self.n_bytes < n_bytes:
            raise ValueError(f"metrics.jsonl has {self.n_bytes} bytes, the checkpoint knows {n_bytes}")
        self._file.truncate(n_bytes)
        self._file.seek(n_bytes)

    def write(self, row: dict[str, Any]) -> None:
        """Appends a line and hands it to the operating system, so that a killed process loses none."""
        if self._file is not None:
            self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
            self._file.flush()

    def sync(self) -> None:
        """Makes what was written survive a power cut."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Syncs and closes; may be called again."""
        if self._file is not None and not self._file.closed:
            self.sync()
            self._file.close()

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Appends the step's line."""
        self.write(row)

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Appends the epoch's line and syncs."""
        self.write(row)
        self.sync()


class WandbMirror:
    """A child process that follows metrics.jsonl and passes it on to W&B.

    A process of its own, because then nothing W&B does (a dead server, a killed service, a hanging upload) can stop,
    slow or crash the run; all it can cost is the grace time at the end.

    Args:
        run_dir: the run directory; the child reads config.yaml, metrics.jsonl and two columns of predictions.parquet.
        config: mode, project, group, tags.
    """

    def __init__(self, run_dir: Path, config: WandbConfig) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._log = run_dir / "wandb.log"
        if config.mode == "disabled":
            return
        start = (run_dir / "metrics.jsonl").stat().st_size
        command = [
            sys.executable,
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
            logger.warning("W&B mirror not started (%s); metrics.jsonl is complete without it", error)

    def finish(self) -> None:
        """Waits a little for the mirror to end; one warning if it failed or did not end in time."""
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
        """Ends the mirror at once, for a run that was interrupted or failed."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate()  # the mirror finishes what it has and exits
            try:
                child.wait(2.0)
            except subprocess.TimeoutExpired:
                self._kill(child)

    @staticmethod
    def _kill(child: "subprocess.Popen[bytes]") -> None:
        # The whole group: W&B's service is a child of the mirror.
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
