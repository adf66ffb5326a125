"""Attention inside rows of different lengths, computed in groups of rows with similar lengths."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dialogue_ser.nn.frames.token_rows import group_by_length
from dialogue_ser.nn.transfer import send

#: The shortest row of a group has at least this share of the length of the longest row. Attention costs the square of
#: the length, so a smaller share would compute much padding.
LEAST_FILLED = 0.8


def attend(
    query_NHLD: Float[Tensor, "row head length key"],
    key_NHLD: Float[Tensor, "row head length key"],
    value_NHLE: Float[Tensor, "row head length value"],
    lengths_N: Int[Tensor, " row"],
    host_lengths_N: Int[Tensor, " row"],
    *,
    scale: float,
) -> Float[Tensor, "row head length value"]:
    """softmax(scale · Q Kᵀ) V over the first ``length`` frames of each row; exactly 0 beyond them and in empty rows.

    Args:
        query_NHLD: the queries, one per frame. Queries, keys and values must be finite beyond the lengths too.
        key_NHLD: the keys, one per frame.
        value_NHLE: the values, one per frame.
        lengths_N: number of valid frames per row.
        host_lengths_N: the same numbers on the CPU.
        scale: factor of the logits.
    """
    longest = query_NHLD.shape[2]
    order, ends = group_by_length(host_lengths_N.tolist(), LEAST_FILLED)
    order_N, inverse_order_N = send([np.array(order), np.argsort(order)], query_NHLD.device)
    counts = [stop - start for start, stop in pairwise([0, *ends])]
    inputs = (query_NHLD, key_NHLD, value_NHLE, lengths_N)
    # torch.split instead of slices: the gradient of each slice would be a tensor as large as the whole.
    parts = [torch.split(part.index_select(0, order_N), counts) for part in inputs]
    groups = []
    for (query, key, value, n_N), first in zip(zip(*parts, strict=True), [0, *ends], strict=False):
        width = max(1, int(host_lengths_N[order[first]]))
        frame_L = torch.arange(width, device=n_N.device)
        is_visible_NL = frame_L < n_N[:, None].clamp_min(1)  # an empty row needs one visible frame, else it gets NaN
        q, k, v = (part[:, :, :width] for part in (query, key, value))
        group = scaled_dot_product_attention(q, k, v, attn_mask=is_visible_NL[:, None, None], scale=scale)
        group = group.masked_fill((frame_L >= n_N[:, None])[:, None, :, None], 0.0)
        groups.append(nn.functional.pad(group, (0, 0, 0, longest - width)))
    return torch.cat(groups).index_select(0, inverse_order_N)
