"""Multi-head attention in which one modality asks and is asked, and others are what is answered (docs/equations.md)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.nn.frames.attentive_gru import Frames
from dialogue_ser.nn.frames.grouped_attention import attend


class FusionAttention(nn.Module):
    """mean_t [head_1; …; head_h] W_O with head_i = softmax(Q_i K_iᵀ / √d) V_i: Q, K of the audio, V of the text.

    Source: E1. The values are interpolated linearly to the audio's valid length, row by row, so that there is
    one per key. Sizes are own choices, the document gives none: d = audio's size / h, a value's head = text's size / h;
    no map has a bias, for batch norm behind it takes constants away. Means over time and interpolation exchange places
    with linear maps, so both are done where they cost least.

    A row without audio asks nothing: every frame of its text counts alike. A row without text gives 0, because the
    audio only says where to look. Several modalities that answer stand side by side in every head (own addition).

    Args:
        query_dim: size of the frames that ask, a multiple of ``n_heads``.
        value_dims: sizes of the frames that answer, each a multiple of ``n_heads``.
        n_heads: h.
        out_dim: size of the vector.
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
            query: frames that ask; a row of length 0 lacks the modality.
            values: frames that answer, in the order of ``value_dims``, as many rows each.
        """
        asked = _as_long_as_needed(query, values)
        parts = [
            self._heads(resample(layer(value.x_NLD), value.lengths_N, asked.lengths_N, asked.x_NLD.shape[1]))
            for layer, value in zip(self.values, values, strict=True)
        ]
        query_NHLD, key_NHLD = self._heads(self.query(asked.x_NLD)), self._heads(self.key(asked.x_NLD))
        scale = query_NHLD.shape[-1] ** -0.5
        heads_NHLE = attend(
            query_NHLD, key_NHLD, torch.cat(parts, dim=-1), asked.lengths_N, asked.host_lengths_N, scale=scale
        )
        mean_NHE = heads_NHLE.sum(2) / asked.lengths_N.clamp_min(1)[:, None, None]
        out_ND: Tensor = self.out(mean_NHE.flatten(1))
        return out_ND

    def weights(self, query: Frames) -> Float[Tensor, "row head frame seen"]:
        """The softmax above: which frames each frame that asks takes the answer of; 0 beyond a row's length."""
        query_NHLD, key_NHLD = self._heads(self.query(query.x_NLD)), self._heads(self.key(query.x_NLD))
        logits_NHLL = query_NHLD @ key_NHLD.mT * query_NHLD.shape[-1] ** -0.5
        is_valid_NL = torch.arange(logits_NHLL.shape[-1], device=logits_NHLL.device) < query.lengths_N[:, None]
        is_seen_N1LL = (is_valid_NL[:, :, None] & is_valid_NL[:, None])[:, None]
        return masked_softmax(logits_NHLL, is_seen_N1LL.expand_as(logits_NHLL))

    def _heads(self, x_NLD: Tensor) -> Float[Tensor, "row head length key"]:
        return torch.unflatten(x_NLD, -1, (self.n_heads, -1)).transpose(1, 2)


def _as_long_as_needed(query: Frames, values: Sequence[Frames]) -> Frames:
    """The query, with zeros as long as the longest answer where it is absent: zeros look everywhere alike."""
    lengths = torch.stack([value.lengths_N for value in values]).amax(0)
    host_lengths = torch.stack([value.host_lengths_N for value in values]).amax(0)
    lengths_N = torch.where(query.lengths_N > 0, query.lengths_N, lengths)
    host_lengths_N = torch.where(query.host_lengths_N > 0, query.host_lengths_N, host_lengths)
    room = max(0, int(host_lengths_N.max()) - query.x_NLD.shape[1])
    return Frames(nn.functional.pad(query.x_NLD, (0, 0, 0, room)), lengths_N, host_lengths_N)


def resample(
    x_NLD: Float[Tensor, "row length feature"],
    lengths_N: Int[Tensor, " row"],
    new_lengths_N: Int[Tensor, " row"],
    longest: int,
) -> Float[Tensor, "row new feature"]:
    """Linear interpolation of each row's valid frames to another number of them; 0 for rows without any.

    Frames are the middles of equal parts of the whole duration, as in ``torch.nn.functional.interpolate`` with
    ``align_corners=False`` (own choice). Beyond the new lengths stands junk.

    Args:
        x_NLD: 0 beyond a row's end.
        lengths_N: valid frames per row.
        new_lengths_N: wanted.
        longest: places per row of the result.

    >>> x = torch.tensor([[[0.0], [4.0]]])
    >>> resample(x, torch.tensor([2]), torch.tensor([4]), 4)[0, :, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    dtype = torch.promote_types(x_NLD.dtype, torch.float32)
    middle_L = torch.arange(longest, device=x_NLD.device, dtype=dtype) + 0.5
    ratio_N1 = (lengths_N.to(dtype) / new_lengths_N.clamp_min(1))[:, None]
    place_NL = torch.minimum((middle_L * ratio_N1 - 0.5).clamp_min(0), (lengths_N.clamp_min(1) - 1)[:, None].to(dtype))
    frame_L = torch.arange(x_NLD.shape[1], device=x_NLD.device, dtype=dtype)
    share_NLK = (1 - (place_NL[:, :, None] - frame_L).abs()).clamp_min(0)  # of the two frames beside each place
    return share_NLK.to(x_NLD.dtype) @ x_NLD
