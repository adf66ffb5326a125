"""The main loss of a whole batch that several processes share."""

from accelerate import Accelerator

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.models.api import Output
from dialogue_ser.training.loop.gradient.shares import counted_once, no_rows, rows_of_all
from dialogue_ser.training.loop.gradient.terms import Loss, Sums
from dialogue_ser.training.loop.loss import DialogueLoss


class WholeBatchLoss:
    """A loss that the processes compute together, because it is no sum over turns (:mod:`.shares`).

    Args:
        alone: the loss as one process computes it from its own share.
        accelerator: process group.
    """

    def __init__(self, alone: DialogueLoss, accelerator: Accelerator) -> None:
        self.alone = alone
        self.task = alone.task
        self._accelerator = accelerator

    def __call__(self, output: Output, batch: DialogueBatch) -> Sums:
        """Return both sums of the whole batch in the main process; in the others 0, with the gradient."""
        rows = rows_of_all(self._accelerator, *self.alone.labelled_rows(output, batch))
        numerator, denominator = (counted_once(self._accelerator, value) for value in self.alone.of_rows(*rows))
        return numerator, denominator

    def denominator(self, batch: DialogueBatch) -> float:
        """Return the denominator of the share of this process."""
        return self.alone.denominator(batch)

    def join_batch(self) -> None:
        """Take part in a batch of which this process has no share."""
        rows_of_all(self._accelerator, *no_rows(self.task, self._accelerator.device))


def over_processes(loss: DialogueLoss, accelerator: Accelerator) -> Loss:
    """Return the loss as all processes compute it."""
    return WholeBatchLoss(loss, accelerator) if accelerator.num_processes > 1 and loss.is_of_batch else loss


def of_share(loss: Loss) -> Loss:
    """Return the loss as one process computes it from its own share."""
    return loss.alone if isinstance(loss, WholeBatchLoss) else loss
