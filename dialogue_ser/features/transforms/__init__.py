"""Transforms of frozen features, by name."""

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
    """A transform by name, not fitted yet.

    Raises:
        ConfigError: no such transform; suggests the nearest.

    >>> build_transform("standardise").name
    'standardise'
    """
    if name not in TRANSFORMS:
        raise ConfigError(unknown_name("transform", name, TRANSFORMS))
    return TRANSFORMS[name]()


def from_state(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> Transform:
    """A fitted transform from what its ``state()`` gave.

    Raises:
        CheckpointError: the state names no known transform.
    """
    name = state.get("name")
    if name not in TRANSFORMS:
        raise CheckpointError(unknown_name("saved transform", str(name), TRANSFORMS))
    transform = TRANSFORMS[name]()
    transform.arrays = dict(arrays)
    return transform
