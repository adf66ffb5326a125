"""The attack of adversarial training: some weights move in the direction in which the loss grows, and come back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import nn

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.nn.recurrence.parameters import RecurrenceParameters
from dialogue_ser.training.config.run_config import AdversarialConfig

# Makes the draws of an attack independent of all other draws from the seed of the run.
_STREAM = 7919
# Weights of the dialogue recurrence that read the turns, and the biases of the cells that read them.
_INPUTS_OF_RECURRENCE = ("from_x.", "global_bias", "speaker_bias")


class Attack:
    """Which weights move in a step, and how.

    Source: FGM (Miyato et al., "Adversarial Training Methods for Semi-Supervised Text Classification", 2017), applied
    to the weights of recurrences as in SACL (Hu et al., ACL 2023; zerohd4869/SACL).

    Args:
        system: the model.
        config: section ``training.adversarial`` of the configuration.
        seed: seed of the run. With the number of the step it decides what is attacked, the same in all processes.

    Raises:
        ConfigError: no trained weights have such names, or the model has no recurrence to attack by default.
    """

    def __init__(self, system: nn.Module, config: AdversarialConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        trained = {name: parameter for name, parameter in system.named_parameters() if parameter.requires_grad}
        problems: list[str] = []
        if config.weights:
            self.names = _starting_with("training.adversarial.weights", config.weights, list(trained), problems)
        else:
            self.names = [name for name in recurrent_inputs(system) if name in trained]
            if not self.names:
                problems.append(
                    "training.adversarial.weights: the model has no recurrence whose input weights could move; name "
                    f"the weights, e.g. {next(iter(trained), 'head.weight')}"
                )
        self.alone = {
            start: _starting_with("training.adversarial.alone", [start], self.names, problems)
            for start in (config.alone if self.names else ())
        }
        if problems:
            raise ConfigError(*problems)
        self._parameters = trained
        self._system = system

    def targets(self, step: int) -> Sequence[str]:
        """Return the names of the weights that move in a step, from 0; none if the step has no attack.

        Each step draws from a generator of its own, so that a resumed run does the same.
        """
        drawn, which = np.random.default_rng([self.seed, step, _STREAM]).random(2)
        if drawn >= self.config.rate:
            return ()
        top = 0.0
        for start, share in self.config.alone.items():
            top += share
            if which < top:
                return self.alone[start]
        return self.names

    @contextmanager
    def moved(self, names: Sequence[str]) -> Iterator[None]:
        """Move weights by epsilon along their gradients while the context is open, each tensor by its own norm.

        A tensor without a gradient, or whose gradient has the norm 0 or is not finite, stays. Afterwards all weights
        and buffers have exactly their old values, also after an error.
        """
        parameters = [self._parameters[name] for name in names if self._parameters[name].grad is not None]
        tensors = [*parameters, *self._system.buffers()]
        saved = [tensor.detach().clone() for tensor in tensors]
        try:
            with torch.no_grad():
                for parameter in parameters:
                    gradient = parameter.grad
                    assert gradient is not None
                    norm = gradient.norm()
                    is_usable = norm.isfinite() & (norm > 0)  # no branch, because the host would wait for the device
                    move = torch.where(is_usable, gradient * (self.config.epsilon / norm), 0.0)
                    parameter.add_(move.to(parameter.dtype))
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, saved, strict=True):
                    tensor.copy_(value)


def recurrent_inputs(system: nn.Module) -> list[str]:
    """Return the names of the input weights and input biases of all recurrences of a model, in order."""
    found: list[str] = []
    for path, module in system.named_modules():
        starts: tuple[str, ...] = ()
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):
            starts = ("weight_ih", "bias_ih")
        elif isinstance(module, RecurrenceParameters):
            starts = _INPUTS_OF_RECURRENCE
        prefix = f"{path}." if path else ""
        found += [prefix + name for name, _ in module.named_parameters() if name.startswith(starts)] if starts else []
    return list(dict.fromkeys(found))


def _starting_with(setting: str, starts: Sequence[str], names: Sequence[str], problems: list[str]) -> list[str]:
    """Return the names that begin with one of some texts; a text that fits none becomes a problem."""
    problems += [
        f"{setting}: {unknown_name('start of the name of a weight', start, names)}"
        for start in starts
        if not any(fnmatchcase(name, f"{start}*") for name in names)
    ]
    return [name for name in names if any(fnmatchcase(name, f"{start}*") for start in starts)]
