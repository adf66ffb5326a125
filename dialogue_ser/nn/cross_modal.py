"""Attention encoders between the modalities of a dialogue, one for each ordered pair (docs/equations.md, SDT)."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dialogue_ser.nn.attention import masked_softmax

#: Largest number of attention weights that are computed together, padding included (16 MB in single precision).
MOST_WEIGHTS = 2**22
LAYER_NORM_EPS = 1e-6


class GroupedLinear(nn.Module):
    """G linear layers, each for its own group of rows: y_g = x_g W_g + b_g, in one batched product.

    Args:
        n_groups: G.
        in_dim: number of features of a row.
        out_dim: number of features of a result.
        bias: add b.
    """

    def __init__(self, n_groups: int, in_dim: int, out_dim: int, *, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_dim)
        self.weight = nn.Parameter(torch.empty(n_groups, in_dim, out_dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_groups, out_dim).uniform_(-bound, bound)) if bias else None

    def forward(self, x_GND: Float[Tensor, "group row feature"]) -> Float[Tensor, "group row out"]:
        """The results of all groups."""
        if self.bias is None:
            return torch.bmm(x_GND, self.weight)
        return torch.baddbmm(self.bias[:, None], x_GND, self.weight)


class SeenTurns(NamedTuple):
    """Which turns an attention may look at.

    Args:
        row_N: row of each real turn in ``[B · T]`` (``TurnIndex.row_N``), on the device.
        is_key_MBT: True where a turn has the modality; False on padding.
        speaker_BT: party of each turn, or None if the attention does not know who speaks.
    """

    row_N: Int[Tensor, " node"]
    is_key_MBT: Bool[Tensor, "modality batch turn"]
    speaker_BT: Int[Tensor, "batch turn"] | None


class CrossModalEncoders(nn.Module):
    """For every ordered pair (source, target) of M modalities one attention layer and one feed-forward layer.

    Queries come from the target; keys and values come from the source. Pair (s, t) has the number s · M + t. All M²
    pairs are computed in batched products. A turn never looks at turns that lack the source's modality.

    y = Q + dropout(W_o attention(Q, K)); z = y + dropout(W_2 dropout(gelu(W_1 norm(y)))); the result is z ⊙ σ(W_g z).

    Args:
        n_modalities: M.
        dim: number of features of a turn, a multiple of ``n_heads``.
        n_heads: number of heads.
        dropout: dropout rate on queries and keys, on the weights of the attention and inside the layers.
        learned_gates: False: W_g is the identity and has no parameters.
        knows_speakers: every head adds a learned number to the score of two turns of one speaker.
    """

    def __init__(
        self,
        n_modalities: int,
        dim: int,
        *,
        n_heads: int,
        dropout: float,
        learned_gates: bool = False,
        knows_speakers: bool = False,
    ) -> None:
        super().__init__()
        self.n_modalities, self.n_heads, n_pairs = n_modalities, n_heads, n_modalities**2
        self.dropout = nn.Dropout(dropout)
        self.query = GroupedLinear(n_pairs, dim, dim)
        self.key_and_value = GroupedLinear(n_pairs, dim, 2 * dim)
        self.out = GroupedLinear(n_pairs, dim, dim)
        self.norm_weight = nn.Parameter(torch.ones(n_pairs, dim))
        self.norm_bias = nn.Parameter(torch.zeros(n_pairs, dim))
        self.inner, self.outer = GroupedLinear(n_pairs, dim, dim), GroupedLinear(n_pairs, dim, dim)
        self.gate = GroupedLinear(n_pairs, dim, dim, bias=False) if learned_gates else None
        self.same_speaker = nn.Parameter(torch.randn(n_pairs, n_heads)) if knows_speakers else None

    def forward(
        self, x_MNH: Float[Tensor, "modality node feature"], seen: SeenTurns
    ) -> Float[Tensor, "pair node feature"]:
        """The results of all pairs for all real turns.

        If the weights are many, a part of the turns is computed after the other, and in backward again. The memory then
        grows with the number of turns, not with its square. The time grows with the square of a dialogue's length.
        """
        query_PNH, key_PNH = self._queries_and_keys(x_MNH)
        heads = self._heads(query_PNH, key_PNH, seen)
        context_PMH = self._attend(*heads, seen).transpose(2, 3).flatten(3).flatten(1, 2)
        y_PNH: Tensor = query_PNH + self.dropout(self.out(context_PMH.index_select(1, seen.row_N)))
        normal_PNH = nn.functional.layer_norm(y_PNH, y_PNH.shape[-1:], eps=LAYER_NORM_EPS)
        normal_PNH = normal_PNH * self.norm_weight[:, None] + self.norm_bias[:, None]
        inner_PNH = self.dropout(nn.functional.gelu(self.inner(normal_PNH), approximate="tanh"))
        z_PNH: Tensor = y_PNH + self.dropout(self.outer(inner_PNH))
        gate_PNH: Tensor = z_PNH if self.gate is None else self.gate(z_PNH)
        return z_PNH * torch.sigmoid(gate_PNH)

    def weights(
        self, x_MNH: Float[Tensor, "modality node feature"], seen: SeenTurns
    ) -> Float[Tensor, "pair batch row turn"]:
        """The weights that every turn gives to all turns, the mean over the heads; 0 on rows and columns of padding."""
        query_PBhTd, key_PBhTd, _ = self._heads(*self._queries_and_keys(x_MNH), seen)
        pieces = [
            self._weights(query_PBhTd, key_PBhTd, seen, first, end).mean(2)
            for first, end in self._parts(query_PBhTd.shape)
        ]
        is_real_M = torch.zeros_like(seen.is_key_MBT[0], dtype=torch.bool).flatten().index_fill(0, seen.row_N, True)
        is_real_BT = is_real_M.view(seen.is_key_MBT.shape[1:])
        return torch.cat(pieces, dim=2).masked_fill(~is_real_BT[..., None], 0.0)

    def _queries_and_keys(self, x_MNH: Tensor) -> tuple[Tensor, Tensor]:
        """The dropped inputs of all pairs. Inside one modality, queries and keys are dropped at the same places."""
        n, (_, n_nodes, dim) = self.n_modalities, x_MNH.shape
        query_PNH = self.dropout(x_MNH.expand(n, -1, -1, -1).reshape(n * n, n_nodes, dim))
        key_PNH = self.dropout(x_MNH[:, None].expand(-1, n, -1, -1).reshape(n * n, n_nodes, dim))
        if self.training and self.dropout.p > 0:
            is_own_P = torch.eye(n, dtype=torch.bool, device=x_MNH.device).flatten()
            key_PNH = torch.where(is_own_P[:, None, None], query_PNH, key_PNH)
        return query_PNH, key_PNH

    def _heads(self, query_PNH: Tensor, key_PNH: Tensor, seen: SeenTurns) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, padded ``[P, B, h, T, d]``; 0 on padding."""
        _, n_dialogues, n_turns = seen.is_key_MBT.shape
        parts_PNH = torch.cat([self.query(query_PNH), self.key_and_value(key_PNH)], dim=-1)
        padded = parts_PNH.new_zeros(len(parts_PNH), n_dialogues * n_turns, parts_PNH.shape[-1])
        padded = padded.index_copy(1, seen.row_N, parts_PNH)
        shape = (-1, n_dialogues, n_turns, 3, self.n_heads, query_PNH.shape[-1] // self.n_heads)
        query_PBhTd, key_PBhTd, value_PBhTd = padded.view(shape).permute(3, 0, 1, 4, 2, 5).unbind(0)
        return query_PBhTd, key_PBhTd, value_PBhTd

    def _parts(self, shape: torch.Size) -> list[tuple[int, int]]:
        """First and last turn of each part that is computed together."""
        n_pairs, n_dialogues, n_heads, n_turns, _ = shape
        size = max(1, MOST_WEIGHTS // (n_pairs * n_dialogues * n_heads * n_turns))
        return [(first, min(first + size, n_turns)) for first in range(0, n_turns, size)]

    def _attend(self, query_PBhTd: Tensor, key_PBhTd: Tensor, value_PBhTd: Tensor, seen: SeenTurns) -> Tensor:
        """The weighted sums of the values of all heads."""
        parts = self._parts(query_PBhTd.shape)
        if len(parts) == 1 or not torch.is_grad_enabled():
            sums = [self._sums(query_PBhTd, key_PBhTd, value_PBhTd, seen, *part) for part in parts]
        else:
            sums = [
                checkpoint(self._sums, query_PBhTd, key_PBhTd, value_PBhTd, seen, *part, use_reentrant=False)
                for part in parts
            ]
        return torch.cat(sums, dim=3)

    def _sums(self, query: Tensor, key: Tensor, value: Tensor, seen: SeenTurns, first: int, end: int) -> Tensor:
        weights: Tensor = self.dropout(self._weights(query, key, seen, first, end))
        return weights @ value

    def _weights(self, query: Tensor, key: Tensor, seen: SeenTurns, first: int, end: int) -> Tensor:
        """The weights ``[P, B, h, end − first, T]`` of some of the turns."""
        scores = query[:, :, :, first:end] @ (key * query.shape[-1] ** -0.5).mT
        if self.same_speaker is not None:
            assert seen.speaker_BT is not None
            is_same_BtT = seen.speaker_BT[:, first:end, None] == seen.speaker_BT[:, None]
            scores = scores + self.same_speaker[:, None, :, None, None] * is_same_BtT[:, None]
        is_key_PBT = seen.is_key_MBT.repeat_interleave(self.n_modalities, 0)
        return masked_softmax(scores, is_key_PBT[:, :, None, None].expand_as(scores))


def sine_positions(n_turns: int, dim: int, like: Tensor) -> Float[Tensor, "turn feature"]:
    """Positions as sines and cosines: p[t, 2i] = sin(t · w_i), p[t, 2i + 1] = cos(t · w_i), w_i = 10000^(−2i / dim).

    >>> sine_positions(2, 2, torch.zeros(1))[0].tolist()
    [0.0, 1.0]
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    turn_T1 = torch.arange(n_turns, device=like.device, dtype=dtype)[:, None]
    even_F = torch.arange(0, dim, 2, device=like.device, dtype=dtype)
    angle_TF = turn_T1 * torch.exp(even_F * (-math.log(10000.0) / dim))
    table = torch.stack([torch.sin(angle_TF), torch.cos(angle_TF)], dim=-1).flatten(1)
    return table[:, :dim].to(like.dtype)
