"""The position of a run: a few numbers that, together with the tensors of a checkpoint, allow it to go on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from operator import gt
from types import MappingProxyType
from typing import Any


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Position of a run in its training. Only the training loop changes it.

    Args:
        epoch: number of the current epoch, from 1; after the last epoch it is the number of epochs + 1.
        step_in_epoch: number of optimizer steps done in this epoch.
        step: number of optimizer steps done since the start.
        loss_numerator: sum of the loss's numerators in this epoch so far.
        loss_denominator: sum of the loss's denominators in this epoch so far.
        auxiliary: auxiliary loss → the sums of its numerators and of its denominators in this epoch so far.
        best_epoch: epoch with the best dev score, or the last one with ``training.keep: last``; 0 = none yet.
        best_score: dev score of that epoch; None = none yet.
        best_checkpoint: name of the checkpoint with the weights of that epoch.
    """

    epoch: int = 1
    step_in_epoch: int = 0
    step: int = 0
    loss_numerator: float = 0.0
    loss_denominator: float = 0.0
    auxiliary: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float | None = None
    best_checkpoint: str | None = None

    def add_losses(
        self, numerator: float, denominator: float, auxiliary: Mapping[str, tuple[float, float]] = MappingProxyType({})
    ) -> None:
        """Add the sums of one step to those of the epoch.

        Args:
            numerator: sum of the loss's numerators.
            denominator: sum of the loss's denominators.
            auxiliary: auxiliary loss → its sum and its denominator.
        """
        self.loss_numerator += numerator
        self.loss_denominator += denominator
        for name, (value, count) in auxiliary.items():
            before = self.auxiliary.get(name, [0.0, 0.0])
            self.auxiliary[name] = [before[0] + value, before[1] + count]

    @property
    def checkpoint_name(self) -> str:
        """Name of a checkpoint: finished epochs and steps, e.g. ``epoch-0002-step-00000064``; names sort in time."""
        return f"epoch-{self.epoch - 1:04d}-step-{self.step:08d}"

    def note_score(self, score: float, *, is_better: Callable[[float, float], bool] = gt, always: bool = False) -> bool:
        """Note the dev score of the current epoch; return True if it is the best so far.

        An equal score is not better: the earlier epoch stays the best one.

        Args:
            score: score on dev.
            is_better: says whether a first score is better than a second one.
            always: treat this epoch as the best one even if its score is not (``training.keep: last``).
        """
        if self.best_score is not None and not is_better(score, self.best_score) and not always:
            return False
        self.best_score, self.best_epoch = score, self.epoch
        return True

    def start_next_epoch(self, *, is_best: bool) -> None:
        """Move to the next epoch; if the finished one is the best so far, note the name of its checkpoint."""
        self.epoch, self.step_in_epoch = self.epoch + 1, 0
        self.loss_numerator = self.loss_denominator = 0.0
        self.auxiliary = {}
        if is_best:
            self.best_checkpoint = self.checkpoint_name

    def is_out_of_patience(self, patience: int) -> bool:
        """Return whether the last ``patience`` epochs brought no better dev score; patience 0 never runs out.

        >>> TrainState(epoch=5, best_epoch=2, best_score=0.4).is_out_of_patience(2)
        True
        """
        return bool(patience) and self.epoch - 1 - self.best_epoch >= patience

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values; Python writes and reads floats in JSON without loss."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainState":
        """Return the state from the values of :meth:`to_json`."""
        return cls(**values)
