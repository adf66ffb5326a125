"""DialogueCRN: what its options build. tests/models/published/test_dialogue_crn.py compares its numbers."""

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.nn import sequence_attention
from tests.support.batches import random_batch

INPUTS = {"text": InputSpec(kind="vector", dim=6)}
SMALL = {"context_dim": 3, "party_steps": 1}


def test_the_defaults_are_the_published_sizes_for_meld() -> None:
    system = build_model("dialogue-crn", {}, {"text": InputSpec(kind="vector", dim=600)}, 7)
    shapes = {name: tuple(value.shape) for name, value in system.state_dict().items()}
    assert shapes["party_rnn.weight_ih_l0"] == (400, 600)
    assert shapes["query.weight"] == (400, 200)
    assert shapes["situation.lstm.weight_ih"] == (800, 400)
    assert shapes["head.2.weight"] == (7, 800)
    assert not [name for name in shapes if name.startswith("party.")], "no steps over the party, no weights for them"


def test_without_cognition_only_the_two_contexts_are_left() -> None:
    system = build_model("dialogue-crn", {**SMALL, "cognition": False}, INPUTS, 3)
    assert {name.split(".")[0] for name in system.state_dict()} == {"situation_rnn", "party_rnn", "head"}


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        build_model("dialogue-crn", {"situation_steps": -1, "party_steps": -2}, INPUTS, 3)
    assert "situation_steps: found -1, expected at least 0" in str(caught.value)
    assert "party_steps: found -2, expected at least 0" in str(caught.value)


def test_a_long_dialogue_is_attended_to_in_parts_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    system, batch = (
        build_model("dialogue-crn", SMALL, INPUTS, 3).double().eval(),
        random_batch(INPUTS, dtype=torch.float64),
    )
    whole = system(batch).scores_BTS
    right = torch.autograd.grad(whole.sum(), list(system.parameters()))
    monkeypatch.setattr(sequence_attention, "MOST_WEIGHTS", 50)
    parts = system(batch).scores_BTS
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-14)
    for ours, other in zip(torch.autograd.grad(parts.sum(), list(system.parameters())), right, strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)
