"""The batch is frozen and moves as a whole."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch


def _batch() -> DialogueBatch:
    return DialogueBatch(
        features={"text": torch.ones(1, 2, 3)},
        is_present={"text": torch.ones(1, 2, dtype=torch.bool)},
        speaker=torch.tensor([[0, 1]]),
        n_turns=torch.tensor([2]),
        label=torch.tensor([[0, 1]]),
        is_real_turn=torch.ones(1, 2, dtype=torch.bool),
        utterance_ids=(("a", "b"),),
        label_distribution=torch.ones(1, 2, 2),
    )


def test_fields_cannot_be_reassigned() -> None:
    with pytest.raises(FrozenInstanceError):
        _batch().label = torch.zeros(1, 2)  # type: ignore[misc]


def test_to_moves_every_tensor_and_leaves_the_original() -> None:
    batch = _batch()
    moved = batch.to("meta")
    assert {moved.features["text"].device.type, moved.label.device.type, moved.n_turns.device.type} == {"meta"}
    assert moved.label_distribution is not None
    assert moved.label_distribution.device.type == "meta"
    assert batch.label.device.type == "cpu"
    assert moved.n_dialogues == 1
