"""Recipes: with a recipe, another process can build the same encoder, so that no weights are sent to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.registry import Registered


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """The arguments of ``build_encoder``, and the registered class or function if a decorator gave the name.

    Args:
        name: registry name, entry point, or ``package.module:function``.
        modality: name of the modality in the batch.
        options: options of the encoder.
        on_bad: what to do with media that cannot be decoded.
        registered: entry of the registry for a decorated class or function; None for all other encoders.
    """

    name: str
    modality: str
    options: Mapping[str, Any]
    on_bad: OnBad
    registered: Registered | None = None
