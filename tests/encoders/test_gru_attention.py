"""The encoder of E1 is its branch, averaged. Neither padding nor other rows change the result."""

import pytest
import torch
from torch import Tensor

from dialogue_ser.encoders import build_input
from dialogue_ser.encoders.gru_attention import GruAttention, GruAttentionConfig
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec

LENGTHS = torch.tensor([[5, 2, 0], [1, 7, 3]])


def _encoder(**options) -> GruAttention:
    torch.manual_seed(0)
    encoder = build_input(InputSpec(kind="frames", dim=3, encoder="gru-attention", options={"units": 4, **options}))
    assert isinstance(encoder, GruAttention)
    return encoder.double()


def _values(room: int = 0, padding: float = 0.0) -> Tensor:
    values = torch.randn(2, 3, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = torch.nn.functional.pad(values, (0, 0, 0, room))
    return values.masked_fill((torch.arange(7 + room) >= LENGTHS[..., None])[..., None], padding)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_other_rows_change_nothing_in_eval_mode(bidirectional) -> None:
    encoder, present = _encoder(bidirectional=bidirectional), LENGTHS > 0
    for _ in range(3):
        encoder(_values() + 1, LENGTHS, present)  # changes the running statistics
    encoder.eval()
    out = encoder(_values(), LENGTHS, present)
    assert out.shape == (2, 3, encoder.out_dim) == (2, 3, 8 if bidirectional else 4)
    assert not out[0, 2].any()
    for room, padding in [(0, torch.nan), (5, 1e6)]:
        torch.testing.assert_close(encoder(_values(room, padding), LENGTHS, present), out, rtol=0, atol=1e-12)
    for b, t in [(0, 0), (1, 0), (1, 1)]:
        own = encoder(_values()[b : b + 1, t : t + 1], LENGTHS[b : b + 1, t : t + 1], present[b : b + 1, t : t + 1])
        torch.testing.assert_close(own[0, 0], out[b, t], rtol=0, atol=1e-12)


def test_frames_beyond_the_end_do_not_count_in_training_either() -> None:
    found = []
    for padding in (0.0, torch.nan):
        encoder = _encoder()
        torch.manual_seed(5)
        found.append((encoder(_values(2, padding), LENGTHS, LENGTHS > 0), encoder.branch.norm.running_var.clone()))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_dropout_in_the_recurrence_acts_while_training_only() -> None:
    encoder, given = _encoder(recurrent_dropout=0.5), (_values(), LENGTHS, LENGTHS > 0)
    assert not torch.equal(encoder(*given), encoder(*given))
    encoder.eval()
    assert torch.equal(encoder(*given), encoder(*given))


def test_the_order_of_frames_matters() -> None:
    encoder, present = _encoder().eval(), torch.ones(1, 1, dtype=torch.bool)
    values, length = _values()[1:2, 1:2], LENGTHS[1:2, 1:2]
    assert not torch.allclose(encoder(values, length, present), encoder(values.flip(2), length, present), atol=1e-3)


def test_training_reaches_every_parameter() -> None:
    encoder = _encoder()
    encoder(_values(), LENGTHS, LENGTHS > 0).sin().sum().backward()
    assert [name for name, own in encoder.named_parameters() if own.grad is None or not own.grad.any()] == []


def test_maps_show_the_weights_of_each_frame() -> None:
    encoder = _encoder().eval()
    maps = encoder.attention_maps(_values()[1], LENGTHS[1], LENGTHS[1])
    assert [tuple(own.shape) for own in maps] == [(1, 1, 1), (1, 7, 7), (1, 3, 3)]
    for own in maps:
        torch.testing.assert_close(own.sum(-1), torch.ones(own.shape[:2], dtype=torch.float64))


def test_defaults_are_those_of_the_document_and_wrong_options_are_refused() -> None:
    config = GruAttentionConfig()
    assert (config.units, config.recurrent_dropout, config.bidirectional, config.dropout) == (192, 0.3, False, 0.0)
    with pytest.raises(ConfigError) as caught:
        GruAttentionConfig(units=0, dropout=1.0)
    assert caught.value.problems == (
        "gru-attention: dropout 1.0 must be at least 0 and below 1",
        "gru-attention: units 0 must be at least 1",
    )
