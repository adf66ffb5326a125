"""The graph convolutions of DialogueGCN. Sums over many edges are computed in parts."""

from functools import reduce

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.nn import GraphConv, MessagePassing
from torch_geometric.nn.inits import glorot

from dialogue_ser.nn.graph.edge_parts import edge_parts


class RelationalConv(MessagePassing):  # type: ignore[misc]
    """y_k = Σ_{(j,k)} w(j,k) · x_j W_r(j,k) + x_k root + bias, with W_r = Σ_b comp[r,b] · basis[b].

    torch-geometric's own ``RGCNConv`` takes the mean over the edges of a relation and has no weights of edges.

    A node is multiplied once with the matrix of every relation that the batch has, not once for every edge.

    Args:
        in_dim: number of features of a node.
        out_dim: number of features after the layer.
        n_relations: number of relations.
        n_bases: number of matrices that the relations mix.
    """

    def __init__(self, in_dim: int, out_dim: int, n_relations: int, n_bases: int) -> None:
        super().__init__(aggr="add", node_dim=0)
        self.basis = nn.Parameter(torch.empty(n_bases, in_dim, out_dim))
        self.comp = nn.Parameter(torch.empty(n_relations, n_bases))
        self.root = nn.Parameter(torch.empty(in_dim, out_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim))
        for weight in (self.basis, self.comp, self.root):
            glorot(weight)

    def forward(
        self,
        x_ND: Float[Tensor, "node feature"],
        edges: Int[Tensor, "2 edge"],
        weight_E: Float[Tensor, " edge"],
        relation_E: Int[Tensor, " edge"],
        relations_R: Int[Tensor, " relation"],
    ) -> Float[Tensor, "node out"]:
        """The features of every node after the layer.

        Args:
            x_ND: features of the nodes.
            edges: source and target of every edge.
            weight_E: weights of the edges.
            relation_E: for each edge, the place of its relation in ``relations_R``.
            relations_R: the relations of the batch.
        """
        n_nodes = len(x_ND)
        weights_RDG = torch.einsum("rb,bdg->rdg", self.comp.index_select(0, relations_R), self.basis)
        h_MG = torch.einsum("nd,rdg->rng", x_ND, weights_RDG).flatten(0, 1)
        source_E, target_E = edges
        of_relation = torch.stack([relation_E * n_nodes + source_E, target_E])
        parts = edge_parts(self._sums, len(weight_E), h_MG, x_ND, of_relation, weight_E)
        return reduce(torch.add, parts) + x_ND @ self.root + self.bias

    def _sums(self, first: int, end: int, h_MG: Tensor, x_ND: Tensor, edges: Tensor, weight_E: Tensor) -> Tensor:
        """What some of the edges bring to every node."""
        size, some = (len(h_MG), len(x_ND)), slice(first, end)
        y_NG: Tensor = self.propagate(edges[:, some], x=(h_MG, None), weight=weight_E[some], size=size)
        return y_NG

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """Return what goes along every edge."""
        return weight[:, None] * x_j


class SumConv(GraphConv):  # type: ignore[misc]
    """y'_k = W_rel Σ_{(j,k)} y_j + b + W_root y_k: torch-geometric's ``GraphConv``, for many edges in parts.

    Args:
        dim: number of features of a node, before and after the layer.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim, aggr="add")

    def forward(self, x_NG: Float[Tensor, "node feature"], edges: Int[Tensor, "2 edge"]) -> Float[Tensor, "node out"]:
        """The features of every node after the layer.

        Args:
            x_NG: features of the nodes.
            edges: source and target of every edge.
        """
        parts = edge_parts(self._sums, edges.shape[1], x_NG, edges)
        y_NG: Tensor = self.lin_rel(reduce(torch.add, parts)) + self.lin_root(x_NG)
        return y_NG

    def _sums(self, first: int, end: int, x_NG: Tensor, edges: Tensor) -> Tensor:
        """What some of the edges bring to every node."""
        y_NG: Tensor = self.propagate(edges[:, first:end], x=(x_NG, x_NG), edge_weight=None, size=None)
        return y_NG
