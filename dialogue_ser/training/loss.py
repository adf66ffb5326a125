"""The loss a configuration asks for, and its class weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, utterances
from dialogue_ser.models.api import Output
from dialogue_ser.nn.losses import counted_rows, masked_binary, masked_nll
from dialogue_ser.training.config import LossConfig


def class_weights(train: Sequence[Dialogue], label_set: LabelSet, config: LossConfig) -> Tensor | None:
    """Weight per class ``[C]`` float64: inverse train frequency to a power, mean 1 over labelled train turns.

    A class that never occurs in train is weighted as if it occurred once.
    """
    if config.class_weights == "none":
        return None
    labels = [label_set.index(turn.label) for turn in utterances(train) if turn.label is not None]
    count_C = torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=len(label_set)).double()
    weight_C = count_C.clamp_min(1.0) ** -config.class_weight_power
    return weight_C * (count_C.sum() / (count_C * weight_C).sum())


@dataclass(frozen=True)
class DialogueLoss:
    """Masked loss of a batch as (numerator, denominator).

    Args:
        config: kind, smoothing, focal exponent, soft labels.
        class_weights_C: on the training device, or None.
    """

    config: LossConfig
    class_weights_C: Tensor | None = None

    def __call__(self, output: Output, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Both sums over the batch's labelled turns, in float32 or better also under autocast."""
        log_probs_BTC = output.log_probs_BTC
        votes = batch.label_distribution if self.config.soft_labels else None
        # Counted on the host, from what is there: a GPU that is asked how many there are makes the host wait.
        row_N = counted_rows(batch.on_host(batch.label), None if votes is None else batch.on_host(votes))
        if log_probs_BTC.is_cuda:
            row_N = row_N.pin_memory()
        is_half = log_probs_BTC.dtype in (torch.float16, torch.bfloat16)
        loss: Callable[..., tuple[Tensor, Tensor]] = masked_binary
        if self.config.kind == "nll":
            loss = partial(masked_nll, focal_gamma=self.config.focal_gamma)
        return loss(
            log_probs_BTC.float() if is_half else log_probs_BTC,
            batch.label,
            class_weights_C=self.class_weights_C,
            label_smoothing=self.config.label_smoothing,
            label_distribution_BTC=votes,
            row_N=row_N.to(log_probs_BTC.device, non_blocking=True),
        )
