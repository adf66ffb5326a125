"""Attention inside rows of different length, computed in groups of like length."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dialogue_ser.nn.frames.token_rows import forward_passes
from dialogue_ser.nn.transfer import send

#: Attention costs the square of a length, so a group's shortest row has at least this share of its longest one's.
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
    """softmax(scale · Q Kᵀ) V over the first ``length`` places of each row; exactly 0 beyond them, and in empty rows.

    Args:
        query_NHLD: finite also beyond the lengths, as the others.
        key_NHLD: as many places as queries.
        value_NHLE: one per key.
        lengths_N: valid places per row.
        host_lengths_N: the same on the CPU.
        scale: of the logits.
    """
    longest = query_NHLD.shape[2]
    order, ends = forward_passes(host_lengths_N.tolist(), LEAST_FILLED)
    order_N, place_N = send([np.array(order), np.argsort(order)], query_NHLD.device)
    counts = [stop - start for start, stop in pairwise([0, *ends])]
    given = (query_NHLD, key_NHLD, value_NHLE, lengths_N)
    # Split, not sliced: the gradient of each slice would be as large as the whole.
    parts = [torch.split(part.index_select(0, order_N), counts) for part in given]
    groups = []
    for (query, key, value, n_N), first in zip(zip(*parts, strict=True), [0, *ends], strict=False):
        width = max(1, int(host_lengths_N[order[first]]))
        place_L = torch.arange(width, device=n_N.device)
        is_seen_NL = place_L < n_N[:, None].clamp_min(1)  # somewhere an empty row has to look
        q, k, v = (part[:, :, :width] for part in (query, key, value))
        group = scaled_dot_product_attention(q, k, v, attn_mask=is_seen_NL[:, None, None], scale=scale)
        group = group.masked_fill((place_L >= n_N[:, None])[:, None, :, None], 0.0)
        groups.append(nn.functional.pad(group, (0, 0, 0, longest - width)))
    return torch.cat(groups).index_select(0, place_N)
