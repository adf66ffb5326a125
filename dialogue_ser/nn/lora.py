"""LoRA's matrices beside the linear layers of a transformers model."""

import warnings
from collections.abc import Sequence
from typing import Any

from dialogue_ser.errors import ConfigError, MissingDataError


def with_lora(model: Any, *, rank: int, alpha: int, dropout: float, targets: Sequence[str]) -> Any:
    """The model with LoRA's matrices beside its linear layers, everything else frozen.

    Args:
        model: of transformers.
        rank: of the matrices.
        alpha: their scale is ``alpha / rank``.
        dropout: in front of them.
        targets: modules that get them, by the end of their names; empty = all linear ones.

    Raises:
        MissingDataError: peft is not installed.
        ConfigError: no module is called as a target.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingDataError("transformer: LoRA needs peft; pip install 'dialogue-ser[lora]'") from None
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets) or "all-linear")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by names that are going
            return get_peft_model(model, settings)
    except ValueError as error:
        raise ConfigError(
            f"transformer: lora_targets {list(targets)} do not fit the model: {error}; name its modules as they are "
            "called, e.g. [query, value], or leave them away"
        ) from error
