"""The fusion equals the equations of E1 for every row, also if a modality is missing."""

import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.nn.frames.attentive_gru import Frames
from dialogue_ser.nn.fusion_attention import FusionAttention, resample

AUDIO, TEXT, FACE = [6, 2, 9, 3], [2, 5, 3, 3], [1, 0, 2, 4]


def _frames(lengths: list[int], size: int, seed: int) -> Frames:
    lengths_N, generator = torch.tensor(lengths), torch.Generator().manual_seed(seed)
    x_NLD = torch.randn(len(lengths), max(lengths) + 1, size, dtype=torch.float64, generator=generator)
    is_valid = torch.arange(max(lengths) + 1) < lengths_N[:, None]
    return Frames(x_NLD.masked_fill(~is_valid[..., None], 0.0).requires_grad_(), lengths_N, lengths_N)


def _rows(frames: Frames) -> list[Tensor]:
    return [row[:n] for row, n in zip(frames.x_NLD, frames.lengths_N.tolist(), strict=True)]


def _fusion(value_dims: list[int]) -> FusionAttention:
    torch.manual_seed(4)
    return FusionAttention(4, value_dims, n_heads=2, out_dim=5).double()


def test_values_and_gradients_are_the_plain_equations(plain) -> None:
    fusion, audio, text = _fusion([6]), _frames(AUDIO, 4, 1), _frames(TEXT, 6, 2)
    weights = [layer.weight for layer in (fusion.query, fusion.key, fusion.values[0], fusion.out)]
    rows = zip(_rows(audio), _rows(text), strict=True)
    expected = torch.stack([plain.fusion(one, other, *weights, 2).mean(0) for one, other in rows])
    found = fusion(audio, [text])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    leaves = [audio.x_NLD, text.x_NLD, *fusion.parameters()]
    ours, theirs = (torch.autograd.grad(one.sin().sum(), leaves) for one in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_two_value_modalities_are_concatenated_in_every_head(plain) -> None:
    fusion, audio, text, face = _fusion([6, 2]), _frames(AUDIO, 4, 1), _frames(TEXT, 6, 2), _frames(FACE, 2, 3)
    query, key, (value, other), out = fusion.query.weight, fusion.key.weight, fusion.values, fusion.out.weight
    first = [row[:, 0:3] for row in (out, out[:, 4:])]  # out's columns: head 1 text, face; head 2 text, face
    second = [out[:, 3:4], out[:, 7:8]]
    expected = []
    for one, words, faces in zip(_rows(audio), _rows(text), _rows(face), strict=True):
        total = plain.fusion(one, words, query, key, value.weight, torch.cat(first, 1), 2)
        if len(faces):
            total = total + plain.fusion(one, faces, query, key, other.weight, torch.cat(second, 1), 2)
        expected.append(total.mean(0))
    torch.testing.assert_close(fusion(audio, [text, face]), torch.stack(expected), rtol=0, atol=1e-12)


def test_without_audio_all_text_has_the_same_weight_and_without_text_the_result_is_zero() -> None:
    fusion = _fusion([6])
    audio, text = _frames([0, 3, 0], 4, 1), _frames([5, 0, 0], 6, 2)
    found = fusion(audio, [text])
    expected = fusion.out(fusion.values[0](text.x_NLD[0, :5].mean(0)))
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)
    assert found[1:].abs().sum() == 0


def test_resampling_is_torchs_interpolation_of_each_row_alone(plain) -> None:
    text, wanted = _frames([2, 5, 1, 4], 3, 5), torch.tensor([7, 2, 3, 4])
    found = resample(text.x_NLD, text.lengths_N, wanted, 8)
    for row, own, n in zip(found, _rows(text), wanted.tolist(), strict=True):
        by_torch = nn.functional.interpolate(own.T[None], size=n, mode="linear", align_corners=False)[0].T
        torch.testing.assert_close(row[:n], by_torch, rtol=0, atol=1e-12)
        torch.testing.assert_close(row[:n], plain.resample(own, n), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 5])
def test_resampling_to_the_same_length_changes_nothing(n) -> None:
    text = _frames([n], 3, 5)
    torch.testing.assert_close(resample(text.x_NLD, text.lengths_N, text.lengths_N, n)[0], text.x_NLD[0, :n])


def test_its_weights_are_those_of_the_values() -> None:
    fusion, audio, text = _fusion([6]), _frames(AUDIO, 4, 1), _frames(TEXT, 6, 2)
    weights = fusion.weights(audio).detach()
    assert weights.shape == (4, 2, 10, 10)
    for row, (n, own) in enumerate(zip(AUDIO, _rows(text), strict=True)):
        maps = weights[row, :, :n, :n]
        torch.testing.assert_close(maps.sum(-1), torch.ones(2, n, dtype=torch.float64))
        assert float(weights[row].sum()) == pytest.approx(2 * n)  # nothing beyond the row
        values = resample(fusion.values[0](own)[None], torch.tensor([len(own)]), torch.tensor([n]), n)[0]
        heads = [one @ part for one, part in zip(maps, values.chunk(2, dim=1), strict=True)]
        found = fusion(audio, [text])[row]
        torch.testing.assert_close(found, fusion.out(torch.cat(heads, 1).mean(0)), rtol=0, atol=1e-12)
