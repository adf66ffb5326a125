"""Attention of every turn over all turns of its dialogue (docs/equations.md)."""

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
        """The weighted sums of all turns, exactly 0 on padding; e must be finite there.

        If the weights are many, a part of the turns is computed after the other, and in backward again. The memory then
        grows with the number of turns, not with its square.
        """
        n_dialogues, n_turns, _ = e_BTH.shape
        size = max(1, MOST_WEIGHTS // (n_dialogues * n_turns))
        if size >= n_turns:
            return self._sums(e_BTH, n_turns_B, 0, n_turns)
        parts = [(first, min(first + size, n_turns)) for first in range(0, n_turns, size)]
        if not torch.is_grad_enabled():
            return torch.cat([self._sums(e_BTH, n_turns_B, *part) for part in parts], dim=1)
        sums = [
            checkpoint(self._sums, e_BTH, n_turns_B, *part, use_reentrant=False, preserve_rng_state=False)
            for part in parts
        ]
        return torch.cat(sums, dim=1)

    def weights(
        self, e_BTH: HiddenBTH, n_turns_B: TurnsB, first: int = 0, end: int | None = None
    ) -> Float[Tensor, "batch row turn"]:
        """The weights that the turns from ``first`` to before ``end`` (None = all) give to all turns.

        The row of a real turn sums to 1; rows and columns of padding are 0.
        """
        turn = torch.arange(e_BTH.shape[1], device=e_BTH.device)
        is_real_BT = turn < n_turns_B[:, None]
        is_visible_BTT = is_real_BT[:, first:end, None] & is_real_BT[:, None, :]
        if self.causal:
            is_visible_BTT = is_visible_BTT & (turn[first:end, None] >= turn)
        return masked_softmax(self._logits(e_BTH[:, first:end], e_BTH), is_visible_BTT)

    def _sums(self, e_BTH: Tensor, n_turns_B: Tensor, first: int, end: int) -> Tensor:
        return self.weights(e_BTH, n_turns_B, first, end) @ e_BTH

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
