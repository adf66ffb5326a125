"""The learner: it makes one optimizer step, from the gradient and its checks to the update and the moving average."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import TrainingError
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.training.config.run_config import OptimizerConfig
from dialogue_ser.training.loop.devices import share_buffers
from dialogue_ser.training.loop.gradient.adversarial import Attack
from dialogue_ser.training.loop.gradient.not_finite import not_finite_message
from dialogue_ser.training.loop.gradient.step_gradient import Seen, StepGradient
from dialogue_ser.training.loop.gradient.terms import ADVERSARIAL, Denominators, Loss, Source, Terms
from dialogue_ser.training.loop.gradient.whole_batch import of_share
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


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The result of one optimizer step. It is the same in every process.

    Args:
        numerator: sum of the loss's numerators.
        denominator: sum of the loss's denominators.
        grad_norm: norm of the whole gradient before clipping.
        learning_rate: learning rate of the step.
        is_stop_requested: whether a signal has asked any process to stop.
        auxiliary: auxiliary loss → its sum and its denominator.
    """

    numerator: float
    denominator: float
    grad_norm: float
    learning_rate: float
    is_stop_requested: bool
    auxiliary: Mapping[str, tuple[float, float]] = field(default_factory=dict)

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
        sources: what has auxiliary losses beside the system.
        attack: the attack of adversarial training; None = there is none.
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
        sources: Sequence[Source] = (),
        attack: Attack | None = None,
    ) -> None:
        self.system = system
        self.optimizer = optimizer
        self.loss = loss
        self.config = config
        self.total_steps = total_steps
        self.accelerator = accelerator
        self.terms = Terms([system, *sources], of_share(loss))
        self.gradient = StepGradient(system, loss, self.terms, accelerator, attack)
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

        The host waits for the device only once, to read four numbers and the auxiliary losses. If the optimizer can
        skip a bad update on the device itself, the update is queued before this wait, which is faster. Otherwise (also
        with fp16) the host reads the numbers first and then decides about the update.

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
        denominators = self.terms.denominators(batches, self.accelerator)
        numbers, norm, seen = self._backward(batches, denominators, step, is_stop_requested)
        skips_on_device = scaler is None and can_skip_on_device(self.optimizer)
        if skips_on_device:
            self._clip(norm)
            step_if(self.optimizer, numbers.isfinite().all())
        numerator, denominator, n_stops, *sums, grad_norm = numbers.tolist()  # the host waits here and nowhere else
        values = {"loss": numerator / (denominator or 1.0)}
        names = [*self.terms.names, *([ADVERSARIAL] if self.gradient.attack else [])]
        values |= {f"auxiliary loss {name}": value for name, value in zip(names, sums, strict=True)}
        if scaler is None:  # with fp16, overflows are normal: the scaler skips the update and changes its scale
            values["gradient"] = grad_norm
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingError(not_finite_message(name, step, seen))
        denominators.check(denominator)
        if not skips_on_device:
            if math.isfinite(grad_norm):
                self._clip(norm)
            self._update()
        share_buffers(self.system, self.accelerator)
        if self.average is not None:
            self.average.update(self.system)
        return StepResult(
            numerator=numerator,
            denominator=denominator,
            grad_norm=grad_norm if math.isfinite(grad_norm) else 0.0,
            learning_rate=learning_rate,
            is_stop_requested=n_stops > 0,
            auxiliary=self._auxiliary(dict(zip(names, sums, strict=True)), denominators, denominator, step),
        )

    def _backward(
        self, batches: Sequence[DialogueBatch], denominators: Denominators, step: int, is_stop_requested: bool
    ) -> tuple[Tensor, Tensor, Seen]:
        """Compute the gradient of the mean loss over all processes and batches, plus that of the penalty.

        The gradient is left in the parameters.

        Returns:
            A tuple of three: numbers on the device in float64 (the loss's numerator, its denominator, the number of
            processes that a signal asked to stop, the sums of the auxiliary losses, the norm of the gradient); this
            norm in its own type; for each batch, the batch and its scores.
        """
        total, seen = self.gradient.compute(batches, denominators, step, is_stop_requested=is_stop_requested)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.unscale_(self.optimizer)
        gradients = [parameter.grad for parameter in self.system.parameters() if parameter.grad is not None]
        torch._foreach_div_(gradients, torch.where(total[1] == 0, 1.0, total[1]))  # the only division
        self.penalty.add_gradients()
        norm = get_total_norm(gradients)
        return torch.cat([total, norm.to(total)[None]]), norm, seen

    def _auxiliary(
        self, sums: Mapping[str, float], denominators: Denominators, denominator: float, step: int
    ) -> dict[str, tuple[float, float]]:
        """Return auxiliary loss → its sum and its denominator; that of an attack only if the step had one."""
        attack = self.gradient.attack
        is_attacked = attack is not None and bool(attack.targets(step))
        return {
            name: (value, denominators.of(name, denominator))
            for name, value in sums.items()
            if name != ADVERSARIAL or is_attacked
        }

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
