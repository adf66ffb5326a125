"""Transforms of frozen features: a table of them by name."""

from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import CheckpointError, ConfigError, unknown_name
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.transforms.base import Transform
from dialogue_ser.features.transforms.by_speaker import CorpusSpeakerGaussian, CorpusSpeakerZScore, SpeakerZScore
from dialogue_ser.features.transforms.rowwise import L2, Impute, Log, QuantileGaussian, Rank, Standardise

TRANSFORMS: dict[str, type[Transform]] = {
    kind.name: kind
    for kind in (
        Impute,
        Standardise,
        Rank,
        QuantileGaussian,
        L2,
        Log,
        SpeakerZScore,
        CorpusSpeakerZScore,
        CorpusSpeakerGaussian,
    )
}


def build_transform(name: str) -> Transform:
    """Return a new transform by its name; it is not fitted yet.

    Raises:
        ConfigError: there is no such transform. The error suggests the nearest name.

    >>> build_transform("standardise").name
    'standardise'
    """
    if name not in TRANSFORMS:
        raise ConfigError(unknown_name("transform", name, TRANSFORMS))
    return TRANSFORMS[name]()


def transform_from_state(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> Transform:
    """Return a fitted transform again.

    Args:
        state: the values that its ``state()`` returned.
        arrays: the arrays that its ``state()`` returned.

    Raises:
        CheckpointError: the state does not name a known transform, or arrays are missing or are not what it can have
            fitted. The error names all of them.
    """
    name = state.get("name")
    if name not in TRANSFORMS:
        raise CheckpointError(unknown_name("saved transform", str(name), TRANSFORMS))
    transform = TRANSFORMS[name]()
    transform.arrays = dict(arrays)
    problems = list(transform.problems_of_arrays())
    if problems:
        raise CheckpointError(
            *(f"saved transform {name}: {problem}" for problem in problems),
            f"saved transform {name}: the arrays do not belong to the model; copy the whole folder again",
        )
    return transform
