"""Self-attention over frames is the equation of E3 (docs/equations.md); values beyond a row's end do not matter."""

import math

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.frames.frame_attention import FrameAttention

LENGTHS = [5, 1, 3]


def _attention(n_heads: int = 2, dropout: float = 0.0) -> FrameAttention:
    torch.manual_seed(3)
    return FrameAttention(6, n_heads, dropout=dropout).double().eval()


def _frames() -> tuple[Tensor, Tensor]:
    e_NLD = torch.randn(3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return e_NLD, torch.arange(6) < torch.tensor(LENGTHS)[:, None]


@pytest.mark.parametrize("n_heads", [1, 2, 6])
@torch.no_grad()
def test_it_computes_the_equation_head_by_head_and_frame_by_frame(n_heads: int) -> None:
    attention, (e_NLD, is_valid_NL) = _attention(n_heads), _frames()
    found_NLD, weights_NHLL = attention(e_NLD, is_valid_NL), attention.weights(e_NLD, is_valid_NL)
    d_k = 6 // n_heads
    for n, length in enumerate(LENGTHS):
        heads = []
        for h in range(n_heads):
            part = slice(h * d_k, (h + 1) * d_k)
            queries, keys, values = (
                [layer.weight[part] @ e_NLD[n, frame] for frame in range(length)]
                for layer in (attention.query, attention.key, attention.value)
            )
            read = []
            for frame in range(length):
                scores = [math.exp(float(queries[frame] @ key) / math.sqrt(d_k)) for key in keys]
                alpha = torch.tensor(scores, dtype=torch.float64) / sum(scores)
                torch.testing.assert_close(weights_NHLL[n, h, frame, :length], alpha, rtol=0, atol=1e-12)
                read.append(sum(alpha[k] * values[k] for k in range(length)))
            heads.append(read)
        for frame in range(length):
            expected = attention.out.weight @ torch.cat([head[frame] for head in heads])
            torch.testing.assert_close(found_NLD[n, frame], expected, rtol=0, atol=1e-12)
        assert weights_NHLL[n, :, length:].abs().sum() == 0
        assert weights_NHLL[n, :, :, length:].abs().sum() == 0


def test_the_maps_are_the_weights_of_the_forward_pass() -> None:
    attention, (e_NLD, is_valid_NL) = _attention(), _frames()
    value = attention.value(e_NLD).unflatten(-1, (2, 3)).transpose(1, 2)
    read = attention.weights(e_NLD, is_valid_NL) @ value
    expected = attention.out(read.transpose(1, 2).flatten(2))
    found = attention(e_NLD, is_valid_NL)
    torch.testing.assert_close(found[is_valid_NL], expected[is_valid_NL], rtol=0, atol=1e-12)


def test_padding_and_other_rows_change_nothing() -> None:
    attention, (e_NLD, is_valid_NL) = _attention(), _frames()
    other_NLD = torch.where(is_valid_NL[..., None], e_NLD, 99.0)
    torch.testing.assert_close(
        attention(other_NLD, is_valid_NL)[is_valid_NL], attention(e_NLD, is_valid_NL)[is_valid_NL], rtol=0, atol=1e-12
    )
    alone = attention(e_NLD[2:, :3], is_valid_NL[2:, :3])
    torch.testing.assert_close(alone, attention(e_NLD, is_valid_NL)[2:, :3], rtol=0, atol=1e-12)
    seen = attention(other_NLD, torch.ones_like(is_valid_NL))  # control: without the mask it would
    assert not torch.allclose(seen[is_valid_NL], attention(e_NLD, is_valid_NL)[is_valid_NL])


def test_dropout_acts_while_training_only() -> None:
    attention, (e_NLD, is_valid_NL) = _attention(dropout=0.5), _frames()
    expected = attention(e_NLD, is_valid_NL)
    torch.testing.assert_close(expected, _attention()(e_NLD, is_valid_NL), rtol=0, atol=0)
    assert not torch.allclose(attention.train()(e_NLD, is_valid_NL)[0], expected[0])
