"""The gradient of one optimizer step, summed over all its batches and all processes, but not divided yet."""

from collections.abc import Iterable, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.training.loop.devices import most_of_ranks, sum_over_ranks
from dialogue_ser.training.loop.gradient.adversarial import Attack
from dialogue_ser.training.loop.gradient.terms import Denominators, Loss, Terms
from dialogue_ser.training.loop.gradient.whole_batch import WholeBatchLoss

Seen = list[tuple[DialogueBatch, Tensor]]
"""The batches of a step on the device, each with the scores that the system gave."""


class StepGradient:
    """Computes the gradient of a step.

    Args:
        system: the model.
        loss: the main loss.
        terms: the auxiliary losses.
        accelerator: device, autocast, loss scale and process group.
        attack: the attack of adversarial training; None = there is no second pass.
    """

    def __init__(
        self,
        system: DialogueSystem,
        loss: Loss,
        terms: Terms,
        accelerator: Accelerator,
        attack: Attack | None = None,
    ) -> None:
        self.attack = attack
        self.system = system
        self.loss = loss
        self.terms = terms
        self.accelerator = accelerator

    def compute(
        self,
        batches: Sequence[DialogueBatch],
        denominators: Denominators,
        step: int,
        *,
        is_stop_requested: bool = False,
    ) -> tuple[Tensor, Seen]:
        """Leave the gradient in the parameters: the sum over all processes; with fp16 times the loss scale.

        Args:
            batches: batches of this process; there may be none.
            denominators: those of the step.
            step: number of the step, from 0.
            is_stop_requested: whether a signal has asked this process to stop.

        Returns:
            a pair of two: numbers on the device in float64, summed over all processes (the main loss's numerator, its
            denominator, the number of processes that a signal asked to stop, the sum of each auxiliary loss and, with
            an attack, the main loss's numerator in the second pass); and what the system has seen.
        """
        device = self.accelerator.device
        n_numbers = 3 + len(self.terms.names) + (self.attack is not None)
        sums = torch.zeros(n_numbers, dtype=torch.float64, device=device)
        n_missing = self._n_missing(len(batches))
        moved = (batch.to(device) for batch in batches)
        seen = self._add_gradients(moved, denominators, sums, n_missing=n_missing)
        sum_gradients_over_ranks(self.system, self.accelerator)
        names = () if self.attack is None else self.attack.targets(step)
        if self.attack is not None and names:
            sums[-1] = self._add_attacked_gradients(self.attack, names, seen, denominators, n_missing)
        sums[2] = float(is_stop_requested)
        return sum_over_ranks(self.accelerator, sums), seen

    def _add_attacked_gradients(
        self, attack: Attack, names: Sequence[str], seen: Seen, denominators: Denominators, n_missing: int
    ) -> Tensor:
        """Run the second pass on the same batches; return its main loss's numerator.

        Its gradients are added to the first ones, except those of the weights that moved. The direction of the move is
        the gradient of the whole step, over all batches and processes. Its length does not matter, so it need not be
        divided before.
        """
        parameters = dict(self.system.named_parameters())
        with attack.moved(names):
            clean = {name: parameter.grad for name, parameter in parameters.items()}
            for parameter in parameters.values():
                parameter.grad = None
            sums = torch.zeros(3 + len(self.terms.names), dtype=torch.float64, device=self.accelerator.device)
            batches = (batch for batch, _ in seen)
            self._add_gradients(batches, denominators, sums, n_missing=n_missing, is_attacked=True)
        sum_gradients_over_ranks(self.system, self.accelerator)
        kept = frozenset(names)
        for name, parameter in parameters.items():
            before = clean[name]
            if name in kept or parameter.grad is None:
                parameter.grad = before
            elif before is not None:
                parameter.grad += before
        return sums[0]

    def _add_gradients(
        self,
        batches: Iterable[DialogueBatch],
        denominators: Denominators,
        sums: Tensor,
        *,
        n_missing: int,
        is_attacked: bool = False,
    ) -> Seen:
        """Run forward and backward on some batches; add to the gradients and to the sums of the step.

        Of ``n_missing`` further batches this process has no share. They come last, because only the last batch of an
        epoch can be smaller than the number of processes.
        """
        seen: Seen = []
        for batch in batches:
            with self.accelerator.autocast():
                output = self.system(batch)
            numerator, denominator = self.loss(output, batch)
            auxiliary = self.terms.sums(output, batch) if self.terms.names else []
            total = self.terms.total(numerator, auxiliary, denominators, is_attacked=is_attacked)
            if total.requires_grad:
                self.accelerator.backward(total)  # not divided yet; with fp16 times the loss scale
            sums[:2] += torch.stack([numerator.detach(), denominator.detach()]).double()
            for index, value in enumerate(auxiliary, start=3):
                sums[index] += value.detach()
            seen.append((batch, output.scores_BTS.detach()))
        for _ in range(n_missing):
            if isinstance(self.loss, WholeBatchLoss):
                self.loss.join_batch()
            self.terms.join_batch()
        return seen

    def _n_missing(self, n_batches: int) -> int:
        """Return how many batches of the step only other processes have, if a loss needs all processes for a batch."""
        needs_all = isinstance(self.loss, WholeBatchLoss) or self.terms.needs_all
        return most_of_ranks(self.accelerator, n_batches) - n_batches if needs_all else 0


def sum_gradients_over_ranks(system: nn.Module, accelerator: Accelerator) -> None:
    """Replace every gradient by its sum over all processes, in one exchange.

    Torch's DistributedDataParallel cannot be used: it averages per batch and needs a forward pass in every process for
    every batch. Here the losses are sums that are divided once, and a process may have no part of the last batch.

    If no process has a gradient for a parameter, its gradient stays None, so that weight decay does not change the
    parameter. With one process it is the same.
    """
    if accelerator.num_processes == 1:
        return
    parameters = [parameter for parameter in system.parameters() if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    has_gradient = torch.tensor(
        [p.grad is not None for p in parameters], dtype=torch.float32, device=accelerator.device
    )
    total = sum_over_ranks(accelerator, torch.cat([*(gradient.flatten() for gradient in gradients), has_gradient]))
    pieces = torch.split(total, [parameter.numel() for parameter in parameters] + [len(parameters)])
    n_with_gradient = pieces[-1].tolist()
    for parameter, piece, n_ranks in zip(parameters, pieces, n_with_gradient, strict=False):
        parameter.grad = piece.view_as(parameter).to(parameter.dtype) if n_ranks else None
