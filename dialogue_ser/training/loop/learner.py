"""One optimizer step: gradients of exact global means, checks, clipping, update, moving average."""

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
    """A loss of a batch, and the task that reads scores; the learner divides once, over all ranks and batches."""

    task: Task

    def __call__(self, output: Output, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Numerator and denominator."""
        ...


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one optimizer step gave, equal on every rank.

    Args:
        numerator: Σ of the loss's numerators.
        denominator: Σ of its denominators.
        grad_norm: norm of the whole gradient before clipping.
        learning_rate: rate the step was taken with.
        is_stop_requested: whether any rank was asked to stop.
    """

    numerator: float
    denominator: float
    grad_norm: float
    learning_rate: float
    is_stop_requested: bool

    @property
    def loss(self) -> float:
        """Mean over the step's labelled turns (weighted as the loss weights them)."""
        return self.numerator / self.denominator if self.denominator else 0.0


class Learner:
    """Model, optimizer and moving average, moved step by step.

    Args:
        system: the model, already on the accelerator's device.
        optimizer: over the model's parameters.
        loss: numerator and denominator of a batch.
        config: schedule, penalty and clipping.
        total_steps: optimizer steps of the whole run, for the schedule.
        accelerator: device, autocast and process group.
        ema_decay: moving average of the weights; 0 = none.
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

    def step(self, batches: Sequence[DialogueBatch], step: int, *, is_stop_requested: bool = False) -> StepResult:
        """One optimizer step from this rank's batches.

        Everything is queued on the device before the host waits for it, once, to read four numbers. Where the optimizer
        cannot be told on the device to leave a step out, and under fp16, that is before the update, else after it.

        Args:
            batches: this rank's share; may be empty.
            step: optimizer steps done before, for the schedule.
            is_stop_requested: whether this rank was asked to stop; the answer tells all ranks.

        Raises:
            TrainingError: loss or gradient not finite; nothing has been updated then.
        """
        self.system.train()
        self.optimizer.zero_grad(set_to_none=True)
        learning_rate = learning_rate_at(step, self.total_steps, self.config)
        set_learning_rate(self.optimizer, learning_rate)
        scaler = self.accelerator.scaler
        numbers, norm, outputs = self._backward(batches, is_stop_requested)
        is_decided_on_device = scaler is None and can_skip_on_device(self.optimizer)
        if is_decided_on_device:
            self._clip(norm)
            step_if(self.optimizer, numbers.isfinite().all())
        numerator, denominator, n_stops, grad_norm = numbers.tolist()  # the host waits here and nowhere else
        if not math.isfinite(numerator / (denominator or 1.0)):
            raise TrainingError(_not_finite("loss", step, outputs))
        # fp16's scaler expects overflows: it skips the step and rescales
        if not math.isfinite(grad_norm) and scaler is None:
            raise TrainingError(_not_finite("gradient", step, outputs))
        if not is_decided_on_device:
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
        """Gradient of the mean over all ranks and batches and of the penalty, left in the parameters.

        Returns:
            on the device, float64: numerator, denominator, ranks that were asked to stop, norm of the gradient; that
            norm as it is; and per batch what went in and came out.
        """
        sums = torch.zeros(3, dtype=torch.float64, device=self.accelerator.device)
        outputs = []
        for batch in (batch.to(self.accelerator.device) for batch in batches):
            with self.accelerator.autocast():
                output = self.system(batch)
            numerator, denominator = self.loss(output, batch)
            if numerator.requires_grad:
                self.accelerator.backward(numerator)  # undivided; times the loss scale under fp16
            sums[:2] += torch.stack([numerator.detach(), denominator.detach()]).double()
            outputs.append((batch, output.scores_BTS.detach()))
        sums[2] = float(is_stop_requested)
        total = sum_over_ranks(self.accelerator, sums)
        sum_gradients_over_ranks(self.system, self.accelerator)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.unscale_(self.optimizer)
        gradients = [parameter.grad for parameter in self.system.parameters() if parameter.grad is not None]
        torch._foreach_div_(gradients, torch.where(total[1] == 0, 1.0, total[1]))  # the one division
        self.penalty.add_gradients()
        norm = get_total_norm(gradients)
        return torch.cat([total, norm.to(total)[None]]), norm, outputs

    def _clip(self, norm: Tensor) -> None:
        if self.config.clip_norm > 0:
            clip_grads_with_norm_(self.system.parameters(), self.config.clip_norm, norm)

    def _update(self) -> None:
        scaler = self.accelerator.scaler
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()

    @contextmanager
    def evaluation_weights(self) -> Iterator[DialogueSystem]:
        """The system in eval mode with the weights that are judged: the moving average where there is one."""
        was_training = self.system.training
        self.system.eval()
        with self.average.swapped_into(self.system) if self.average else nullcontext():
            yield self.system
        self.system.train(was_training)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that learning changes, for a checkpoint: ``model/…``, ``optimizer/…``, ``ema/…``, ``scaler/…``."""
        state = {f"model/{name}": value for name, value in self.system.state_dict().items()}
        state |= {f"optimizer/{name}": value for name, value in optimizer_state(self.optimizer).items()}
        if self.average is not None:
            state |= {f"ema/{name}": value for name, value in self.average.values.items()}
        if self.accelerator.scaler is not None:
            scaler = self.accelerator.scaler.state_dict()
            state |= {f"scaler/{name}": torch.tensor(value, dtype=torch.float64) for name, value in scaler.items()}
        return state

    def load_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what :meth:`tensors` gave."""
        self.system.load_state_dict(part(state, "model"))
        load_optimizer_state(self.optimizer, part(state, "optimizer"))
        if self.average is not None:
            for name, value in part(state, "ema").items():
                self.average.values[name].copy_(value)
        if self.accelerator.scaler is not None:
            scaler = {name: value.item() for name, value in part(state, "scaler").items()}
            counts = ("growth_interval", "_growth_tracker")
            self.accelerator.scaler.load_state_dict(scaler | {name: int(scaler[name]) for name in counts})


def part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors under ``prefix/``, without it."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in state.items() if name.startswith(f"{prefix}/")}


def sum_gradients_over_ranks(system: nn.Module, accelerator: Accelerator) -> None:
    """Replaces every gradient by its sum over ranks, in one exchange.

    Done here, once per step, and not by DDP: DDP averages per batch and needs a forward on every rank for every batch,
    whereas these losses are sums that are divided once, and a rank's share of the last batch may be empty.
    A parameter no rank has a gradient for keeps None, so that weight decay leaves it alone as on one process.
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


def _not_finite(what: str, step: int, outputs: "list[tuple[DialogueBatch, Tensor]]") -> str:
    """Sentence naming the turns that most likely caused it: bad features, else bad outputs, else the whole step."""
    causes: dict[str, list[str]] = {"features are": [], "outputs are": [], "turns were": []}
    for batch, scores_BTS in outputs:
        has_bad_input_BT = torch.zeros_like(batch.is_real_turn)
        for values in batch.features.values():
            if values.is_floating_point():
                has_bad_input_BT |= ~values.flatten(2).isfinite().all(dim=2)
        has_bad_output_BT = ~scores_BTS.isfinite().all(dim=2)
        for b, ids in enumerate(batch.utterance_ids):
            causes["features are"] += [name for t, name in enumerate(ids) if has_bad_input_BT[b, t]]
            causes["outputs are"] += [name for t, name in enumerate(ids) if has_bad_output_BT[b, t]]
            causes["turns were"] += ids
    named = "the turns are on another rank"
    for cause, found in causes.items():
        if found:
            more = f" and {len(found) - 10} more" if len(found) > 10 else ""
            which = "in the step" if cause == "turns were" else "not finite"
            named = f"{cause} {which}: {', '.join(found[:10])}{more}"
            break
    return (
        f"step {step + 1}: the {what} is not finite ({named}); nothing was updated and the last checkpoint is intact: "
        "lower --optimizer.learning_rate, set --optimizer.clip_norm, or check these features"
    )
