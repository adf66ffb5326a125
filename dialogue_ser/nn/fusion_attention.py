"""Multi-head attention with queries and keys of one modality and values of the others (docs/equations.md, E1)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.nn.frames.attentive_gru import Frames
from dialogue_ser.nn.frames.grouped_attention import attend


class FusionAttention(nn.Module):
    """mean_t [head_1; …; head_h] W_O with head_i = softmax(Q_i K_iᵀ / √d) V_i: Q, K of the audio, V of the text.

    Source: E1. In each row, the values are interpolated linearly to the valid length of the audio, so that every key
    has one value. The document gives no sizes. Own choices: d is the audio's size / h, and the head of a value has the
    text's size / h. No map has a bias, because the batch norm that follows would remove it. The mean over time and the
    interpolation give the same result before and after a linear map, so each is done where it costs less.

    In a row without audio, every frame of the text has the same weight. A row without text gives 0, because the audio
    gives only weights. If there are several value modalities, their values are concatenated in every head (own
    addition).

    Args:
        query_dim: number of features of the query frames, a multiple of ``n_heads``.
        value_dims: for each value modality, the number of features of its frames, a multiple of ``n_heads``.
        n_heads: h, the number of heads.
        out_dim: size of the output vector.
    """

    def __init__(self, query_dim: int, value_dims: Sequence[int], *, n_heads: int, out_dim: int) -> None:
        super().__init__()
        assert all(size % n_heads == 0 for size in (query_dim, *value_dims)), (query_dim, value_dims, n_heads)
        self.n_heads, self.out_dim = n_heads, out_dim
        self.query, self.key = (nn.Linear(query_dim, query_dim, bias=False) for _ in range(2))
        self.values = nn.ModuleList(nn.Linear(size, size, bias=False) for size in value_dims)
        self.out = nn.Linear(sum(value_dims), out_dim, bias=False)

    def forward(self, query: Frames, values: Sequence[Frames]) -> Float[Tensor, "row out"]:
        """One vector per row.

        Args:
            query: frames of the query modality; a row of length 0 lacks it.
            values: frames of the value modalities, in the order of ``value_dims``, with as many rows as the query.
        """
        query = _fill_absent_rows(query, values)
        parts = [
            self._split_heads(resample(layer(value.x_NLD), value.lengths_N, query.lengths_N, query.x_NLD.shape[1]))
            for layer, value in zip(self.values, values, strict=True)
        ]
        query_NHLD, key_NHLD = self._split_heads(self.query(query.x_NLD)), self._split_heads(self.key(query.x_NLD))
        scale = query_NHLD.shape[-1] ** -0.5
        heads_NHLE = attend(
            query_NHLD, key_NHLD, torch.cat(parts, dim=-1), query.lengths_N, query.host_lengths_N, scale=scale
        )
        mean_NHE = heads_NHLE.sum(2) / query.lengths_N.clamp_min(1)[:, None, None]
        out_ND: Tensor = self.out(mean_NHE.flatten(1))
        return out_ND

    def weights(self, query: Frames) -> Float[Tensor, "row head frame seen"]:
        """The softmax weights of every query frame over the key frames; 0 beyond the length of a row."""
        query_NHLD, key_NHLD = self._split_heads(self.query(query.x_NLD)), self._split_heads(self.key(query.x_NLD))
        logits_NHLL = query_NHLD @ key_NHLD.mT * query_NHLD.shape[-1] ** -0.5
        is_valid_NL = torch.arange(logits_NHLL.shape[-1], device=logits_NHLL.device) < query.lengths_N[:, None]
        is_seen_N1LL = (is_valid_NL[:, :, None] & is_valid_NL[:, None])[:, None]
        return masked_softmax(logits_NHLL, is_seen_N1LL.expand_as(logits_NHLL))

    def _split_heads(self, x_NLD: Tensor) -> Float[Tensor, "row head length key"]:
        return torch.unflatten(x_NLD, -1, (self.n_heads, -1)).transpose(1, 2)


def _fill_absent_rows(query: Frames, values: Sequence[Frames]) -> Frames:
    """The query frames, with frames of zeros in rows that have none.

    Such a row becomes as long as its longest value. Queries and keys of zeros give all frames the same weight.
    """
    lengths = torch.stack([value.lengths_N for value in values]).amax(0)
    host_lengths = torch.stack([value.host_lengths_N for value in values]).amax(0)
    lengths_N = torch.where(query.lengths_N > 0, query.lengths_N, lengths)
    host_lengths_N = torch.where(query.host_lengths_N > 0, query.host_lengths_N, host_lengths)
    n_more = max(0, int(host_lengths_N.max()) - query.x_NLD.shape[1])
    return Frames(nn.functional.pad(query.x_NLD, (0, 0, 0, n_more)), lengths_N, host_lengths_N)


def resample(
    x_NLD: Float[Tensor, "row length feature"],
    lengths_N: Int[Tensor, " row"],
    new_lengths_N: Int[Tensor, " row"],
    longest: int,
) -> Float[Tensor, "row new feature"]:
    """Interpolate the valid frames of each row linearly to another number of frames; 0 for a row without frames.

    A frame stands for the middle of its part of the row's duration, as in ``torch.nn.functional.interpolate`` with
    ``align_corners=False`` (own choice). Values beyond the new lengths have no meaning.

    Args:
        x_NLD: frames, 0 beyond the end of a row.
        lengths_N: number of valid frames per row.
        new_lengths_N: number of frames per row after the interpolation.
        longest: number of frames per row of the result, padding included.

    >>> x = torch.tensor([[[0.0], [4.0]]])
    >>> resample(x, torch.tensor([2]), torch.tensor([4]), 4)[0, :, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    dtype = torch.promote_types(x_NLD.dtype, torch.float32)
    middle_L = torch.arange(longest, device=x_NLD.device, dtype=dtype) + 0.5
    ratio_N1 = (lengths_N.to(dtype) / new_lengths_N.clamp_min(1))[:, None]
    position_NL = torch.minimum(
        (middle_L * ratio_N1 - 0.5).clamp_min(0), (lengths_N.clamp_min(1) - 1)[:, None].to(dtype)
    )
    frame_L = torch.arange(x_NLD.shape[1], device=x_NLD.device, dtype=dtype)
    # The weight is above 0 for at most two frames: those next to the position.
    weight_NLK = (1 - (position_NL[:, :, None] - frame_L).abs()).clamp_min(0)
    return weight_NLK.to(x_NLD.dtype) @ x_NLD
