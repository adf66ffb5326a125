"""LOADERS: for each system, the function that reads its published weights. Its module is imported when it is used."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from dialogue_ser.errors import ConfigError
from dialogue_ser.registry import Registry

Loader = Callable[[Mapping[str, Tensor], Mapping[str, Any]], tuple[nn.Module, dict[str, Tensor]]]
"""A function of published tensors and settings. It returns the system, and name → value of its parameters and
buffers."""

LOADERS: Registry[Loader] = Registry(
    "published system",
    "dialogue_ser.published",
    {
        "bc-lstm": "dialogue_ser.models.published.bc_lstm:load",
        "dialogue-crn": "dialogue_ser.models.published.dialogue_crn:load",
    },
)


def loader_of(name: str) -> Loader:
    """The loader of a system.

    Raises:
        ConfigError: no published implementation of this system is known.
    """
    if name not in LOADERS:
        known = ", ".join(LOADERS)
        raise ConfigError(f"model {name}: no published weights are known for it; choose one of {known}")
    return LOADERS[name]
