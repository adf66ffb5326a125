"""Where a run stands: the few numbers that, with the tensors, decide everything that follows."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from operator import gt
from typing import Any


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Position and running values of a run; the loop alone changes them.

    Args:
        epoch: epoch under way, from 1; epochs + 1 when all are done.
        step_in_epoch: optimizer steps done in it.
        step: optimizer steps done since the start.
        loss_numerator: Σ of the loss's numerators in this epoch so far.
        loss_denominator: Σ of its denominators.
        best_epoch: epoch with the best dev score (the last, where that is kept); 0 = none yet.
        best_score: that score, or None.
        best_checkpoint: name of the checkpoint that holds those weights.
    """

    epoch: int = 1
    step_in_epoch: int = 0
    step: int = 0
    loss_numerator: float = 0.0
    loss_denominator: float = 0.0
    best_epoch: int = 0
    best_score: float | None = None
    best_checkpoint: str | None = None

    @property
    def checkpoint_name(self) -> str:
        """Finished epochs and steps, so that names sort in time: ``epoch-0002-step-00000064``."""
        return f"epoch-{self.epoch - 1:04d}-step-{self.step:08d}"

    def offer(self, score: float, *, is_better: Callable[[float, float], bool] = gt, always: bool = False) -> bool:
        """Takes the dev score of the epoch under way; True if it is the best so far (a tie stays with the earlier).

        Args:
            score: on dev.
            is_better: whether a score is better than another one, as the metric's direction has it.
            always: take it for the best whatever came before (``training.keep: last``).
        """
        if self.best_score is not None and not is_better(score, self.best_score) and not always:
            return False
        self.best_score, self.best_epoch = score, self.epoch
        return True

    def is_out_of_patience(self, patience: int) -> bool:
        """Whether ``patience`` finished epochs in a row brought no better dev score; patience 0 never runs out.

        >>> TrainState(epoch=5, best_epoch=2, best_score=0.4).is_out_of_patience(2)
        True
        """
        return bool(patience) and self.epoch - 1 - self.best_epoch >= patience

    def to_json(self) -> dict[str, Any]:
        """JSON-able; Python's floats survive JSON exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainState":
        """Inverse of :meth:`to_json`."""
        return cls(**values)
