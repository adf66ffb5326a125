"""conv-attention is the network of E3 for each row. Neither padding nor other rows change the result."""

import math

import pytest
import torch
from torch import Tensor

from dialogue_ser.encoders import build_input
from dialogue_ser.encoders.conv_attention import ConvAttention, ConvAttentionConfig
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec

LENGTHS = [7, 1, 4]
SMALL = {"channels": 4, "kernel_size": 3, "n_heads": 2, "out_dim": 5}


def _encoder(**options: object) -> ConvAttention:
    torch.manual_seed(7)
    encoder = ConvAttention(ConvAttentionConfig(**{**SMALL, **options}), 3).double()
    for norm in encoder.norms:  # values as after training, none of them 0 or 1
        for value in (norm.weight, norm.bias, norm.running_mean):
            torch.nn.init.normal_(value)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return encoder.eval()


def _frames() -> tuple[Tensor, Tensor]:
    x_NLD = torch.randn(3, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x_NLD, torch.tensor(LENGTHS)


def _rows(encoder: ConvAttention, x_NLD: Tensor, lengths: Tensor) -> Tensor:
    out: Tensor = encoder.encode_rows(x_NLD, lengths, lengths)
    return out


def _convolved(x: list[Tensor], convolution: torch.nn.Conv1d) -> list[Tensor]:
    """The sum over a window of frames, zeros beyond both ends, at every stride-th frame."""
    [kernel], [stride] = convolution.kernel_size, convolution.stride
    out = []
    for centre in range(0, len(x), stride):
        total = torch.zeros(convolution.out_channels, dtype=torch.float64)
        for k in range(kernel):
            place = centre + k - kernel // 2
            if 0 <= place < len(x):
                total = total + convolution.weight[:, :, k] @ x[place]
        out.append(total)
    return out


def _reference(encoder: ConvAttention, rows: list[list[Tensor]]) -> list[Tensor]:
    """E3 (docs/equations.md) by plain loops; in training batch norm takes the frames of all rows together."""
    for convolution, norm in zip(encoder.convolutions, encoder.norms, strict=True):
        rows = [_convolved(row, convolution) for row in rows]
        frames = torch.stack([frame for row in rows for frame in row])
        mean, variance = norm.running_mean, norm.running_var
        if encoder.training:
            mean, variance = frames.mean(0), frames.var(0, unbiased=False)
        rows = [
            [torch.relu((e - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias) for e in row]
            for row in rows
        ]
    attention = encoder.attention
    d_k = 4 // attention.n_heads
    vectors = []
    for row in rows:
        query, key, value = (
            [layer.weight @ e for e in row] for layer in (attention.query, attention.key, attention.value)
        )
        contexts = []
        for t, e in enumerate(row):
            heads = []
            for h in range(attention.n_heads):
                part = slice(h * d_k, (h + 1) * d_k)
                scores = torch.stack([query[t][part] @ one[part] / math.sqrt(d_k) for one in key])
                alpha = torch.softmax(scores, 0)
                heads.append(sum(alpha[j] * value[j][part] for j in range(len(row))))
            contexts.append(e + attention.out.weight @ torch.cat(heads))
        pooled = sum(contexts) / len(contexts)
        vectors.append(torch.relu(encoder.dense.weight @ pooled + encoder.dense.bias))
    return vectors


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_it_computes_the_documents_equations(training: bool, strides: tuple[int, int], kernel_size: int) -> None:
    encoder = _encoder(strides=strides, kernel_size=kernel_size).train(training)
    x_NLD, lengths = _frames()
    rows = [[x_NLD[n, frame] for frame in range(length)] for n, length in enumerate(LENGTHS)]
    expected = _reference(encoder, rows)
    assert torch.stack(expected).std() > 0.01
    torch.testing.assert_close(_rows(encoder, x_NLD, lengths), torch.stack(expected), rtol=0, atol=1e-10)


def test_neither_padding_nor_neighbours_nor_their_order_change_a_row() -> None:
    encoder, (x_NLD, lengths) = _encoder(strides=(2, 1)), _frames()
    expected = _rows(encoder, x_NLD, lengths)
    spoilt = x_NLD.clone()
    for n, length in enumerate(LENGTHS):
        spoilt[n, length:] = math.nan
    torch.testing.assert_close(_rows(encoder, spoilt, lengths), expected, rtol=0, atol=0)
    wider = torch.nn.functional.pad(x_NLD, (0, 0, 0, 5), value=3.0)
    torch.testing.assert_close(_rows(encoder, wider, lengths), expected, rtol=0, atol=1e-12)
    back = torch.tensor([2, 1, 0])
    torch.testing.assert_close(_rows(encoder, x_NLD[back], lengths[back])[back], expected, rtol=0, atol=1e-12)
    for n, length in enumerate(LENGTHS):
        alone = _rows(encoder, x_NLD[n : n + 1, :length], lengths[n : n + 1])
        torch.testing.assert_close(alone[0], expected[n], rtol=0, atol=1e-12)
    whole = torch.full_like(lengths, 9)  # control: valid frames do change it
    assert not torch.allclose(_rows(encoder, x_NLD, whole), expected)


@pytest.mark.parametrize("training", [False, True])
def test_frames_beyond_the_end_get_no_gradient(training: bool) -> None:
    encoder, (x_NLD, lengths) = _encoder().train(training), _frames()
    x_NLD.requires_grad_()
    _rows(encoder, x_NLD, lengths).square().sum().backward()
    assert x_NLD.grad is not None
    for n, length in enumerate(LENGTHS):
        assert x_NLD.grad[n, length:].abs().sum() == 0
        assert (x_NLD.grad[n, :length].abs().sum(-1) > 0).all()


def test_maps_have_one_step_per_stride_and_are_the_weights_of_the_heads() -> None:
    encoder, (x_NLD, lengths) = _encoder(strides=(2, 1)), _frames()
    maps = encoder.attention_maps(x_NLD, lengths, lengths)
    assert [tuple(one.shape) for one in maps] == [(2, 4, 4), (2, 1, 1), (2, 2, 2)]
    assert encoder.attention_stride == 2
    for one in maps:
        torch.testing.assert_close(one.sum(-1), torch.ones_like(one[..., 0]))
    e_NLD, is_valid_NL = encoder._convolve(x_NLD, lengths)
    torch.testing.assert_close(maps[0], encoder.attention.weights(e_NLD, is_valid_NL)[0, :, :4, :4], rtol=0, atol=0)
    assert not torch.allclose(maps[0][0], maps[0][1])


def test_frames_after_max_frames_are_not_read() -> None:
    whole, cut = _encoder(), _encoder(max_frames=4)
    x_NLD, lengths = _frames()
    found = _rows(cut, x_NLD, lengths)
    torch.testing.assert_close(found, _rows(whole, x_NLD[:, :4], lengths.clamp_max(4)), rtol=0, atol=1e-12)
    assert not torch.allclose(found[0], _rows(whole, x_NLD, lengths)[0])
    torch.testing.assert_close(found[1:], _rows(whole, x_NLD, lengths)[1:], rtol=0, atol=1e-12)
    assert cut.attention_maps(x_NLD, lengths, lengths)[0].shape == (2, 4, 4)


def test_a_turn_without_any_frame_gives_a_finite_vector() -> None:
    lengths = torch.tensor([0, 3])
    out = _rows(_encoder().train(), torch.ones(2, 3, 3, dtype=torch.float64), lengths)
    assert out.isfinite().all()


def test_absent_turns_do_not_enter_the_statistics_of_batch_norm() -> None:
    x_NLD, lengths = _frames()
    one, other = _encoder().train(), _encoder().train()
    present = torch.tensor([[True, True, False]])
    one(x_NLD[None], lengths[None], present)
    _rows(other, x_NLD[:2], lengths[:2])
    for (name, found), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, msg=name)


def test_all_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        ConvAttentionConfig(kernel_size=4, strides=(1,), dropout=1.0, max_frames=0)
    message = str(caught.value)
    for part in ("kernel_size 4 must be odd", "strides [1]", "dropout 1.0", "max_frames 0"):
        assert part in message
    with pytest.raises(ConfigError, match="n_heads 3 must divide channels 128"):
        build_input(InputSpec(kind="frames", dim=3, encoder="conv-attention", options={"n_heads": 3}))
    built = build_input(InputSpec(kind="frames", dim=384, encoder="conv-attention"))
    assert built.out_dim == 64
    assert sum(p.numel() for p in built.parameters()) == 384 * 128 * 5 + 128 * 128 * 5 + 4 * 128**2 + 4 * 128 + 129 * 64
