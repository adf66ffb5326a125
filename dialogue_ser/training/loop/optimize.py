"""The optimizer, the schedule of the learning rate, the L2 penalty and the moving average of the weights."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from dialogue_ser.encoders import TrainedEncoder
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.training.config.run_config import OptimizerConfig

# Parts of names of parameters without weight decay. Learned initial states are listed because they may be matrices
# [P, H], but it makes no sense to pull them towards 0.
_UNDECAYED_NAMES = ("bias", "initial", "h0")


def is_decayed(name: str, parameter: Tensor) -> bool:
    """Return whether AdamW decays a parameter: matrices yes; biases, gains of norms and learned initial states no.

    >>> is_decayed("head.weight", torch.zeros(2, 2)), is_decayed("cell.initial_state", torch.zeros(2, 2))
    (True, False)
    """
    last = name.rsplit(".", maxsplit=1)[-1]
    return parameter.ndim > 1 and not any(part in last for part in _UNDECAYED_NAMES)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Build the optimizer: AdamW with decoupled decay of matrices only, or Adam or SGD with L2 on every parameter.

    E2 uses Adam with L2 and EmotionRNN uses SGD with L2. Torch's fused kernels make the step; they are much faster,
    also on a CPU, and can skip an update on the device (:func:`step_if`).

    Each parameter group has a ``rate_share``: its learning rate is this multiple of ``learning_rate``
    (:func:`rate_shares`). Groups that start from random weights come first.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    fused = bool(named) and all(parameter.device.type in ("cpu", "cuda") for _, parameter in named)
    shares = rate_shares(model, config)
    groups: dict[tuple[bool, float, bool], dict[str, Any]] = {}
    for name, parameter in named:
        share = shares.get(name, 1.0)
        is_undecayed = config.name == "adamw" and not is_decayed(name, parameter)
        decay = 0.0 if is_undecayed else config.weight_decay
        key = (name in shares, -share, is_undecayed)
        group = groups.setdefault(key, {"params": [], "weight_decay": decay, "rate_share": share})
        group["params"].append(parameter)
    ordered = [groups[key] for key in sorted(groups)]
    if config.name == "sgd":
        # The fused kernel does not initialise the momentum if the first step is skipped, which often happens with fp16.
        momentum = config.momentum
        return SGD(ordered, lr=config.learning_rate, momentum=momentum, fused=fused and not momentum)
    kind = Adam if config.name == "adam" else AdamW
    return kind(ordered, lr=config.learning_rate, amsgrad=config.amsgrad, fused=fused)


def rate_shares(model: nn.Module, config: OptimizerConfig) -> dict[str, float]:
    """Return for each parameter that starts pretrained: its learning rate divided by ``learning_rate``."""
    top = 1.0
    if config.encoder_learning_rate is not None and config.learning_rate:
        top = config.encoder_learning_rate / config.learning_rate
    return {
        f"{path}.{name}" if path else name: top * config.layer_decay**depth
        for path, module in model.named_modules()
        if isinstance(module, TrainedEncoder)
        for name, depth in module.depths().items()
    }


def learning_rate_at(step: int, total_steps: int, config: OptimizerConfig) -> float:
    """Return the learning rate of one optimizer step: it rises linearly in the warm-up and then follows the schedule.

    The rate depends on nothing but the step. So there is no state to save, and a run can resume at any step.

    Args:
        step: number of the step, from 0.
        total_steps: number of steps of the whole run.
        config: the optimizer's settings.

    >>> config = OptimizerConfig(learning_rate=1.0, schedule="linear", warmup_fraction=0.5)
    >>> [learning_rate_at(step, 4, config) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup_steps = math.ceil(config.warmup_fraction * total_steps)
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "inverse-time":
        return config.learning_rate / (1.0 + config.decay * (step - warmup_steps))
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    share = 1.0 - done if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return config.learning_rate * share


def can_skip_on_device(optimizer: Optimizer) -> bool:
    """Return whether the device itself can skip a step, so that the host need not wait to learn if a step is good."""
    return all(group.get("fused") for group in optimizer.param_groups)


def step_if(optimizer: Optimizer, is_wanted: Tensor) -> None:
    """Make the step if a 0-d tensor on the device is true; otherwise change nothing (:func:`can_skip_on_device`)."""
    optimizer.found_inf = (~is_wanted).float()  # type: ignore[attr-defined]  # fused kernels read this attribute, as GradScaler sets it
    optimizer.step()
    del optimizer.found_inf  # type: ignore[attr-defined]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every parameter group to its share."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("rate_share", 1.0)


def optimizer_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state: ``PARAMETER-INDEX/NAME`` → tensor; plain numbers become 0-d float64 tensors."""
    state: dict[str, Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                state[f"{index}/{name}"] = (
                    value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
                )
    return state


def load_optimizer_state(optimizer: Optimizer, state: Mapping[str, Tensor]) -> None:
    """Restore the state of :func:`optimizer_state`; parameter groups and learning rates are not changed."""
    values: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        index, name = key.split("/", maxsplit=1)
        values.setdefault(int(index), {})[name] = tensor.clone()  # torch would keep the given tensor and change it
    optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})


class L2Penalty:
    """The penalty Σ strength · Σ w² over the matrices that ``optimizer.l2`` names, as Keras' regularisers.

    Biases, gains of norms and learned initial states are left out (:func:`is_decayed`). The penalty is a part of the
    gradient and its norm, in addition to the optimizer's own decay. It is not a part of the reported loss, which can so
    be compared with the loss on dev.

    Args:
        model: the model with the parameters.
        strengths: start of parameters' names (``*`` stands for any text) → strength. A parameter that fits several
            entries gets the sum of their strengths.

    Raises:
        ConfigError: no trained matrix has such a name.
    """

    def __init__(self, model: nn.Module, strengths: Mapping[str, float]) -> None:
        matrices = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and is_decayed(name, parameter)
        }
        self._groups: list[tuple[float, list[nn.Parameter]]] = []
        problems = []
        for start, strength in strengths.items():
            parameters = [parameter for name, parameter in matrices.items() if fnmatchcase(name, f"{start}*")]
            self._groups.append((strength, parameters))
            if not parameters:
                problems.append(f"optimizer.l2: {unknown_name('start of the name of a matrix', start, matrices)}")
        if problems:
            raise ConfigError(*problems)

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add 2 · strength · w to each gradient; a parameter without a gradient had no part in the step."""
        for strength, parameters in self._groups:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter, alpha=2.0 * strength)


class MovingAverage:
    """Exponential moving average of a model's weights: average ← decay · average + (1 − decay) · weights, each step.

    Buffers and integer tensors are copied, not averaged.

    Args:
        model: the model whose weights are averaged.
        decay: a number between 0 and 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._averaged = {name for name, _ in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the weights after one optimizer step to the average."""
        for name, value in model.state_dict().items():
            if name in self._averaged and value.is_floating_point():
                self.values[name].lerp_(value, 1.0 - self.decay)
            else:
                self.values[name].copy_(value)

    @contextmanager
    def swapped_into(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights while the context is open; then restore its own weights exactly."""
        own_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.values)
        try:
            yield
        finally:
            model.load_state_dict(own_weights)
