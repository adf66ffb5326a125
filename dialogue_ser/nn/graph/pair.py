"""The graph of GraphSmile between the turns of two modalities."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.nn import GCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from dialogue_ser.nn.nodes import to_turns


@dataclass(frozen=True)
class PairEdges:
    """A graph of two modalities as a list of edges.

    Args:
        index: ``[2, E]``: a column is a node that gives and a node that receives.
        weight_E: entry of Â for each edge.
    """

    index: Int[Tensor, "two edge"]
    weight_E: Float[Tensor, " edge"]

    @classmethod
    def normalised(
        cls, edges: Int[Tensor, "two edge"], weight_E: Tensor | None, n_nodes: int, like_VH: Tensor
    ) -> "PairEdges":
        """Â = D^{-1/2} A D^{-1/2} with D the sums of the rows of A.

        Args:
            edges: columns (row of A, column of A); the node of the row receives.
            weight_E: entries of A; None = 1.
            n_nodes: number of nodes.
            like_VH: vectors, whose precision the weights get.
        """
        dtype = torch.promote_types(like_VH.dtype, torch.float32)
        return cls(*gcn_norm(edges.flip(0), weight_E, n_nodes, False, False, "source_to_target", dtype))


@dataclass(frozen=True)
class PairWindows:
    """A graph of two modalities in which every turn sees a span of the other one's turns, with equal weights.

    The sums over spans are differences of sums from the first turn on, in double precision. Their cost does not depend
    on the length of the spans.

    Args:
        low_N: place of the first turn that each turn sees, in a padded tensor ``[B · (T + 1)]``.
        end_N: place behind the last one.
        row_N: row of each turn in a padded tensor ``[B · T]``.
        scale_N: 1 / √d.
        n_dialogues: B.
        n_padded: T.
    """

    low_N: Int[Tensor, " turn"]
    end_N: Int[Tensor, " turn"]
    row_N: Int[Tensor, " turn"]
    scale_N: Float[Tensor, " turn"]
    n_dialogues: int
    n_padded: int

    @classmethod
    def of(
        cls,
        low_N: Int[Tensor, " turn"],
        high_N: Int[Tensor, " turn"],
        row_N: Int[Tensor, " turn"],
        dialogue_N: Int[Tensor, " turn"],
        count_N: Int[Tensor, " turn"],
        *,
        n_dialogues: int,
        n_padded: int,
        dtype: torch.dtype,
    ) -> "PairWindows":
        """The graph in which turn i sees the turns from ``low_N[i]`` to ``high_N[i]``, ``count_N[i]`` turns in all."""
        first_N = row_N + dialogue_N  # a dialogue has one sum more than turns
        turn_N = torch.arange(len(row_N), device=row_N.device)
        scale_N = count_N.to(torch.promote_types(dtype, torch.float32)).rsqrt()
        return cls(first_N + low_N - turn_N, first_N + high_N + 1 - turn_N, row_N, scale_N, n_dialogues, n_padded)

    def product(self, x_VH: Float[Tensor, "node hidden"]) -> Float[Tensor, "node hidden"]:
        """Â x."""
        first_NH, second_NH = (half_NH * self.scale_N[:, None] for half_NH in x_VH.chunk(2))
        sums_NH = [self._sums(other_NH) for other_NH in (second_NH, first_NH)]
        return torch.cat([half_NH * self.scale_N[:, None] for half_NH in sums_NH])

    def _sums(self, x_NH: Tensor) -> Tensor:
        x_BTH = to_turns(x_NH.double(), self.row_N, self.n_dialogues, self.n_padded)
        sums_BTH = nn.functional.pad(x_BTH.cumsum(1), (0, 0, 1, 0)).flatten(0, 1)
        return (sums_BTH.index_select(0, self.end_N) - sums_BTH.index_select(0, self.low_N)).to(x_NH.dtype)


class PairConvolution(GCNConv):  # type: ignore[misc]
    """h ← Â (h W) + b, the graph convolution of torch-geometric without self-loops.

    Args:
        dim: number of units of h.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim, add_self_loops=False, normalize=False)

    def forward(
        self, h_VH: Float[Tensor, "node hidden"], graph: PairEdges | PairWindows
    ) -> Float[Tensor, "node hidden"]:
        """The new vectors of the turns of the first modality, then of the second."""
        if isinstance(graph, PairWindows):
            out_VH: Tensor = graph.product(self.lin(h_VH)) + self.bias
        else:
            out_VH = super().forward(h_VH, graph.index, graph.weight_E)
        return out_VH


class PairGraph(nn.Module):
    """h_l = Â h_{l−1} W_l + b_l; the result is h_0 + Σ_l dropout(LeakyReLU(V_l h_l + c_l)).

    Args:
        dim: number of units of h.
        n_layers: number of layers; may be 0.
        dropout: dropout rate.
    """

    def __init__(self, dim: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(PairConvolution(dim) for _ in range(n_layers))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.LeakyReLU(), nn.Dropout(dropout)) for _ in range(n_layers)
        )

    def forward(
        self, h_VH: Float[Tensor, "node hidden"], graph: PairEdges | PairWindows
    ) -> Float[Tensor, "node hidden"]:
        """The results of the turns of the first modality, then of the second."""
        sum_VH = h_VH
        for convolution, layer in zip(self.convolutions, self.layers, strict=True):
            h_VH = convolution(h_VH, graph)
            sum_VH = sum_VH + layer(h_VH)
        return sum_VH
