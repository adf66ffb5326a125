"""Whether an encoder is still the one a model was trained with."""

import logging
from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.checked_encoder import CheckedEncoder

logger = logging.getLogger(__name__)

_CODE_OR_VERSIONS = ("versions", "code", "function")


def compare_fingerprints(encoder: CheckedEncoder, saved: Mapping[str, Any] | None) -> None:
    """Compare an encoder with the fingerprint saved beside a model.

    Other versions of libraries, or an edited source file of a function, are logged; anything else would feed the
    model features it has never seen. Encoders that only look rows up (``is_data``) are not compared.

    Raises:
        FeatureError: weights or settings differ; names them.
    """
    if saved is None or encoder.traits.is_data:
        return
    current = dict(encoder.fingerprint())
    differing = sorted(key for key in {*current, *saved} if current.get(key) != saved.get(key))
    serious = [key for key in differing if key not in _CODE_OR_VERSIONS]
    if serious:
        raise FeatureError(
            f"encoder {encoder.name!r} is not the one the model was trained with: "
            + "; ".join(f"{key} was {saved.get(key)!r} and is {current.get(key)!r}" for key in serious)
            + "; install or point to the encoder of the training run"
        )
    for key in differing:
        logger.warning(
            "encoder %r: %s was %r in training and is %r", encoder.name, key, saved.get(key), current.get(key)
        )
