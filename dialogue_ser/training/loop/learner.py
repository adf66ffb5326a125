"""The learner: it makes one optimizer step, from the gradient and its checks to the update and the moving average."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import TrainingError
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import OptimizerConfig
from dialogue_ser.training.loop.devices import sum_over_ranks
from dialogue_ser.training.loop.optimize import (
    L2Penalty,
    MovingAverage,
    can_skip_on_device,
    learning_rate_at,
    load_optimizer_state,
    optimizer_state,
    set_learning_rate,
    step_if,
)


class Loss(Protocol):
    """The interface of a loss.

    It gives the sums of a batch. The learner divides once, after it has added them over all processes and batches.
    """

    task: Task

    def __call__(self, output: Output, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Return the numerator and the denominator of the batch's mean loss."""
        ...


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The result of one optimizer step. It is the same in every process.

    Args:
        numerator: sum of the loss's numerators.
        denominator: sum of the loss's denominators.
        grad_norm: norm of the whole gradient before clipping.
        learning_rate: learning rate of the step.
        is_stop_requested: whether a signal has asked any process to stop.
    """

    numerator: float
    denominator: float
    grad_norm: float
    learning_rate: float
    is_stop_requested: bool

    @property
    def loss(self) -> float:
        """Mean loss over the labelled turns of the step, with the weights of the loss."""
        return self.numerator / self.denominator if self.denominator else 0.0


class Learner:
    """The model, its optimizer and the moving average of its weights; :meth:`step` changes all three.

    Args:
        system: the model, already on the accelerator's device.
        optimizer: optimizer of the model's parameters.
        loss: the loss of a batch.
        config: schedule, penalty and clipping.
        total_steps: number of optimizer steps of the whole run, for the schedule.
        accelerator: device, autocast and process group.
        ema_decay: decay of the moving average of the weights; 0 = no average.
    """

    def __init__(
        self,
        system: DialogueSystem,
        optimizer: Optimizer,
        loss: Loss,
        *,
        config: OptimizerConfig,
        total_steps: int,
        accelerator: Accelerator,
        ema_decay: float = 0.0,
    ) -> None:
        self.system = system
        self.optimizer = optimizer
        self.loss = loss
        self.config = config
        self.total_steps = total_steps
        self.accelerator = accelerator
        self.penalty = L2Penalty(system, config.l2)
        self.average = MovingAverage(system, ema_decay) if ema_decay else None

    def learning_rate_of(self, step: int) -> float:
        """Return the learning rate of the first parameter group in one step, from 0.

        The optimizer itself does not know it after a resume, before the first step.
        """
        share: float = self.optimizer.param_groups[0].get("rate_share", 1.0)
        return learning_rate_at(step, self.total_steps, self.config) * share

    def step(self, batches: Sequence[DialogueBatch], step: int, *, is_stop_requested: bool = False) -> StepResult:
        """Make one optimizer step from the batches of this process.

        The host waits for the device only once, to read four numbers. If the optimizer can skip a bad update on the
        device itself, the update is queued before this wait, which is faster. Otherwise (also with fp16) the host reads
        the numbers first and then decides about the update.

        Args:
            batches: batches of this process; there may be none.
            step: number of optimizer steps done before, for the schedule.
            is_stop_requested: whether a signal has asked this process to stop; all processes get this in their result.

        Raises:
            TrainingError: the loss or the gradient is not finite. Nothing has been updated then.
        """
        self.system.train()
        self.optimizer.zero_grad(set_to_none=True)
        learning_rate = learning_rate_at(step, self.total_steps, self.config)
        set_learning_rate(self.optimizer, learning_rate)
        scaler = self.accelerator.scaler
        numbers, norm, outputs = self._backward(batches, is_stop_requested)
        skips_on_device = scaler is None and can_skip_on_device(self.optimizer)
        if skips_on_device:
            self._clip(norm)
            step_if(self.optimizer, numbers.isfinite().all())
        numerator, denominator, n_stops, grad_norm = numbers.tolist()  # the host waits here and nowhere else
        if not math.isfinite(numerator / (denominator or 1.0)):
            raise TrainingError(_not_finite_message("loss", step, outputs))
        # With fp16, overflows are normal: the scaler skips the update and changes its scale.
        if not math.isfinite(grad_norm) and scaler is None:
            raise TrainingError(_not_finite_message("gradient", step, outputs))
        if not skips_on_device:
            if math.isfinite(grad_norm):
                self._clip(norm)
            self._update()
        if self.average is not None:
            self.average.update(self.system)
        return StepResult(
            numerator=numerator,
            denominator=denominator,
            grad_norm=grad_norm if math.isfinite(grad_norm) else 0.0,
            learning_rate=learning_rate,
            is_stop_requested=n_stops > 0,
        )

    def _backward(
        self, batches: Sequence[DialogueBatch], is_stop_requested: bool
    ) -> "tuple[Tensor, Tensor, list[tuple[DialogueBatch, Tensor]]]":
        """Compute the gradient of the mean loss over all processes and batches, plus that of the penalty.

        The gradient is left in the parameters.

        Returns:
            A tuple of three: four numbers on the device in float64 (the loss's numerator, its denominator, the number
            of processes that a signal asked to stop, the norm of the gradient); this norm in its own type; for each
            batch, the batch and its scores.
        """
        sums = torch.zeros(3, dtype=torch.float64, device=self.accelerator.device)
        outputs = []
        for batch in (batch.to(self.accelerator.device) for batch in batches):
            with self.accelerator.autocast():
                output = self.system(batch)
            numerator, denominator = self.loss(output, batch)
            if numerator.requires_grad:
                self.accelerator.backward(numerator)  # not divided yet; with fp16 times the loss scale
            sums[:2] += torch.stack([numerator.detach(), denominator.detach()]).double()
            outputs.append((batch, output.scores_BTS.detach()))
        sums[2] = float(is_stop_requested)
        total = sum_over_ranks(self.accelerator, sums)
        sum_gradients_over_ranks(self.system, self.accelerator)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.unscale_(self.optimizer)
        gradients = [parameter.grad for parameter in self.system.parameters() if parameter.grad is not None]
        torch._foreach_div_(gradients, torch.where(total[1] == 0, 1.0, total[1]))  # the only division
        self.penalty.add_gradients()
        norm = get_total_norm(gradients)
        return torch.cat([total, norm.to(total)[None]]), norm, outputs

    def _clip(self, norm: Tensor) -> None:
        """Scale the gradient down if its norm is larger than the limit."""
        if self.config.clip_norm > 0:
            clip_grads_with_norm_(self.system.parameters(), self.config.clip_norm, norm)

    def _update(self) -> None:
        """Change the weights; with fp16, the scaler skips this after an overflow."""
        scaler = self.accelerator.scaler
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()

    @contextmanager
    def evaluation_weights(self) -> Iterator[DialogueSystem]:
        """Give the system in eval mode, with the averaged weights if there is a moving average."""
        was_training = self.system.training
        self.system.eval()
        with self.average.swapped_into(self.system) if self.average else nullcontext():
            yield self.system
        self.system.train(was_training)

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that training changes, for a checkpoint.

        Their names start with ``model/``, ``optimizer/``, ``ema/`` or ``scaler/``.
        """
        state = {f"model/{name}": value for name, value in self.system.state_dict().items()}
        state |= {f"optimizer/{name}": value for name, value in optimizer_state(self.optimizer).items()}
        if self.average is not None:
            state |= {f"ema/{name}": value for name, value in self.average.values.items()}
        if self.accelerator.scaler is not None:
            scaler = self.accelerator.scaler.state_dict()
            state |= {f"scaler/{name}": torch.tensor(value, dtype=torch.float64) for name, value in scaler.items()}
        return state

    def load_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that :meth:`tensors` returned."""
        self.system.load_state_dict(tensors_under(state, "model"))
        load_optimizer_state(self.optimizer, tensors_under(state, "optimizer"))
        if self.average is not None:
            for name, value in tensors_under(state, "ema").items():
                self.average.values[name].copy_(value)
        if self.accelerator.scaler is not None:
            scaler = {name: value.item() for name, value in tensors_under(state, "scaler").items()}
            counts = ("growth_interval", "_growth_tracker")
            self.accelerator.scaler.load_state_dict(scaler | {name: int(scaler[name]) for name in counts})


def tensors_under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix/``; the result has the names without it."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in state.items() if name.startswith(f"{prefix}/")}


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


def _not_finite_message(what: str, step: int, outputs: "list[tuple[DialogueBatch, Tensor]]") -> str:
    """Return an error message that names the turns which are the most likely cause.

    These are turns with bad features; if there are none, turns with bad outputs; otherwise all turns of the step.
    """
    turns: dict[str, list[str]] = {"features are": [], "outputs are": [], "turns were": []}
    for batch, scores_BTS in outputs:
        has_bad_input_BT = torch.zeros_like(batch.is_real_turn)
        for values in batch.features.values():
            if values.is_floating_point():
                has_bad_input_BT |= ~values.flatten(2).isfinite().all(dim=2)
        has_bad_output_BT = ~scores_BTS.isfinite().all(dim=2)
        for b, ids in enumerate(batch.utterance_ids):
            turns["features are"] += [name for t, name in enumerate(ids) if has_bad_input_BT[b, t]]
            turns["outputs are"] += [name for t, name in enumerate(ids) if has_bad_output_BT[b, t]]
            turns["turns were"] += ids
    cause = "the turns are in another process"
    for subject, names in turns.items():
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            state = "in the step" if subject == "turns were" else "not finite"
            cause = f"{subject} {state}: {', '.join(names[:10])}{more}"
            break
    return (
        f"step {step + 1}: the {what} is not finite ({cause}); nothing was updated and the last checkpoint is intact; "
        "lower --optimizer.learning_rate, set --optimizer.clip_norm, or check these features"
    )
