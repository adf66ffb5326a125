"""Published cells of a DialogueRNN in our recurrence: gradients reach them, and nothing of ours is changed."""

import pytest
import torch

from dialogue_ser.errors import CheckpointError
from dialogue_ser.models.published.parts.attention import take_history_attention
from dialogue_ser.models.published.parts.recurrence import take_cells
from dialogue_ser.models.published.parts.tensors import PublishedTensors
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.wiring import dialogue_rnn


def recurrence() -> DialogueRecurrence:
    sizes = {"global_dim": 3, "party_dim": 2, "emotion_dim": 4}
    return DialogueRecurrence(5, dialogue_rnn("hold"), attention="general", initial_state="zeros", **sizes)


def published() -> dict[str, torch.Tensor]:
    found = {}
    for way in ("f.", "r."):
        for name, (read, size) in {"g": (7, 3), "p": (8, 2), "e": (2, 4)}.items():
            cell = torch.nn.GRUCell(read, size)
            found |= {f"{way}dialogue_cell.{name}_cell.{k}": v.detach() for k, v in cell.state_dict().items()}
        found[f"{way}dialogue_cell.attention.transform.weight"] = torch.randn(3, 5)
    return {name: value.double().requires_grad_() for name, value in found.items()}


def test_every_published_tensor_gets_a_gradient_and_our_parameters_stay() -> None:
    ours, given = recurrence(), published()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    found = PublishedTensors("dialogue-gcn", given)
    take_cells(found, ours, "context.", ("f.dialogue_cell.", "r.dialogue_cell."), 5)
    take_history_attention(
        found, ours.attention, "context.attention", ("f.dialogue_cell.attention", "r.dialogue_cell.attention")
    )
    assert {name.removeprefix("context.") for name in found.values} == set(before)
    torch.stack([value.square().sum() for value in found.values.values()]).sum().backward()
    assert [name for name, value in given.items() if value.grad is None or not value.grad.abs().sum()] == []
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


def test_a_missing_cell_is_named() -> None:
    ours, given = recurrence(), published()
    del given["r.dialogue_cell.e_cell.bias_hh"]
    found = PublishedTensors("dialogue-gcn", given)
    take_cells(found, ours, "", ("f.dialogue_cell.", "r.dialogue_cell."), 5)
    with pytest.raises(CheckpointError, match=r"r\.dialogue_cell\.e_cell\.bias_hh: missing, expected \[12\]"):
        found.finish(ours)
