"""Weights of the edges between a turn and the turns in its window (DialogueGCN)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.utils import softmax

from dialogue_ser.nn.graph.edge_parts import edge_parts
from dialogue_ser.tensors import HiddenBTH, TurnsB

#: Share of the positions outside the window in the published form.
OUTSIDE = 1e-10


class BilinearEdges(nn.Module):
    """w(j,k) = softmax over the window of turn j of g_j · (W g_k).

    Args:
        dim: number of units of g.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim, bias=False)

    def forward(
        self, g_NH: Float[Tensor, "node hidden"], turn_E: Int[Tensor, " edge"], seen_E: Int[Tensor, " edge"]
    ) -> Float[Tensor, " edge"]:
        """The weight of every edge; those of one turn sum to 1.

        Args:
            g_NH: states of the turns.
            turn_E: turn j of each edge, sorted.
            seen_E: turn k of each edge.
        """
        logits = edge_parts(_products, len(turn_E), g_NH, self.transform(g_NH), turn_E, seen_E)
        logits_E = logits[0] if len(logits) == 1 else torch.cat(logits)
        return softmax(logits_E, turn_E, num_nodes=len(g_NH))  # type: ignore[no-any-return]


def _products(first: int, end: int, g_NH: Tensor, keys_NH: Tensor, turn_E: Tensor, seen_E: Tensor) -> Tensor:
    """The product of both turns of some edges."""
    return (g_NH.index_select(0, turn_E[first:end]) * keys_NH.index_select(0, seen_E[first:end])).sum(1)


class PositionEdges(nn.Module):
    """The published form: a vector for each place in the dialogue scores all turns, whatever the turn there says.

    α_j = softmax over all turns k of the dialogue of W[j] · g_k; w(j,k) = α_j(k) m(j,k) / Σ_k' α_j(k') m(j,k'), where
    m is 1 in the window and 1e-10 outside.

    Args:
        dim: number of units of g.
        n_positions: number of places with a vector of their own; later places share the last one.
    """

    def __init__(self, dim: int, n_positions: int) -> None:
        super().__init__()
        self.n_positions = n_positions
        self.scalar = nn.Linear(dim, n_positions, bias=False)

    def forward(
        self, g_BTH: HiddenBTH, n_turns_B: TurnsB, past: int | None, future: int | None
    ) -> Float[Tensor, "batch turn seen"]:
        """The weights that every turn gives to all turns; those in its window are the weights of the edges.

        Args:
            g_BTH: states of the turns.
            n_turns_B: number of real turns per dialogue, on the device of g.
            past: number of earlier turns in a window; None = all.
            future: number of later turns in a window; None = all.
        """
        turn_T = torch.arange(g_BTH.shape[1], device=g_BTH.device)
        scores_BTP = self.scalar(g_BTH)
        logits_BTT = scores_BTP.index_select(2, turn_T.clamp_max(self.n_positions - 1)).mT
        is_padding_BT = turn_T >= n_turns_B[:, None]
        lowest = torch.finfo(logits_BTT.dtype).min
        alpha_BTT = torch.softmax(logits_BTT.masked_fill(is_padding_BT[:, None], lowest), dim=-1)
        distance_TT = turn_T - turn_T[:, None]
        is_outside_TT = torch.zeros_like(distance_TT, dtype=torch.bool)
        if past is not None:
            is_outside_TT = is_outside_TT | (distance_TT < -past)
        if future is not None:
            is_outside_TT = is_outside_TT | (distance_TT > future)
        kept_BTT = torch.where(is_outside_TT, OUTSIDE * alpha_BTT, alpha_BTT)
        kept_BTT = kept_BTT.masked_fill(is_padding_BT[:, None], 0.0)
        return kept_BTT / kept_BTT.sum(-1, keepdim=True)
