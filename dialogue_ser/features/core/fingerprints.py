"""Checks that an encoder is still the one with which a model was trained."""

import logging
from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.checked_encoder import CheckedEncoder

logger = logging.getLogger(__name__)

_CODE_OR_VERSIONS = ("versions", "code", "function")


def compare_fingerprints(encoder: CheckedEncoder, saved: Mapping[str, Any] | None) -> None:
    """Compare an encoder with the fingerprint that was saved with a model.

    Other library versions, or a changed Python file of a function, are only logged. Any other difference would give
    the model features that it has never seen. Encoders that only look up rows (``is_data``) are not compared.

    Raises:
        FeatureError: weights or settings differ. The message names them.
    """
    if saved is None or encoder.traits.is_data:
        return
    current = dict(encoder.fingerprint())
    differing = sorted(key for key in {*current, *saved} if current.get(key) != saved.get(key))
    forbidden = [key for key in differing if key not in _CODE_OR_VERSIONS]
    if forbidden:
        raise FeatureError(
            f"encoder {encoder.name!r} is not the one the model was trained with: "
            + "; ".join(f"{key} was {saved.get(key)!r} and is {current.get(key)!r}" for key in forbidden)
            + "; install the encoder of the training run, or set its path"
        )
    for key in differing:
        logger.warning(
            "encoder %r: %s was %r in training and is %r", encoder.name, key, saved.get(key), current.get(key)
        )
