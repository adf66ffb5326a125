"""The loss a configuration asks for: the library's own, or a function of the user's; and class weights."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, utterances
from dialogue_ser.errors import ConfigError, TrainingError
from dialogue_ser.models.api import Output
from dialogue_ser.nn.losses import counted_rows
from dialogue_ser.registry import Registry, Target
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import LossConfig

Sums = tuple[Tensor, Tensor]
"""Numerator and denominator; the learner divides once, over all ranks and accumulated batches."""
OutputLoss = Callable[[Tensor, DialogueBatch], Sums]
"""A loss of log-probabilities or values ``[B, T, S]``."""


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


class DialogueLoss:
    """Masked loss of a batch as (numerator, denominator).

    Args:
        config: which one, smoothing, focal exponent, soft labels.
        task: turns scores into what losses read.
        class_weights_C: on the training device, or None.

    Raises:
        ConfigError: a loss that does not exist, or cannot be imported.
    """

    def __init__(self, config: LossConfig, task: Task, class_weights_C: Tensor | None = None) -> None:
        kind = config.kind or task.losses[0]
        self.task = task
        self._loss: OutputLoss
        if kind not in LOSSES:
            self._loss = partial(_own_loss, kind, LOSSES.find(kind))
        elif task.gives_probabilities:
            self._loss = partial(_class_loss, kind, config, class_weights_C)
        else:
            self._loss = partial(_value_loss, LOSSES[kind])

    def __call__(self, output: Output, batch: DialogueBatch) -> Sums:
        """Both sums over the batch's labelled turns, in float32 or better also under autocast."""
        return self._loss(self.task.outputs(output.scores_BTS), batch)


def _check_loss(name: str, found: Any) -> Callable[..., Any]:
    if not callable(found):
        raise ConfigError(f"loss {name!r}: is no function (outputs, target) of tensors; name one that is")
    return found  # type: ignore[no-any-return]


#: Every loss that can be asked for. One of the user's is a function ``(outputs, target)`` of the turns that have a
#: target: log-probabilities ``[N, C]`` and class indices ``[N]``, or values ``[N, S]`` and gold ones with NaN where
#: there is none. It gives one number per turn ``[N]``, or a pair (numerator, denominator).
LOSSES: Registry[Callable[..., Any]] = Registry(
    "loss",
    "dialogue_ser.losses",
    {
        "nll": "dialogue_ser.nn.losses:masked_nll",
        "binary": "dialogue_ser.nn.losses:masked_binary",
        "ccc": "dialogue_ser.nn.value_losses:masked_ccc",
        "mse": "dialogue_ser.nn.value_losses:masked_mse",
    },
    check=_check_loss,
)


def register_loss(name: str) -> Callable[[Target], Target]:
    """A decorator that registers a loss, a function ``(outputs, target)`` as :data:`LOSSES` describes it, under a name.

    Raises:
        ConfigError: the name holds a colon, or belongs to the library or to another function.
    """
    return LOSSES.register(name)


def _class_loss(
    kind: str, config: LossConfig, class_weights_C: Tensor | None, outputs_BTC: Tensor, batch: DialogueBatch
) -> Sums:
    votes = batch.label_distribution if config.soft_labels else None
    # Counted on the host, from what is there: a GPU that is asked how many there are makes the host wait.
    row_N = counted_rows(batch.on_host(batch.label), None if votes is None else batch.on_host(votes))
    focal = {"focal_gamma": config.focal_gamma} if kind == "nll" else {}
    loss: Callable[..., Sums] = LOSSES[kind]
    return loss(
        outputs_BTC,
        batch.label,
        class_weights_C=class_weights_C,
        label_smoothing=config.label_smoothing,
        label_distribution_BTC=votes,
        row_N=_sent(row_N, outputs_BTC),
        **focal,
    )


def _value_loss(loss: Callable[..., Sums], outputs_BTS: Tensor, batch: DialogueBatch) -> Sums:
    return loss(*_labelled_rows(outputs_BTS, batch))


def _own_loss(name: str, loss: Callable[..., Any], outputs_BTS: Tensor, batch: DialogueBatch) -> Sums:
    outputs_NS, target = _labelled_rows(outputs_BTS, batch)
    if not len(target):  # what the function makes of nothing, often NaN, must not stop the run
        return outputs_NS.sum(), outputs_NS.new_zeros(())
    try:
        found = loss(outputs_NS, target)
    except Exception as error:  # the function is somebody's program and may raise anything
        raise TrainingError(
            f"loss {name!r}: its function failed: {type(error).__name__}: {error}; mend the function"
        ) from error
    sums = _sums_of(name, found, len(outputs_NS))
    if outputs_NS.requires_grad and not sums[0].requires_grad:
        raise TrainingError(
            f"loss {name!r}: does not depend on what the system says, so nothing is learnt; compute it from outputs "
            "with torch, without detach, item or numpy"
        )
    return sums


def _sums_of(name: str, found: Any, n_turns: int) -> Sums:
    """What a loss of the user's gave, as numerator and denominator.

    Raises:
        TrainingError: it is neither one number per turn nor a pair of numbers.
    """
    if isinstance(found, Tensor) and found.shape == (n_turns,):
        return found.sum(), found.new_full((), n_turns)
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Tensor) and found[0].ndim == 0:
        numerator, denominator = found
        if isinstance(denominator, (int, float)):
            return numerator, numerator.new_full((), denominator)
        if isinstance(denominator, Tensor) and denominator.ndim == 0:
            return numerator, denominator.to(numerator.dtype)
    raise TrainingError(
        f"loss {name!r}: gave {_described(found)} of {n_turns} turns, expected one number per turn [{n_turns}], or a "
        "pair (numerator, denominator) of single numbers, the numerator a tensor"
    )


def _described(found: Any) -> str:
    """Shape of a tensor, type of anything else.

    >>> _described((torch.zeros(3), 2))
    '((3,), int)'
    """
    if isinstance(found, tuple):
        return f"({', '.join(map(_described, found))})"
    return str(tuple(found.shape)) if isinstance(found, Tensor) else type(found).__name__


def _labelled_rows(outputs_BTS: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
    """Outputs ``[N, S]`` and targets (``[N]`` or ``[N, S]``) of the turns that have a target."""
    if batch.value is None:
        row_N = _sent(counted_rows(batch.on_host(batch.label)), outputs_BTS)
        target = batch.label.flatten()
    else:
        row_N = _sent(batch.on_host(batch.value).isfinite().any(-1).flatten().nonzero()[:, 0], outputs_BTS)
        target = batch.value.flatten(0, 1)
    return outputs_BTS.flatten(0, 1).index_select(0, row_N), target.index_select(0, row_N)


def _sent(row_N: Tensor, outputs_BTS: Tensor) -> Tensor:
    """Positions on the device of the outputs, without waiting for it."""
    return (row_N.pin_memory() if outputs_BTS.is_cuda else row_N).to(outputs_BTS.device, non_blocking=True)
