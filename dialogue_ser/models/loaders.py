"""LOADERS: for each system, the function that reads its published weights. Its module is imported when it is used."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dialogue_ser.errors import CheckpointError, ConfigError
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
        "dag-erc": "dialogue_ser.models.published.dag_erc:load",
        "dialogue-gcn": "dialogue_ser.models.published.dialogue_gcn:load",
        "graphsmile": "dialogue_ser.models.published.graphsmile:load",
        "m3net": "dialogue_ser.models.published.m3net:load",
        "mm-dfn": "dialogue_ser.models.published.mm_dfn:load",
        "mmgcn": "dialogue_ser.models.published.mmgcn:load",
        "cosmic": "dialogue_ser.models.published.cosmic:load",
        "dialogue-rnn": "dialogue_ser.models.published.dialogue_rnn:load",
        "sdt": "dialogue_ser.models.published.sdt:load",
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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as safetensors ({error}). A .pt or .pkl file of a published implementation is a "
            "pickle. Convert it once with safetensors.torch.save_file(torch.load(path, weights_only=True), new_path)"
        ) from error
