"""The auxiliary losses of a step: their weights, their exact denominators, and the one number that is differentiated.

The gradient of a step is divided once, by the main loss's denominator D, after it has been summed over all batches and
processes. A term with its own count C is therefore multiplied by D / C before. Both are known on the CPU before the
first backward pass, because they depend on the annotation only.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError, TrainingError, unknown_name
from dialogue_ser.models.api import MainLoss, Output
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.loop.devices import sum_over_ranks

Sums = tuple[Tensor, Tensor]
"""Numerator and denominator of a loss. The learner adds them over all processes and batches, and divides once."""


#: Name of the main loss in the second pass of adversarial training, in the lines of metrics.jsonl.
ADVERSARIAL = "adversarial"


class Loss(Protocol):
    """The interface of a main loss.

    It gives the sums of a batch. The learner divides once, after it has added them over all processes and batches.
    """

    task: Task

    def __call__(self, output: Output, batch: DialogueBatch) -> Sums:
        """Return the numerator and the denominator of the batch's mean loss."""
        ...

    def denominator(self, batch: DialogueBatch) -> float:
        """Return the denominator of a batch on the CPU, without the outputs of a system."""
        ...


class Source(Protocol):
    """What has auxiliary losses: a system, or a setting of the loss. :class:`DialogueSystem` explains the methods."""

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        """Name → weight."""
        ...

    def auxiliary_counts(self, batch: DialogueBatch) -> Mapping[str, float]:
        """Name → denominator in a batch on the CPU."""
        ...

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        """Name → sum over a batch."""
        ...


@dataclass(frozen=True)
class Denominators:
    """The denominators of one step, over all its batches and processes.

    Args:
        main: denominator D of the main loss, as it was found before the forward passes; NaN if no term needs it.
        counts: term → its own count C; a term that is not in it is divided by D.
    """

    main: float = math.nan
    counts: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """D / C: what a term's sum is multiplied with, before the gradient is divided by D. It is 0 where C is 0."""
        if name not in self.counts:
            return 1.0
        count = self.counts[name]
        return (self.main or 1.0) / count if count else 0.0  # where D is 0, the gradient is not divided

    def of(self, name: str, main: float) -> float:
        """The denominator of a term: its own count, or ``main``, the main loss's denominator."""
        return self.counts.get(name, main)

    def check(self, main: float) -> None:
        """Raise TrainingError if the main loss's denominator is not the one that was found before."""
        if self.counts and not math.isclose(main, self.main, rel_tol=1e-4, abs_tol=1e-6):
            raise TrainingError(
                f"loss: its denominator is {main:g} with the outputs of the system, but {self.main:g} with outputs for "
                "scores of 0, so auxiliary losses have no exact weight beside it; let the function of the loss return "
                "a denominator that depends on the targets only"
            )


class Terms:
    """The auxiliary losses of a run.

    Args:
        sources: what has auxiliary losses, e.g. the system.
        loss: the main loss.

    Raises:
        ConfigError: two sources have a term of the same name, or a weight is not a finite number of at least 0.
    """

    def __init__(self, sources: Sequence[Source], loss: Loss) -> None:
        self.loss = loss
        self.weights: dict[str, float] = {}
        self.adversarial_weights: dict[str, float] = {}
        self._sources: list[tuple[Source, tuple[str, ...]]] = []
        problems = []
        for source in sources:
            weights = dict(source.auxiliary_weights)
            attacked = dict(getattr(source, "adversarial_weights", weights))
            for name, weight in weights.items():
                if name in (*self.weights, ADVERSARIAL):
                    problems.append(f"auxiliary loss {name!r}: two parts of the training have it; rename one")
                if not (math.isfinite(weight) and weight >= 0):
                    problems.append(f"auxiliary loss {name!r}: found the weight {weight}, expected at least 0")
            names = tuple(name for name, weight in weights.items() if weight or attacked[name])
            self.weights |= {name: float(weights[name]) for name in names}
            self.adversarial_weights |= {name: float(attacked[name]) for name in names}
            if names:
                self._sources.append((source, names))
        if problems:
            raise ConfigError(*problems)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms, in order."""
        return tuple(self.weights)

    def denominators(self, batches: Sequence[DialogueBatch], accelerator: Accelerator) -> Denominators:
        """Return the denominators of one step. All processes call this together if there are terms.

        Args:
            batches: batches of this process on the CPU; there may be none.
            accelerator: process group.

        Raises:
            TrainingError: the system counts for a term that it does not have, or a count is not a finite number.
        """
        if not self.weights:
            return Denominators()
        counts = [self._counts(batch) for batch in batches]
        own = [sum(found.get(name, 0.0) for found in counts) for name in self.names]
        is_counted = [float(any(name in found for found in counts)) for name in self.names]
        main = sum(self.loss.denominator(batch) for batch in batches) if any(is_counted) else 0.0
        if accelerator.num_processes > 1:
            # The names are summed too, because a process without a batch knows no counts.
            values = torch.tensor([main, *own, *is_counted], dtype=torch.float64, device=accelerator.device)
            main, *rest = sum_over_ranks(accelerator, values).tolist()
            own, is_counted = rest[: len(own)], rest[len(own) :]
        named = zip(self.names, own, is_counted, strict=True)
        return Denominators(main, {name: count for name, count, has_count in named if has_count})

    def sums(self, output: Output, batch: DialogueBatch) -> list[Tensor]:
        """Return the sum of each term over a batch, in the order of :attr:`names`.

        Raises:
            TrainingError: a source gives no single number with a gradient for one of its terms.
        """
        found: dict[str, Tensor] = {}
        for source, names in self._sources:
            numerators = source.auxiliary_numerators(output, batch, self._main_loss)
            _check_names(numerators, source.auxiliary_weights)
            for name in names:
                value = numerators.get(name)
                if not isinstance(value, Tensor) or value.ndim != 0:
                    raise TrainingError(
                        f"auxiliary loss {name!r}: found {_shown(value)}, expected a single number (a 0-d tensor) from "
                        "auxiliary_numerators; correct the code of the system"
                    )
                found[name] = value if value.dtype.itemsize >= 4 else value.float()
        return [found[name] for name in self.names]

    @property
    def needs_all(self) -> bool:
        """Whether the processes must compute a term together, because it is no sum over turns."""
        return any(hasattr(source, "join_batch") for source, _ in self._sources)

    def join_batch(self) -> None:
        """Take part in the terms of a batch of which this process has no share."""
        for source, _ in self._sources:
            if hasattr(source, "join_batch"):
                source.join_batch()

    def total(
        self, numerator: Tensor, sums: Iterable[Tensor], denominators: Denominators, *, is_attacked: bool = False
    ) -> Tensor:
        """Return the number whose gradient, summed over all batches and divided by D, is that of the whole loss.

        Args:
            numerator: sum of the main loss.
            sums: sum of each term.
            denominators: those of the step.
            is_attacked: whether this is the second pass of adversarial training, which has weights of its own.
        """
        weights = self.adversarial_weights if is_attacked else self.weights
        for name, value in zip(self.names, sums, strict=True):
            factor = weights[name] * denominators.ratio(name)
            if factor:  # a term about no turn is left out, because its sum may be 0 / 0
                numerator = numerator + factor * value
        return numerator

    def _counts(self, batch: DialogueBatch) -> dict[str, float]:
        """Return the counts of the terms with a weight in one batch."""
        counts: dict[str, float] = {}
        for source, names in self._sources:
            found = source.auxiliary_counts(batch)
            _check_names(found, source.auxiliary_weights)
            counts |= {name: float(count) for name, count in found.items() if name in names}
        for name, count in counts.items():
            if not (math.isfinite(count) and count >= 0):
                raise TrainingError(
                    f"auxiliary loss {name!r}: found the count {count}, expected a number of at least 0; correct "
                    "auxiliary_counts of the system"
                )
        return counts

    def _main_loss(self, scores_BTS: Tensor, batch: DialogueBatch) -> Sums:
        return self.loss(Output(scores_BTS, {}), batch)


def _check_names(found: Mapping[str, object], weights: Mapping[str, float]) -> None:
    """Raise TrainingError if a source has values of a term that has no weight."""
    unknown = [unknown_name("auxiliary loss", name, weights or ["(none)"]) for name in found if name not in weights]
    if unknown:
        raise TrainingError(*(f"{problem}; name it in auxiliary_weights of the system" for problem in unknown))


def _shown(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}"
    return "nothing" if value is None else f"an object of type {type(value).__name__}"
