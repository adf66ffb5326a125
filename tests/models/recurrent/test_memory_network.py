"""CMN and ICON against the published computation, query by query and place by place."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.recurrent import memory_network
from tests.models.recurrent.memory_reference import scores
from tests.support.batches import random_batch

INPUTS = {"text": InputSpec(kind="vector", dim=5)}
SIZES = {"hidden_dim": 4, "history": 3, "hops": 2}


def _system(name: str, options: Mapping[str, Any]) -> Any:
    torch.manual_seed(5)
    system = build_model(name, {**SIZES, **options}, INPUTS, 3).double().eval()
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.mul_(1.5)
    return system


def _batch(n_turns: tuple[int, ...] = (6, 1, 9)) -> DialogueBatch:
    return random_batch(INPUTS, n_turns=n_turns, dtype=torch.float64)


def _plain(system: Any, batch: DialogueBatch) -> Tensor:
    rows = []
    for b, n in enumerate(batch.n_turns.tolist()):
        speakers = "".join(chr(97 + s) for s in batch.speaker[b, :n].tolist())
        rows += [scores(system, batch.features["text"][b, :n], speakers, turn) for turn in range(n)]
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["cmn", "icon"])
@pytest.mark.parametrize("options", [{}, {"window_padding": True}, {"hops": 1}, {"history": 40, "hops": 3}], ids=str)
def test_scores_and_gradients_are_those_of_the_published_computation(name: str, options: dict[str, Any]) -> None:
    system, batch = _system(name, options), _batch()
    ours, right = system(batch).scores_BTS[batch.is_real_turn], _plain(system, batch)
    torch.testing.assert_close(ours, right, rtol=0, atol=1e-13)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = list(system.parameters())
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), wanted),
        torch.autograd.grad((right * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["cmn", "icon"])
def test_long_histories_are_computed_in_parts_with_the_same_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    system, batch = _system(name, {}), _batch()
    whole = system(batch, return_attention=True)
    right = torch.autograd.grad(whole.scores_BTS.sum(), list(system.parameters()))
    monkeypatch.setattr(memory_network, "MOST_STEPS", 5)
    parts = system(batch, return_attention=True)
    torch.testing.assert_close(parts.scores_BTS, whole.scores_BTS, rtol=0, atol=1e-14)
    for ours, other in zip(torch.autograd.grad(parts.scores_BTS.sum(), list(system.parameters())), right, strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)
    assert parts.attention.keys() == whole.attention.keys()
    for hop, weights_BTT in whole.attention.items():
        torch.testing.assert_close(parts.attention[hop], weights_BTT)


@pytest.mark.parametrize(
    ("name", "hops"), [("cmn", ["own1", "others1", "own2", "others2"]), ("icon", ["hop1", "hop2"])]
)
def test_attention_shows_the_turns_of_the_window(name: str, hops: list[str]) -> None:
    batch = _batch()
    found = _system(name, {})(batch, return_attention=True).attention
    assert list(found) == hops
    turn = torch.arange(9)
    sees = (turn[:, None] > turn) & (turn[:, None] <= turn + 3) & batch.is_real_turn[:, :, None]
    for weights_BTT in found.values():
        assert torch.equal(weights_BTT > 0, sees)
        torch.testing.assert_close(weights_BTT.sum(-1), (sees.any(-1)).double())
    assert _system(name, {})(batch).attention == {}


@pytest.mark.parametrize("name", ["cmn", "icon"])
def test_options_out_of_range_are_named(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_model(name, {"history": 0, "hops": -1}, INPUTS, 3)
    assert f"model {name}: model.options.history: found 0, expected at least 1" in str(caught.value)
    assert f"model {name}: model.options.hops: found -1, expected at least 1" in str(caught.value)


@pytest.mark.parametrize("name", ["cmn", "icon"])
def test_a_stream_keeps_no_more_than_the_window(name: str) -> None:
    system, batch = _system(name, {"history": 2}), _batch((7,))
    read, expected = system.stream(), system(batch).scores_BTS[0]
    for turn in range(7):
        one = random_batch(INPUTS, n_turns=(1,), dtype=torch.float64)
        one.features["text"][0, 0] = batch.features["text"][0, turn]  # type: ignore[index]
        one.speaker[0, 0] = batch.speaker[0, turn]
        torch.testing.assert_close(read(one), expected[turn], rtol=0, atol=1e-13)


def test_no_published_weights_are_known() -> None:
    for name in ("cmn", "icon"):
        with pytest.raises(ConfigError, match=f"model {name}: no published weights are known"):
            type(_system(name, {})).load_published({}, {})
