"""Optimizer, learning-rate schedule and moving average of the weights."""

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

# Parameters that weight decay would only pull off their meaning: learned initial states may be matrices [P, H].
_UNDECAYED_NAMES = ("bias", "initial", "h0")


def is_decayed(name: str, parameter: Tensor) -> bool:
    """Whether AdamW decays a parameter: matrices yes; biases, norms' gains and learned initial states no.

    >>> is_decayed("head.weight", torch.zeros(2, 2)), is_decayed("cell.initial_state", torch.zeros(2, 2))
    (True, False)
    """
    last = name.rsplit(".", maxsplit=1)[-1]
    return parameter.ndim > 1 and not any(part in last for part in _UNDECAYED_NAMES)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """AdamW with decoupled decay on matrices only; Adam or SGD with L2 on every parameter, as E2 and EmotionRNN.

    Torch's fused kernels take the step: many times as fast on a CPU too, and they can be told on the device to leave it
    out (:func:`step_if`). Each group keeps its ``rate_share`` of the configured learning rate (:func:`rate_shares`);
    groups of what begins at random come first.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    fused = bool(named) and all(parameter.device.type in ("cpu", "cuda") for _, parameter in named)
    shares = rate_shares(model, config)
    groups: dict[tuple[bool, float, bool], dict[str, Any]] = {}
    for name, parameter in named:
        share = shares.get(name, 1.0)
        is_kept = config.name == "adamw" and not is_decayed(name, parameter)
        decay = 0.0 if is_kept else config.weight_decay
        place = (name in shares, -share, is_kept)
        group = groups.setdefault(place, {"params": [], "weight_decay": decay, "rate_share": share})
        group["params"].append(parameter)
    ordered = [groups[place] for place in sorted(groups)]
    if config.name == "sgd":
        # Its fused kernel never initialises the momentum if the first step is left out, as the first of fp16 often is.
        momentum = config.momentum
        return SGD(ordered, lr=config.learning_rate, momentum=momentum, fused=fused and not momentum)
    kind = Adam if config.name == "adam" else AdamW
    return kind(ordered, lr=config.learning_rate, fused=fused)


def rate_shares(model: nn.Module, config: OptimizerConfig) -> dict[str, float]:
    """Parameter → its learning rate as a share of ``learning_rate``, for those that begin pretrained."""
    top = 1.0
    if config.encoder_learning_rate is not None and config.learning_rate:
        top = config.encoder_learning_rate / config.learning_rate
    return {
        f"{place}.{name}" if place else name: top * config.layer_decay**depth
        for place, module in model.named_modules()
        if isinstance(module, TrainedEncoder)
        for name, depth in module.depths().items()
    }


def learning_rate_at(step: int, total_steps: int, config: OptimizerConfig) -> float:
    """Learning rate of one optimizer step (0-based): linear warm-up, then constant or down.

    A pure function of the step, so that there is no scheduler state to save and any step can be resumed.

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
    """Whether a step can be left out by the device itself, so that the host need not know before it asks for it."""
    return all(group.get("fused") for group in optimizer.param_groups)


def step_if(optimizer: Optimizer, is_wanted: Tensor) -> None:
    """Takes the step, or changes nothing, as a 0-d tensor on the device says; see :func:`can_skip_on_device`."""
    optimizer.found_inf = (~is_wanted).float()  # type: ignore[attr-defined]  # what GradScaler tells fused kernels
    optimizer.step()
    del optimizer.found_inf  # type: ignore[attr-defined]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Gives every parameter group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("rate_share", 1.0)


def optimizer_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors, keyed ``PARAMETER-INDEX/NAME``; plain numbers become 0-d float64 tensors."""
    state: dict[str, Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                state[f"{index}/{name}"] = (
                    value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
                )
    return state


def load_optimizer_state(optimizer: Optimizer, state: Mapping[str, Tensor]) -> None:
    """Puts back what :func:`optimizer_state` gave; groups and learning rates stay as built from the configuration."""
    values: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        index, name = key.split("/", maxsplit=1)
        values.setdefault(int(index), {})[name] = tensor.clone()  # torch would keep and change the given one
    optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})


class L2Penalty:
    """Σ strength · Σ w² over the matrices that ``optimizer.l2`` names, as Keras' kernel and recurrent regularisers.

    Biases, gains of norms and learned initial states are left out (:func:`is_decayed`). It is in the gradient and its
    norm, also where the optimizer decays otherwise; the reported loss stays the data's, to be compared with dev's.

    Args:
        model: its trained parameters are looked up by name.
        strengths: beginning of names (``*`` = anything) → strength; what several name gets them all.

    Raises:
        ConfigError: nothing that is trained is called so.
    """

    def __init__(self, model: nn.Module, strengths: Mapping[str, float]) -> None:
        named = {name: own for name, own in model.named_parameters() if own.requires_grad and is_decayed(name, own)}
        self._groups: list[tuple[float, list[nn.Parameter]]] = []
        problems = []
        for beginning, strength in strengths.items():
            found = [own for name, own in named.items() if fnmatchcase(name, f"{beginning}*")]
            self._groups.append((strength, found))
            if not found:
                problems.append(f"optimizer.l2: {unknown_name('beginning of a matrix', beginning, named)}")
        if problems:
            raise ConfigError(*problems)

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Adds 2 · strength · w to the gradients that are there; what has none has had no part in the step."""
        for strength, parameters in self._groups:
            for own in parameters:
                if own.grad is not None:
                    own.grad.add_(own, alpha=2.0 * strength)


class MovingAverage:
    """Exponential moving average of a model's weights: average ← decay · average + (1 − decay) · weights, per step.

    Buffers and integer tensors are copied as they are.

    Args:
        model: the model averaged over.
        decay: in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._averaged = {name for name, _ in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes one optimizer step's weights into the average."""
        for name, value in model.state_dict().items():
            if name in self._averaged and value.is_floating_point():
                self.values[name].lerp_(value, 1.0 - self.decay)
            else:
                self.values[name].copy_(value)

    @contextmanager
    def swapped_into(self, model: nn.Module) -> Iterator[None]:
        """While open, the model has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.values)
        try:
            yield
        finally:
            model.load_state_dict(own)
