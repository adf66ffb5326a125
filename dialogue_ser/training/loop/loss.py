"""Make the configured loss, one of the library or a function of the user, and the class weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, utterances
from dialogue_ser.errors import ConfigError, TrainingError, unknown_name
from dialogue_ser.models.api import MainLoss, Output
from dialogue_ser.nn.contrastive import nt_xent
from dialogue_ser.nn.losses import counted_rows
from dialogue_ser.registry import Registry, Target
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import ContrastiveConfig, LossConfig
from dialogue_ser.training.loop.gradient.shares import counted_once, no_rows, rows_of_all
from dialogue_ser.training.loop.gradient.terms import Sums

OutputLoss = Callable[[Tensor, DialogueBatch], Sums]
"""A loss of the task's outputs, log-probabilities or values ``[B, T, S]``, and their batch."""


def class_weights(train: Sequence[Dialogue], label_set: LabelSet, config: LossConfig) -> Tensor | None:
    """Return the weight of each class ``[C]`` in float64; None if the configuration sets no weights.

    Fixed weights stay as they are. With inverse-frequency, the weight is the inverse of the class's frequency in train
    to a power, scaled so that the mean over the labelled train turns is 1. A class without any turn in train counts as
    if it had one.

    Raises:
        ConfigError: fixed weights do not fit the classes.
    """
    fixed = config.class_weights
    if fixed == "none":
        return None
    if not isinstance(fixed, str):
        return _fixed_weights(fixed, label_set)
    labels = [label_set.index(turn.label) for turn in utterances(train) if turn.label is not None]
    count_C = torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=len(label_set)).double()
    weight_C = count_C.clamp_min(1.0) ** -config.class_weight_power
    return weight_C * (count_C.sum() / (count_C * weight_C).sum())


def _fixed_weights(weights: Sequence[float] | Mapping[str, float], label_set: LabelSet) -> Tensor:
    """Return the class weights ``[C]`` that the configuration gives as a list or by name.

    Raises:
        ConfigError: the list has another length, or a class does not exist. The error names all such classes.
    """
    if isinstance(weights, Mapping):
        unknown = [unknown_name("class", name, label_set) for name in weights if name not in label_set.labels]
        if unknown:
            raise ConfigError(*(f"loss.class_weights: {problem}" for problem in unknown))
        return torch.tensor([weights.get(label, 1.0) for label in label_set], dtype=torch.float64)
    if len(weights) != len(label_set):
        raise ConfigError(
            f"loss.class_weights: found {len(weights)} numbers for {len(label_set)} classes; give one for each of "
            f"{', '.join(label_set)}, in this order"
        )
    return torch.tensor(weights, dtype=torch.float64)


class DialogueLoss:
    """The configured loss; it gives the numerator and the denominator of a batch.

    Args:
        config: section ``loss`` of the configuration.
        task: turns scores into the log-probabilities or values that losses take.
        class_weights_C: weight of each class, on the training device; None = no weights.

    Raises:
        ConfigError: the loss does not exist or cannot be imported.
    """

    def __init__(self, config: LossConfig, task: Task, class_weights_C: Tensor | None = None) -> None:
        self.task = task
        self._config, self._class_weights_C = config, class_weights_C
        self._kind = config.kind or task.losses[0]
        self._loss = self._with_weights(class_weights_C)

    def __call__(self, output: Output, batch: DialogueBatch) -> Sums:
        """Return both sums over the batch's labelled turns; they are at least float32, also under autocast."""
        return self._loss(self.task.outputs(output.scores_BTS), batch)

    def denominator(self, batch: DialogueBatch) -> float:
        """Return the denominator of a batch on the CPU; it depends on the targets only.

        For a function of the user that returns a pair, it is the denominator that belongs to scores of 0.
        """
        scores_BTS = torch.zeros(*batch.label.shape, self.task.n_scores, dtype=torch.float64)
        return float(self._on_host(self.task.outputs(scores_BTS), batch)[1])

    @property
    def is_of_batch(self) -> bool:
        """Whether the loss need not be a sum over turns, so that the loss of a batch is not that of its shares."""
        return self._kind == "ccc" or self._kind not in LOSSES

    def labelled_rows(self, output: Output, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Return outputs ``[N, S]`` and targets (``[N]`` or ``[N, S]``) of the turns that have a target."""
        return _labelled_rows(self.task.outputs(output.scores_BTS), batch)

    def of_rows(self, outputs_NS: Tensor, target: Tensor) -> Sums:
        """Return both sums of a loss of a batch from the outputs and targets of its turns."""
        if self._kind in LOSSES:
            numerator, denominator = LOSSES[self._kind](outputs_NS, target)
            return numerator, denominator
        return _user_sums(self._kind, LOSSES.find(self._kind), outputs_NS, target)

    @cached_property
    def _on_host(self) -> OutputLoss:
        """The loss with class weights on the CPU."""
        weights_C = self._class_weights_C
        return self._with_weights(None if weights_C is None else weights_C.cpu())

    def _with_weights(self, class_weights_C: Tensor | None) -> OutputLoss:
        """Return the function that computes the sums from outputs and batch."""
        kind = self._kind
        if kind not in LOSSES:
            LOSSES.find(kind)
        elif self.task.gives_probabilities:
            return partial(_class_loss, kind, self._config, class_weights_C)
        return lambda outputs_BTS, batch: self.of_rows(*_labelled_rows(outputs_BTS, batch))


def _check_loss(name: str, found: Any) -> Callable[..., Any]:
    """Return a registered object if it can be called; raise ConfigError otherwise."""
    if not callable(found):
        raise ConfigError(f"loss {name!r}: is no function (outputs, target) of tensors; name one that is")
    return found  # type: ignore[no-any-return]


#: All losses by name. A loss of the user is a function ``(outputs, target)``. It gets only turns that have a target:
#: log-probabilities ``[N, C]`` and class indices ``[N]``; or predicted values ``[N, S]`` and gold values ``[N, S]``,
#: which are NaN in dimensions without annotation. It returns one number per turn ``[N]`` or a pair (numerator,
#: denominator).
LOSSES: Registry[Callable[..., Any]] = Registry(
    "loss",
    "dialogue_ser.losses",
    {
        "nll": "dialogue_ser.nn.losses:masked_nll",
        "binary": "dialogue_ser.nn.losses:masked_binary",
        "pseudo-focal": "dialogue_ser.nn.losses:masked_pseudo_focal",
        "ccc": "dialogue_ser.nn.value_losses:masked_ccc",
        "mse": "dialogue_ser.nn.value_losses:masked_mse",
    },
    check=_check_loss,
)


def register_loss(name: str) -> Callable[[Target], Target]:
    """Return a decorator that registers a loss under a name; :data:`LOSSES` says what such a function does.

    Raises:
        ConfigError: the name contains a colon, or the library or another function already has it.
    """
    return LOSSES.register(name)


def _class_loss(
    kind: str, config: LossConfig, class_weights_C: Tensor | None, outputs_BTC: Tensor, batch: DialogueBatch
) -> Sums:
    """Return the sums of one of the library's losses of classes."""
    votes = batch.label_distribution if config.soft_labels else None
    # The labelled turns are found on the host: if the GPU counted them, the host would have to wait for it.
    row_N = counted_rows(batch.on_host(batch.label), None if votes is None else batch.on_host(votes))
    focal: dict[str, Any] = {} if kind == "binary" else {"focal_gamma": config.focal_gamma}
    if kind == "nll":
        focal["focal_gradient"] = config.focal_gradient
    loss: Callable[..., Sums] = LOSSES[kind]
    return loss(
        outputs_BTC,
        batch.label,
        class_weights_C=class_weights_C,
        label_smoothing=config.label_smoothing,
        label_distribution_BTC=votes,
        row_N=_on_device_of(row_N, outputs_BTC),
        **focal,
    )


class ContrastiveTerm:
    """The contrastive loss as an auxiliary loss: its mean over pairs, times the number of labelled turns of the batch.

    Pairs are formed over the whole batch, also if several processes share it. Batches that are accumulated have no
    pairs with each other.

    Args:
        config: section ``loss.contrastive`` of the configuration.
        task: turns scores into log-probabilities.
        accelerator: process group; None = this process is alone.
    """

    def __init__(self, config: ContrastiveConfig, task: Task, accelerator: Accelerator | None = None) -> None:
        self.config, self.task, self.accelerator = config, task, accelerator

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        """The weight in the first pass."""
        return {"contrastive": self.config.weight}

    @property
    def adversarial_weights(self) -> Mapping[str, float]:
        """The weight in the second pass of adversarial training."""
        weight = self.config.adversarial_weight
        return {"contrastive": self.config.weight if weight is None else weight}

    def auxiliary_counts(self, batch: DialogueBatch) -> Mapping[str, float]:
        """The number of labelled turns."""
        return {"contrastive": len(counted_rows(batch.label))}

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        """The loss times the number of labelled turns."""
        row_N = counted_rows(batch.on_host(batch.label))
        outputs_BTC = self.task.outputs(output.scores_BTS)
        row_N = _on_device_of(row_N, outputs_BTC)
        x_NC, label_N = outputs_BTC.flatten(0, 1).index_select(0, row_N), batch.label.flatten().index_select(0, row_N)
        x_NC, label_N = rows_of_all(self.accelerator, x_NC, label_N)
        config = self.config
        mean = nt_xent(x_NC, label_N, temperature=config.temperature, similarity=config.similarity)
        return {"contrastive": counted_once(self.accelerator, len(label_N) * mean)}

    def join_batch(self) -> None:
        """Take part in a batch of which this process has no share."""
        if self.accelerator is not None:
            rows_of_all(self.accelerator, *no_rows(self.task, self.accelerator.device))


def _user_sums(name: str, loss: Callable[..., Any], outputs_NS: Tensor, target: Tensor) -> Sums:
    """Return the sums of a loss of the user.

    Raises:
        TrainingError: the function fails, returns something else than a loss, or has no gradient.
    """
    if not len(target):  # the function is not called: its result for no turns is often NaN, which would stop the run
        return outputs_NS.sum(), outputs_NS.new_zeros(())
    try:
        result = loss(outputs_NS, target)
    except Exception as error:  # the user's code may raise anything
        raise TrainingError(
            f"loss {name!r}: its function failed: {type(error).__name__}: {error}; correct the function"
        ) from error
    sums = _as_sums(name, result, len(outputs_NS))
    if outputs_NS.requires_grad and not sums[0].requires_grad:
        raise TrainingError(
            f"loss {name!r}: its result has no gradient, so nothing is learnt; compute it from outputs with torch, "
            "without detach, item or numpy"
        )
    return sums


def _as_sums(name: str, result: Any, n_turns: int) -> Sums:
    """Return the result of a user's loss as numerator and denominator.

    Raises:
        TrainingError: the result is neither one number per turn nor a pair of numbers.
    """
    if isinstance(result, Tensor) and result.shape == (n_turns,):
        return result.sum(), result.new_full((), n_turns)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor) and result[0].ndim == 0:
        numerator, denominator = result
        if isinstance(denominator, (int, float)):
            return numerator, numerator.new_full((), denominator)
        if isinstance(denominator, Tensor) and denominator.ndim == 0:
            return numerator, denominator.to(numerator.dtype)
    raise TrainingError(
        f"loss {name!r}: returned {_shape_text(result)} for {n_turns} turns, expected one number per turn [{n_turns}], "
        "or a pair (numerator, denominator) of single numbers, the numerator a tensor"
    )


def _shape_text(value: Any) -> str:
    """Return the shape of a tensor, or the type of another value, as text for a message.

    >>> _shape_text((torch.zeros(3), 2))
    '((3,), int)'
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(_shape_text, value))})"
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _labelled_rows(outputs_BTS: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
    """Return outputs ``[N, S]`` and targets (``[N]`` or ``[N, S]``) of the turns that have a target."""
    if batch.value is None:
        row_N = _on_device_of(counted_rows(batch.on_host(batch.label)), outputs_BTS)
        target = batch.label.flatten()
    else:
        row_N = _on_device_of(batch.on_host(batch.value).isfinite().any(-1).flatten().nonzero()[:, 0], outputs_BTS)
        target = batch.value.flatten(0, 1)
    return outputs_BTS.flatten(0, 1).index_select(0, row_N), target.index_select(0, row_N)


def _on_device_of(row_N: Tensor, outputs_BTS: Tensor) -> Tensor:
    """Copy row numbers to the device of the outputs; the host does not wait for the copy."""
    return (row_N.pin_memory() if outputs_BTS.is_cuda else row_N).to(outputs_BTS.device, non_blocking=True)
