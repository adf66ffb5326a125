"""The one loop that applies systems to batches, and the table that must contain every turn once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.inference.loop import MAX_BATCH_TURNS, TurnTable, batches_by_length, model_outputs
from dialogue_ser.models.api import DialogueSystem, Output

CPU = torch.device("cpu")


class Listening(DialogueSystem):
    """A system that records the modes in which it is called."""

    name = "listening"

    def __init__(self) -> None:
        super().__init__({}, 1)
        self.head = nn.Linear(1, 1)
        self.asked: list[tuple[bool, bool, bool, bool]] = []
        self.fails = False

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        self.asked.append((self.training, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), return_attention))
        if self.fails:
            raise RuntimeError("no answer")
        return Output(self.head(batch.features["text"]), {})


def batch_of(*n_turns: int) -> DialogueBatch:
    """Return a batch in which the feature of every turn is 10 × dialogue + turn."""
    shape = (len(n_turns), max(n_turns))
    is_real = torch.arange(shape[1]) < torch.tensor(n_turns)[:, None]
    numbers = 10.0 * torch.arange(shape[0])[:, None] + torch.arange(shape[1])
    return DialogueBatch(
        features={"text": torch.where(is_real, numbers, 999.0)[..., None]},
        is_present={"text": is_real},
        speaker=torch.where(is_real, 0, -1),
        n_turns=torch.tensor(n_turns),
        label=torch.full(shape, -100),
        is_real_turn=is_real,
        utterance_ids=tuple(tuple(f"{b}-{t}" for t in range(n)) for b, n in enumerate(n_turns)),
    )


def dialogues(*n_turns: int) -> list[Dialogue]:
    return [
        Dialogue(f"d{b}", tuple(Utterance(id=f"d{b}_{t}", speaker="Ann") for t in range(n)))
        for b, n in enumerate(n_turns)
    ]


def batches(n: int = 3) -> list[tuple[Sequence[int], DialogueBatch]]:
    return [([i], batch_of(2)) for i in range(n)]


@pytest.mark.parametrize("mode", [True, False])
def test_a_system_is_asked_in_eval_mode_without_gradient_and_put_back(mode: bool) -> None:
    system = Listening().train(mode)
    for indices, _, output in model_outputs(system, batches(), device=CPU):
        assert torch.is_grad_enabled(), "the caller's own gradients stay on"
        assert not output.scores_BTS.requires_grad
        assert len(indices) == 1
    assert system.asked == [(False, False, False, False)] * 3
    assert system.training is mode


def test_the_mode_comes_back_where_the_caller_stops_early_and_where_a_system_fails() -> None:
    system = Listening().train()
    asked = model_outputs(system, batches(), device=CPU)
    next(asked)
    assert not system.training
    asked.close()
    assert system.training
    system.fails = True
    with pytest.raises(RuntimeError, match="no answer"):
        list(model_outputs(system, batches(), device=CPU))
    assert system.training


def test_precision_and_attention_are_those_asked_for_and_stay_inside() -> None:
    system = Listening()

    @contextmanager
    def half() -> Iterator[None]:
        with torch.autocast("cpu", torch.bfloat16):
            yield

    for _, _, output in model_outputs(system, batches(), device=CPU, autocast=half, with_attention=True):
        assert output.scores_BTS.dtype == torch.bfloat16
        assert not torch.is_autocast_enabled("cpu")
    assert system.asked == [(False, False, True, True)] * 3


def test_batches_are_moved_to_the_systems_device() -> None:
    meta = torch.device("meta")
    [(_, batch, output)] = model_outputs(Listening().to(meta), batches(1), device=meta)
    assert {batch.features["text"].device, batch.label.device, output.scores_BTS.device} == {meta}


def test_rows_stand_in_the_order_of_the_dialogues_and_padding_nowhere() -> None:
    table = TurnTable(dialogues(2, 1, 3), 1, CPU)
    first, second = batch_of(3, 2), batch_of(1)
    table.put([2, 0], first, first.features["text"])
    table.put([1], second, second.features["text"] + 50)
    assert table.check().flatten().tolist() == [10, 11, 50, 0, 1, 2]
    assert table.check().dtype == torch.float64


@pytest.mark.parametrize("indices", [[[0]], [[0], [1], [0]]], ids=["never", "twice"])
def test_a_turn_that_was_predicted_never_or_twice_is_noticed(indices: list[list[int]]) -> None:
    table, batch = TurnTable(dialogues(2, 2), 1, CPU), batch_of(2)
    for chosen in indices:
        table.put(chosen, batch, batch.features["text"])
    with pytest.raises(AssertionError, match="never or twice"):
        table.check()


def test_dialogues_of_like_length_share_a_batch_within_its_room() -> None:
    lengths = [5, 3000, 1, 700, 2, 2500, 1, 4]
    found = list(batches_by_length(lengths, 3))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    flat = [lengths[index] for batch in found for index in batch]
    assert flat == sorted(lengths)
    for batch in found:
        assert len(batch) <= 3
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= MAX_BATCH_TURNS
    assert list(batches_by_length([], 3)) == []
