"""Read the tensors and settings of a published implementation. All that does not fit is named in one error."""

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dialogue_ser.errors import CheckpointError, ConfigError

Value = TypeVar("Value")


class PublishedSettings:
    """The settings with which a published model was built, by their published names.

    Args:
        system: name of the system, for messages.
        settings: name → value.
    """

    def __init__(self, system: str, settings: Mapping[str, Any]) -> None:
        self.system = system
        self._settings = settings
        self._used: set[str] = set()
        self._problems: list[str] = []

    def choose(self, name: str, choices: Mapping[Any, Value], default: Any = None) -> Value:
        """What a published value stands for here; a value that is not among the choices is a problem.

        Args:
            name: published name.
            choices: published value (may be None) → ours.
            default: published value that a missing setting has.
        """
        self._used.add(name)
        value = self._settings.get(name, default)
        if isinstance(value, Hashable) and value in choices:
            return choices[value]
        self._problems.append(f"{name}: found {value!r}, expected one of {', '.join(map(repr, choices))}")
        return next(iter(choices.values()))

    def take(self, name: str, kind: type[Value], default: Value | None = None) -> Value:
        """A setting. A missing one gives the default; without a default it is a problem.

        Args:
            name: published name.
            kind: type of the value; an int is also a float.
            default: value of a missing setting.
        """
        self._used.add(name)
        value = self._settings.get(name, default)
        is_right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value, is_right = float(value), True
        if name not in self._settings and default is None:
            self._problems.append(f"{name}: missing; give it")
        elif not is_right:
            self._problems.append(f"{name}: found {value!r}, expected {kind.__name__}")
        return kind() if value is None or not is_right else value

    def unused(self, *names: str) -> None:
        """Name settings that have no effect on the outputs, e.g. the number of parties or settings of the loss."""
        self._used.update(names)

    def problem(self, text: str) -> None:
        """Add a problem that a loader has found itself."""
        self._problems.append(text)

    def finish(self) -> None:
        """Raise an error if a setting is missing, has a wrong value, or is not known.

        Raises:
            ConfigError: it names all problems.
        """
        unknown = [f"{name}: is not known for this system" for name in self._settings if name not in self._used]
        problems = [f"model {self.system}: published setting {problem}" for problem in (*self._problems, *unknown)]
        if problems:
            raise ConfigError(*problems)


class PublishedTensors:
    """The tensors of a published model, by their published names. Each one is taken, or named as dead.

    ``values`` collects what our parameters and buffers become. The values stay functions of the published tensors, so
    a gradient by our parameters is one by the published parameters, too (:mod:`benchmarks.golden` compares them).

    Args:
        system: name of the system, for messages.
        tensors: name → tensor (a ``state_dict``).
    """

    def __init__(self, system: str, tensors: Mapping[str, Tensor]) -> None:
        self.system = system
        self.values: dict[str, Tensor] = {}
        self._tensors = dict(tensors)
        self._used: set[str] = set()
        self._problems: list[str] = []

    @property
    def dtype(self) -> torch.dtype:
        """Type of the floating-point tensors."""
        return next((value.dtype for value in self._tensors.values() if value.is_floating_point()), torch.float32)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor of a known shape; zeros, and a problem for :meth:`finish`, if there is no such tensor."""
        self._used.add(name)
        value = self._tensors.get(name)
        if value is None:
            self._problems.append(f"{name}: missing, expected {list(shape)}")
        elif tuple(value.shape) != shape:
            self._problems.append(f"{name}: found {list(value.shape)}, expected {list(shape)}")
        elif not value.is_floating_point() and not name.endswith("num_batches_tracked"):
            self._problems.append(f"{name}: found {value.dtype}, expected floats")
        else:
            return value
        return torch.zeros(shape, dtype=self.dtype)

    def copy(self, system: nn.Module, ours: str, published: str, *, transposed: bool = False) -> None:
        """One parameter or buffer of the system is one published tensor.

        Args:
            system: our system.
            ours: name in its ``state_dict``.
            published: published name.
            transposed: the matrix was published the other way round.
        """
        shape = tuple(system.state_dict()[ours].shape)
        value = self.take(published, *(shape[::-1] if transposed else shape))
        self.values[ours] = value.T if transposed else value

    def module(self, system: nn.Module, ours: str, published: str) -> None:
        """All parameters and buffers of a part of the system have the published names behind a prefix.

        Args:
            system: our system.
            ours: name of the part, e.g. ``rnn``.
            published: beginning of the published names, e.g. ``lstm.``.
        """
        for name, value in system.get_submodule(ours).state_dict().items():
            self.values[f"{ours}.{name}"] = self.take(f"{published}{name}", *value.shape)

    def dead(self, *beginnings: str) -> None:
        """Name parameters that were published but have no part in the outputs, by the beginnings of their names."""
        self._used.update(name for name in self._tensors if name.startswith(beginnings))

    def problem(self, text: str) -> None:
        """Add a problem that a loader has found itself."""
        self._problems.append(text)

    def finish(self, system: nn.Module) -> dict[str, Tensor]:
        """Name → value of all parameters and buffers of the system.

        Raises:
            CheckpointError: tensors are unknown, missing or of another shape; the error names all of them.
        """
        unknown = [
            f"{name}: unknown, {list(value.shape)}" for name, value in self._tensors.items() if name not in self._used
        ]
        if self._problems or unknown:
            raise CheckpointError(
                f"model {self.system}: the published weights do not fit; give the settings with which they were "
                "trained:",
                *(f"  {problem}" for problem in (*self._problems, *unknown)),
            )
        state = system.state_dict()
        wrong = [name for name in {*state, *self.values} if name not in state or name not in self.values]
        wrong += [name for name, value in state.items() if name not in wrong and self.values[name].shape != value.shape]
        assert not wrong, f"the loader of {self.system} does not set: {', '.join(sorted(wrong))}"
        return self.values
