"""How to build an encoder again in another process, where the model itself should not be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.registry import Registered


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """The arguments of ``build_encoder``, and what a decorator registered under the name.

    Args:
        name: registry name, entry point, or ``package.module:function``.
        modality: name under which the batch carries it.
        options: the encoder's own options.
        on_bad: what to do with media that cannot be decoded.
        registered: the registry's entry of a decorated class or function, else None.
    """

    name: str
    modality: str
    options: Mapping[str, Any]
    on_bad: OnBad
    registered: Registered | None = None
