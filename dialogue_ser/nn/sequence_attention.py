"""Attention of every turn over all turns of its dialogue (docs/equations.md)."""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.tensors import HiddenBTH, TurnsB

SequenceAttentionKind = Literal["general2", "general2-tanh"]
SEQUENCE_ATTENTION_KINDS: tuple[str, ...] = get_args(SequenceAttentionKind)


class Attended(NamedTuple):
    """The output of attention over a sequence.

    Args:
        sum_BTH: for each turn, the weighted sum of the states that it sees; exactly 0 on padding.
        weights_BTT: row t has the weights that turn t gives to the turns in the columns. The row of a real turn sums to
            1; rows and columns of padding are 0.
    """

    sum_BTH: HiddenBTH
    weights_BTT: Float[Tensor, "batch turn memory"]


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

    def forward(self, e_BTH: HiddenBTH, n_turns_B: TurnsB) -> Attended:
        """The weighted sums and the weights of all turns; e must be finite on padding."""
        turn = torch.arange(e_BTH.shape[1], device=e_BTH.device)
        is_real_BT = turn < n_turns_B[:, None]
        is_visible_BTT = is_real_BT[:, :, None] & is_real_BT[:, None, :]
        if self.causal:
            is_visible_BTT = is_visible_BTT & (turn[:, None] >= turn)
        weights_BTT = masked_softmax(self._logits(e_BTH, e_BTH), is_visible_BTT)
        return Attended(weights_BTT @ e_BTH, weights_BTT)

    def newest(self, e_TH: Float[Tensor, "turn hidden"]) -> Float[Tensor, " hidden"]:
        """The weighted sum of the last turn over all turns so far, in O(T · H), for a dialogue that is still going on.

        >>> attention = SequenceAttention("general2", 4, causal=True)
        >>> e_TH = torch.randn(3, 4)
        >>> whole = attention(e_TH[None], torch.tensor([3])).sum_BTH
        >>> bool(torch.allclose(attention.newest(e_TH), whole[0, 2], atol=1e-6))
        True
        """
        weights_1T = torch.softmax(self._logits(e_TH[-1:], e_TH), dim=-1)
        return (weights_1T @ e_TH)[0]

    def _logits(self, query: Tensor, memory: Tensor) -> Tensor:
        logits: Tensor = self.transform(query) @ memory.transpose(-1, -2)
        return torch.tanh(logits) if self.kind == "general2-tanh" else logits
