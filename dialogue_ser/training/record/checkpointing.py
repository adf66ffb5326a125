"""When a run is checkpointed, what goes in, and how it is put back."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.errors import CheckpointError
from dialogue_ser.training.config.run_config import TrainingConfig
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.learner import Learner, part
from dialogue_ser.training.loop.rng import capture_rng, restore_rng
from dialogue_ser.training.loop.state import TrainState
from dialogue_ser.training.record.checkpoint import Checkpoint, CheckpointFolder
from dialogue_ser.training.record.tracking import MetricsFile


class Checkpointer(Callback):
    """Checkpoints at every epoch's end, every so many steps, and where a signal stops the run.

    It must come after the metrics writer in the list of callbacks: a checkpoint records how long metrics.jsonl was.

    Args:
        folder: where to.
        learner: weights, optimizer and moving average.
        metrics: the open metrics.jsonl.
        config: how often, how many are kept.
        accelerator: only the main process writes; every rank's random state goes in.
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
        """Checkpoints inside an epoch."""
        every = self.config.checkpoint_every_steps
        if every and state.step % every == 0:
            self._save(state)

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Checkpoints between epochs."""
        self._save(state)

    def on_interrupt(self, state: TrainState) -> None:
        """Checkpoints where the run stops."""
        self._save(state)

    def _save(self, state: TrainState) -> None:
        tensors = self.learner.tensors() | _rng_of_all_ranks(self.accelerator)
        if self.accelerator.is_main_process:
            self.metrics.sync()
            json_state = state.to_json() | {"metrics_bytes": self.metrics.n_bytes}
            self.folder.save(state.checkpoint_name, tensors, json_state)
            self.folder.prune(self.config.keep_checkpoints, state.best_checkpoint)


def restore(checkpoint: Checkpoint, learner: Learner, metrics: MetricsFile, accelerator: Accelerator) -> TrainState:
    """Puts a run back exactly where a checkpoint was taken: weights, generators, metrics.jsonl cut to its length.

    Raises:
        CheckpointError: it does not fit the model.
    """
    values = dict(checkpoint.state)
    try:
        learner.load_tensors(checkpoint.tensors)
        metrics.truncate(int(values.pop("metrics_bytes")))
        state = TrainState.from_json(values)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.name} does not fit this model or run directory: {error}; restore the directory as "
            "it was, or begin again with another --out"
        ) from error
    rng = part(checkpoint.tensors, "rng")
    rank = min(accelerator.process_index, len(rng["torch"]) - 1)
    restore_rng({name: values_of_ranks[rank] for name, values_of_ranks in rng.items()})
    return state


def judged_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights that dev judged: the moving average where there is one, else the model's own."""
    return part(checkpoint.tensors, "ema") or part(checkpoint.tensors, "model")


def _rng_of_all_ranks(accelerator: Accelerator) -> dict[str, Tensor]:
    """``rng/NAME`` → states of all ranks, one row each."""
    own = {f"rng/{name}": state[None] for name, state in capture_rng().items()}
    if accelerator.num_processes == 1:
        return own
    gathered = {name: accelerator.gather(state.to(accelerator.device)) for name, state in own.items()}
    return {name: torch.as_tensor(state).cpu() for name, state in gathered.items()}
