"""Save the state of a run in checkpoints, and restore it from one."""

import hashlib
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.errors import CheckpointError
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.run_config import TrainingConfig
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.devices import gather_rows
from dialogue_ser.training.loop.learner import Learner, tensors_under
from dialogue_ser.training.loop.rng import capture_rng, restore_rng
from dialogue_ser.training.loop.state import TrainState
from dialogue_ser.training.record.checkpoint import Checkpoint, CheckpointFolder
from dialogue_ser.training.record.tracking import MetricsFile


class Checkpointer(Callback):
    """Save a checkpoint at the end of every epoch, after a fixed number of steps, and when a signal stops the run.

    In the list of callbacks it must come after the metrics file, because a checkpoint records the length of
    metrics.jsonl.

    Args:
        folder: folder of the checkpoints.
        learner: has the weights, the optimizer's state and the moving average.
        metrics: the open metrics.jsonl.
        config: says how often to save and how many checkpoints to keep.
        accelerator: only its main process writes; the random state of every process is saved.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        learner: Learner,
        metrics: MetricsFile,
        config: TrainingConfig,
        accelerator: Accelerator,
    ) -> None:
        self.folder = folder
        self.learner = learner
        self.metrics = metrics
        self.config = config
        self.accelerator = accelerator

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Save a checkpoint inside an epoch, if it is time."""
        every = self.config.checkpoint_every_steps
        if every and state.step % every == 0:
            self._save(state)

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Save a checkpoint after an epoch."""
        self._save(state)

    def on_interrupt(self, state: TrainState) -> None:
        """Save a checkpoint where the run stops."""
        self._save(state)

    def _save(self, state: TrainState) -> None:
        tensors = self.learner.tensors() | _rng_of_all_ranks(self.accelerator)
        if self.accelerator.is_main_process:
            self.metrics.sync()
            json_state = state.to_json() | {
                "metrics_bytes": self.metrics.n_bytes,
                "metrics_sha256": self.metrics.sha256,
            }
            self.folder.save(state.checkpoint_name, tensors, json_state)
            self.folder.prune(self.config.keep_checkpoints, state.best_checkpoint)


def restore(checkpoint: Checkpoint, learner: Learner, metrics: MetricsFile, accelerator: Accelerator) -> TrainState:
    """Put a run back into the exact state of a checkpoint and return its position.

    The weights, the optimizer's state and the random generators are restored; metrics.jsonl is cut to its length then.

    Raises:
        CheckpointError: the checkpoint does not fit the model, or metrics.jsonl is too short.
    """
    values = dict(checkpoint.state)
    try:
        metrics_bytes = int(values.pop("metrics_bytes"))
        values.pop("metrics_sha256", None)
        state = TrainState.from_json(values)
        learner.load_tensors(checkpoint.tensors)
        metrics.truncate(metrics_bytes)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.name} does not fit this model or run directory: {error}; restore the old files of "
            "the directory, or start a new run with another --out"
        ) from error
    rng = tensors_under(checkpoint.tensors, "rng")
    if (rank := accelerator.process_index) < len(rng["torch"]):
        restore_rng({name: state_of_rank[rank] for name, state_of_rank in rng.items()})
    # Otherwise the run has more processes than before (--allow-mismatch). A new one keeps the stream of its own seed;
    # the stream of another process would give both the same dropout.
    return state


def check_metrics(checkpoint: Checkpoint, path: Path, *, allow_mismatch: bool = False) -> None:
    """Check that metrics.jsonl begins with the lines that it had at a checkpoint, so that it can be cut to them.

    Args:
        checkpoint: a checkpoint; those of older versions know only the length of the file.
        path: metrics.jsonl.
        allow_mismatch: accept other lines; the file must still be long enough.

    Raises:
        CheckpointError: the file is too short, or its lines were changed.
    """
    n_bytes, expected = int(checkpoint.state.get("metrics_bytes", 0)), checkpoint.state.get("metrics_sha256")
    content = b""
    if path.is_file():
        with path.open("rb") as file:
            content = file.read(n_bytes)
    if len(content) < n_bytes:
        raise CheckpointError(
            f"{path}: has {len(content)} bytes, but it had {n_bytes} at the checkpoint {checkpoint.name}; restore it"
        )
    if expected is not None and hashlib.sha256(content).hexdigest() != expected and not allow_mismatch:
        raise CheckpointError(
            f"{path}: its lines are not those that the run had written at the checkpoint {checkpoint.name}; restore "
            "the file, or add --allow-mismatch to go on with it as it is"
        )


def check_nothing_is_lost(folder: Path) -> None:
    """Check that a run without checkpoints may start from its beginning: it was stopped before its first checkpoint.

    Raises:
        CheckpointError: metrics.jsonl shows that the run had got further, so its checkpoints were deleted.
    """
    history = RunFiles(folder).history
    is_finished = any(row.get("kind") == "summary" for row in history)
    epochs = [epoch for row in history if isinstance(epoch := row.get("epoch"), int)]
    if is_finished or max(epochs, default=0) > 1:
        state = "finished" if is_finished else f"in epoch {max(epochs)}"
        raise CheckpointError(
            f"{folder}: the run was {state} (metrics.jsonl), but its checkpoints are gone, so it cannot be continued; "
            "restore the folder checkpoints, or start a new run with another --out"
        )


def evaluated_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the weights that were evaluated on dev: the moving average if there is one, else the model's weights."""
    return tensors_under(checkpoint.tensors, "ema") or tensors_under(checkpoint.tensors, "model")


def _rng_of_all_ranks(accelerator: Accelerator) -> dict[str, Tensor]:
    """Return the random states of all processes: ``rng/NAME`` → one row per process."""
    own = {f"rng/{name}": state[None] for name, state in capture_rng().items()}
    if accelerator.num_processes == 1:
        return own
    gathered = {name: gather_rows(accelerator, state.to(accelerator.device)) for name, state in own.items()}
    return {name: state.cpu() for name, state in gathered.items()}
