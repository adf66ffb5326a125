"""Add LoRA matrices to the linear layers of a transformers model."""

import warnings
from collections.abc import Sequence
from typing import Any

from dialogue_ser.errors import ConfigError, MissingDataError


def with_lora(model: Any, *, rank: int, alpha: int, dropout: float, targets: Sequence[str]) -> Any:
    """Add LoRA matrices to linear layers of the model and freeze all other weights.

    Args:
        model: a model of the transformers library.
        rank: rank of the matrices.
        alpha: the matrices are scaled by ``alpha / rank``.
        dropout: dropout rate on the input of the matrices.
        targets: ends of the names of the modules that get matrices; empty = all linear layers.

    Raises:
        MissingDataError: peft is not installed.
        ConfigError: a name in ``targets`` is not the end of any module's name.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingDataError(
            "transformer: LoRA needs the package peft; run pip install 'dialogue-ser[lora]'"
        ) from None
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets) or "all-linear")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft still uses names that transformers will remove
            return get_peft_model(model, settings)
    except ValueError as error:
        raise ConfigError(
            f"transformer: lora_targets {list(targets)} do not fit the model: {error}; use names of its modules, "
            "e.g. [query, value], or leave lora_targets out"
        ) from error
