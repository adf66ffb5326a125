"""The batch is frozen and moves as a whole."""

import pickle
from dataclasses import FrozenInstanceError, replace
from multiprocessing.reduction import ForkingPickler

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
        sentiment=torch.tensor([[2, -100]]),
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
    assert moved.sentiment.device.type == "meta"
    assert batch.label.device.type == "cpu"
    assert moved.n_dialogues == 1


def test_after_a_move_the_small_tensors_are_still_on_the_cpu_without_reading_them_back():
    # A meta tensor has no values, so nothing can have been read back from it.
    batch = _batch()
    moved = batch.to("meta")
    assert moved.speaker_host is batch.speaker
    assert moved.n_turns_host is batch.n_turns
    assert moved.on_host(moved.is_present["text"]) is batch.is_present["text"]
    assert moved.on_host(moved.label_distribution) is batch.label_distribution
    assert moved.on_host(moved.sentiment) is batch.sentiment
    assert batch.speaker_host is batch.speaker


def test_a_replaced_tensor_never_gets_the_values_of_the_old_one():
    moved = _batch().to("meta")
    other = replace(moved, speaker=torch.tensor([[1, 0]]))
    assert other.speaker_host.tolist() == [[1, 0]]
    other = replace(moved, speaker=torch.zeros(1, 2, dtype=torch.int64, device="meta"))
    with pytest.raises(NotImplementedError):  # read from the device, whose tensors here have no values
        other.on_host(other.speaker)
    assert other.n_turns_host.tolist() == [2]  # tensors that were not replaced are still known
    before = replace(_batch(), speaker=torch.tensor([[2, 5]])).to("meta")
    assert before.speaker_host.tolist() == [[2, 5]]


def test_host_copies_stay_after_more_moves_and_swapped_fields():
    batch = _batch()
    swapped = replace(batch.to("meta"), label=batch.label)
    again = swapped.to("meta")
    assert again.speaker_host is batch.speaker
    assert again.on_host(again.label) is batch.label
    mixed = replace(batch.to("meta"), features={}, is_present={}, lengths={})
    home = mixed.to("cpu")
    assert home.speaker is batch.speaker
    assert home.host_copies == ()
    crossed = replace(mixed, label=mixed.speaker, speaker=mixed.label)  # found by the tensor, not by its field's name
    assert crossed.on_host(crossed.label) is batch.speaker
    assert crossed.speaker_host is batch.label


def test_worker_processes_do_not_change_a_batch():
    batch = _batch()
    received = pickle.loads(ForkingPickler.dumps(batch))
    assert received.host_copies == ()
    assert received.speaker_host.tolist() == [[0, 1]]
