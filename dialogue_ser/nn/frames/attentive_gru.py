"""Batch norm → GRU → multiplicative self-attention over frames, a branch of E1 (docs/equations.md)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.nn.frames.frame_gru import FrameLayout, read_frames
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm
from dialogue_ser.nn.frames.grouped_attention import attend


@dataclass(frozen=True)
class Frames:
    """Frames of N rows, padded.

    Args:
        x_NLD: the frames, 0 beyond the end of a row.
        lengths_N: number of valid frames per row; 0 = the row has none.
        host_lengths_N: the same numbers on the CPU.
    """

    x_NLD: Float[Tensor, "row length feature"]
    lengths_N: Int[Tensor, " row"]
    host_lengths_N: Int[Tensor, " row"]

    def mean(self) -> Float[Tensor, "row feature"]:
        """Mean over the valid frames of each row, 0 if it has none."""
        return self.x_NLD.sum(1) / self.lengths_N.clamp_min(1)[:, None]


class AttentiveGRU(nn.Module):
    """l_t = Σ_t' softmax_t'(h_tᵀ W h_t') h_t' over all states h of a GRU over the normalised frames.

    Source: E1. Its text says that t' comes before t, but its sum has no limit, so all t' are used here. Its scalar b_a
    in the logits is left out: it is the same for every t', so the softmax removes it and it cannot be learned. Batch
    norm uses valid frames only; the document pads first and normalises afterwards. The second direction is an own
    addition.

    Args:
        dim: D, the number of features of a frame.
        units: number of units of the GRU, per direction.
        recurrent_dropout: dropout rate on the GRU's path from state to state; see
            :func:`~dialogue_ser.nn.frames.frame_gru.read_frames`.
        bidirectional: add a second GRU, which reads every row from its end.
    """

    def __init__(self, dim: int, units: int, *, recurrent_dropout: float = 0.0, bidirectional: bool = False) -> None:
        super().__init__()
        self.recurrent_dropout = recurrent_dropout
        self.norm = FrameBatchNorm(dim)
        self.gru = nn.GRU(dim, units, bidirectional=bidirectional)
        self.out_dim = units * (2 if bidirectional else 1)
        self.attention = nn.Linear(self.out_dim, self.out_dim, bias=False)
        nn.init.xavier_uniform_(self.attention.weight)

    def forward(
        self,
        values_NLD: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Frames:
        """One output frame for each input frame; values beyond the length of a row are not used."""
        h_NLH = self._states(values_NLD, host_lengths_N)
        query_N1LH, h_N1LH = self.attention(h_NLH)[:, None].to(h_NLH.dtype), h_NLH[:, None]
        l_N1LH = attend(query_N1LH, h_N1LH, h_N1LH, lengths_N, host_lengths_N, scale=1.0)
        return Frames(l_N1LH[:, 0], lengths_N, host_lengths_N)

    def weights(
        self,
        values_NLD: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row frame seen"]:
        """The softmax weights of every frame t over the frames t'; 0 beyond the length of a row."""
        h_NLH = self._states(values_NLD, host_lengths_N)
        is_valid_NL = torch.arange(h_NLH.shape[1], device=lengths_N.device) < lengths_N[:, None]
        return masked_softmax(self.attention(h_NLH) @ h_NLH.mT, is_valid_NL[:, :, None] & is_valid_NL[:, None])

    def _states(self, values_NLD: Tensor, host_lengths_N: Tensor) -> Float[Tensor, "row length hidden"]:
        """States of the GRU, 0 beyond the length of each row."""
        n_rows, longest, _ = values_NLD.shape
        layout = FrameLayout.of(host_lengths_N, longest, values_NLD.device)
        if not layout.sizes:
            return values_NLD.new_zeros(n_rows, longest, self.out_dim)
        x_1VD = values_NLD.flatten(0, 1).index_select(0, layout.position_V)[None]
        x_1VD = self.norm(x_1VD, torch.ones(x_1VD.shape[:2], dtype=torch.bool, device=x_1VD.device))
        h_VH = read_frames(self.gru, x_1VD[0], layout, self.recurrent_dropout if self.training else 0.0)
        h_MH = h_VH.new_zeros(n_rows * longest, self.out_dim).index_copy(0, layout.position_V, h_VH)
        return h_MH.view(n_rows, longest, -1)
