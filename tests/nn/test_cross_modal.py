"""Encoders between modalities: pairs, parts of long dialogues, masks, speakers and positions."""

import math

import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.nn import cross_modal
from dialogue_ser.nn.cross_modal import CrossModalEncoders, GroupedLinear, SeenTurns, sine_positions

LENGTHS, SIZE = (5, 2), 6


def _seen(*, with_speakers: bool = True) -> SeenTurns:
    is_real_BT = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    is_key_MBT = torch.stack([is_real_BT, is_real_BT])
    is_key_MBT[1, 0, 1] = False  # a turn without the second modality
    is_key_MBT[1, 1] = False  # a dialogue without it
    speaker_BT = torch.tensor([[0, 1, 0, 1, 1], [0, 0, -1, -1, -1]]) if with_speakers else None
    return SeenTurns(is_real_BT.flatten().nonzero()[:, 0], is_key_MBT, speaker_BT)


def _encoders(**options: object) -> CrossModalEncoders:
    torch.manual_seed(3)
    given = {"n_heads": 2, "dropout": 0.0, "knows_speakers": True} | options
    return CrossModalEncoders(2, SIZE, **given).double()  # type: ignore[arg-type]


def _x() -> Tensor:
    return torch.randn(2, sum(LENGTHS), SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_each_group_has_a_linear_layer_of_its_own() -> None:
    layer, x_GND = GroupedLinear(3, 4, 2), torch.randn(3, 5, 4)
    for own, rows in enumerate(x_GND):
        assert layer.bias is not None
        expected = nn.functional.linear(rows, layer.weight[own].T, layer.bias[own])
        torch.testing.assert_close(layer(x_GND)[own], expected)


def test_parts_of_a_long_dialogue_give_the_numbers_and_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders, seen, found = _encoders(learned_gates=True), _seen(), []
    for most in (cross_modal.MOST_WEIGHTS, 2 * 2**2 * 2 * 2 * 5):  # all turns; two turns together
        monkeypatch.setattr(cross_modal, "MOST_WEIGHTS", most)
        x_MNH = _x().requires_grad_()
        y_PNH = encoders(x_MNH, seen)
        y_PNH.square().sum().backward()
        with torch.no_grad():
            found.append((y_PNH.detach(), x_MNH.grad, encoders.weights(x_MNH, seen), encoders(x_MNH, seen)))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts, rtol=0, atol=1e-12)


def test_weights_are_shares_of_the_turns_that_have_the_source() -> None:
    weights_PBTT = _encoders().weights(_x(), _seen())
    is_key_MBT = _seen().is_key_MBT
    is_real_BT = is_key_MBT[0]
    for source in (0, 1):
        for target in (0, 1):
            weights_BTT = weights_PBTT[2 * source + target]
            assert weights_BTT[~is_real_BT].abs().sum() == 0
            assert weights_BTT.mT[~is_key_MBT[source]].abs().sum() == 0
            has_any_B1 = is_key_MBT[source].any(1)[:, None]
            torch.testing.assert_close(weights_BTT.sum(-1), (is_real_BT & has_any_B1).double())


def test_turns_of_one_speaker_get_the_number_of_the_head() -> None:
    encoders = _encoders(n_heads=1)
    with torch.no_grad():
        encoders.query.weight.zero_()
        assert encoders.query.bias is not None
        encoders.query.bias.zero_()
        encoders.same_speaker.fill_(math.log(3.0))  # type: ignore[union-attr]
    row = encoders.weights(_x(), _seen())[0, 0, 0]  # speakers 0 1 0 1 1
    torch.testing.assert_close(row, torch.tensor([3, 1, 3, 1, 1], dtype=torch.float64) / 9)


def test_inside_a_modality_queries_and_keys_are_dropped_at_the_same_places() -> None:
    query_PNH, key_PNH = _encoders(dropout=0.5)._queries_and_keys(_x())
    same = [torch.equal(query, key) for query, key in zip(query_PNH, key_PNH, strict=True)]
    assert same == [True, False, False, True]
    assert not torch.equal(query_PNH[0], query_PNH[2]), "each pair has masks of its own"


def test_positions_are_sines_and_cosines_at_any_length_and_size() -> None:
    table = sine_positions(3000, 5, torch.zeros((), dtype=torch.float64))
    assert table.shape == (3000, 5)
    for i, wave in enumerate((math.sin, math.cos, math.sin, math.cos, math.sin)):
        expected = wave(2999 * 10000 ** (-2 * (i // 2) / 5))
        assert table[2999, i].item() == pytest.approx(expected, abs=1e-9)
