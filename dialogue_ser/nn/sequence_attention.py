"""Attention of every turn over all turns of its dialogue (docs/equations.md)."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.tensors import HiddenBTH, TurnsB

SequenceAttentionKind = Literal["general2", "general2-tanh"]
SEQUENCE_ATTENTION_KINDS: tuple[str, ...] = get_args(SequenceAttentionKind)
#: Largest number of weights that are computed together, padding included (4 MB in single precision).
MOST_WEIGHTS = 2**20


Logits = Callable[[Tensor, Tensor], Tensor]
"""A function of queries ``[B, Q, H]`` and memories ``[B, T, H]`` that returns logits ``[B, Q, T]``."""


def dot(query: Tensor, memory: Tensor) -> Tensor:
    """The products of all queries with all memories."""
    return query @ memory.transpose(-1, -2)


def attend(
    query_BTH: HiddenBTH, memory_BTH: HiddenBTH, n_turns_B: TurnsB, *, logits: Logits = dot, causal: bool = False
) -> HiddenBTH:
    """Σ_j α_tj m_j for the query of every turn t, α_t = softmax over the real turns j; exactly 0 on padding.

    If the weights are many, a part of the turns is computed after the other, and in backward again. The memory then
    grows with the number of turns, not with its square.

    Args:
        query_BTH: queries, finite on padding.
        memory_BTH: m, finite on padding.
        n_turns_B: number of real turns per dialogue.
        logits: how queries and memories are compared.
        causal: a turn sees only itself and earlier turns.
    """
    sums = partial(_sums, logits=logits, n_turns_B=n_turns_B, causal=causal)
    n_dialogues, n_turns, _ = memory_BTH.shape
    size = max(1, MOST_WEIGHTS // (n_dialogues * n_turns))
    if size >= n_turns:
        return sums(query_BTH, memory_BTH, 0, n_turns)
    parts = [(first, min(first + size, n_turns)) for first in range(0, n_turns, size)]
    if not torch.is_grad_enabled():
        return torch.cat([sums(query_BTH, memory_BTH, *part) for part in parts], dim=1)
    return torch.cat(
        [
            checkpoint(sums, query_BTH, memory_BTH, *part, use_reentrant=False, preserve_rng_state=False)
            for part in parts
        ],
        dim=1,
    )


def _sums(
    query_BTH: Tensor, memory_BTH: Tensor, first: int, end: int, *, logits: Logits, n_turns_B: Tensor, causal: bool
) -> Tensor:
    """The weighted sums of the turns from ``first`` to before ``end``."""
    return _weights(logits(query_BTH[:, first:end], memory_BTH), n_turns_B, first, end, causal) @ memory_BTH


def _weights(logits_BQT: Tensor, n_turns_B: Tensor, first: int, end: int | None, causal: bool) -> Tensor:
    """Softmax over the real turns; rows and columns of padding are 0."""
    turn = torch.arange(logits_BQT.shape[2], device=logits_BQT.device)
    is_real_BT = turn < n_turns_B[:, None]
    is_visible_BQT = is_real_BT[:, first:end, None] & is_real_BT[:, None, :]
    if causal:
        is_visible_BQT = is_visible_BQT & (turn[first:end, None] >= turn)
    return masked_softmax(logits_BQT, is_visible_BQT)


class SequenceAttention(nn.Module):
    """Σ_j α_tj e_j with α_t = softmax_j((W e_t + b) · e_j), j over the real turns of t's dialogue.

    Unlike :class:`~dialogue_ser.nn.attention.HistoryAttention` it needs no loop over the turns: queries and memories
    are the same sequence, so two batched products compute all turns at once.

    Args:
        kind: general2, or general2-tanh, which puts the logits through a tanh as COSMIC and bc-LSTM do.
        dim: number of units of e.
        causal: a turn sees only itself and earlier turns.
    """

    def __init__(self, kind: str, dim: int, *, causal: bool = False) -> None:
        super().__init__()
        assert kind in SEQUENCE_ATTENTION_KINDS, kind
        self.kind, self.causal = kind, causal
        self.transform = nn.Linear(dim, dim)

    def forward(self, e_BTH: HiddenBTH, n_turns_B: TurnsB) -> HiddenBTH:
        """The weighted sums of all turns, exactly 0 on padding; e must be finite there."""
        return attend(e_BTH, e_BTH, n_turns_B, logits=self._logits, causal=self.causal)

    def weights(
        self, e_BTH: HiddenBTH, n_turns_B: TurnsB, first: int = 0, end: int | None = None
    ) -> Float[Tensor, "batch row turn"]:
        """The weights that the turns from ``first`` to before ``end`` (None = all) give to all turns.

        The row of a real turn sums to 1; rows and columns of padding are 0.
        """
        return _weights(self._logits(e_BTH[:, first:end], e_BTH), n_turns_B, first, end, self.causal)

    def newest(self, e_TH: Float[Tensor, "turn hidden"]) -> Float[Tensor, " hidden"]:
        """The weighted sum of the last turn over all turns so far, in O(T · H), for a dialogue that is still going on.

        >>> attention = SequenceAttention("general2", 4, causal=True)
        >>> e_TH = torch.randn(3, 4)
        >>> whole = attention(e_TH[None], torch.tensor([3]))
        >>> bool(torch.allclose(attention.newest(e_TH), whole[0, 2], atol=1e-6))
        True
        """
        weights_1T = torch.softmax(self._logits(e_TH[-1:], e_TH), dim=-1)
        return (weights_1T @ e_TH)[0]

    def _logits(self, query: Tensor, memory: Tensor) -> Tensor:
        logits: Tensor = self.transform(query) @ memory.transpose(-1, -2)
        return torch.tanh(logits) if self.kind == "general2-tanh" else logits
