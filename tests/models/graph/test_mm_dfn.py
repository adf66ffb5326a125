"""MM-DFN: what its options build; its numbers are in tests/models/published."""

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.graph.mm_dfn import MMDFN, MMDFNConfig
from tests.support.batches import random_batch

SMALL = {"context_dim": 3, "graph_dim": 4, "n_layers": 2}
INPUTS = {"text": InputSpec(kind="vector", dim=6), "praat": InputSpec(kind="vector", dim=4)}


def weights(**options: object) -> dict[str, float]:
    system = build_model("mm-dfn", SMALL | options, INPUTS, 3)
    assert isinstance(system, MMDFN)
    return system.party_weights


def test_a_modality_without_a_weight_has_one_half() -> None:
    assert weights() == {"text": 1.5, "praat": 0.5}
    assert weights(party_weights={"praat": 2.0, "text": 0.0}) == {"text": 0.0, "praat": 2.0}
    assert weights(party_context=False) == {}


def test_a_weight_of_an_unknown_modality_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"party_weights: the run has no modality sond; name some of text, praat"):
        weights(party_weights={"sond": 1.0})


def test_it_sees_the_speakers_only_through_their_context_or_their_vectors() -> None:
    traits = {}
    for name, options in {
        "default": {},
        "no context": {"party_context": False},
        "weight 0": {"party_weights": {"text": 0.0, "praat": 0.0}},
        "vectors": {"party_context": False, "speakers": "number"},
    }.items():
        system = build_model("mm-dfn", SMALL | options, INPUTS, 3).eval()
        assert system(random_batch(INPUTS)).scores_BTS.isfinite().all()
        traits[name] = (system.speaker_aware, system.speaker_equivariant)
    assert traits == {
        "default": (True, True), "no context": (False, True), "weight 0": (False, True), "vectors": (True, False)
    }  # fmt: skip


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"across_weight: found -1\.0, expected at least 0"):
        MMDFNConfig(across_weight=-1.0)
    with pytest.raises(ConfigError, match=r"party_weights\.text: found 'much', expected a number"):
        weights(party_weights={"text": "much"})
