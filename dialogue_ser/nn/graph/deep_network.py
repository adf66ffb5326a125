"""The deep graph network of MMGCN and MM-DFN: GCNII (Chen et al., ICML 2020) in the form with two weights a layer."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.dropout import Dropout
from dialogue_ser.nn.graph.deep_layers import StepWeights, run_layers
from dialogue_ser.nn.graph.similarity import SimilarityGraph


class DeepGraphNetwork(nn.Module):
    """Many layers over one graph; each one also reads the output of the first linear layer.

    h_0 = ReLU(V x + b). For l = 1 … L, with θ = ln(λ / l + 1) and m = the weighted sums of dropout(h_{l−1}),
    h_l = ReLU(θ · [m ; h_0] W_l + (1 − θ) · ((1 − α) m + α h_0)). The output is dropout(h_L).

    With ``layer_lstm`` an LSTM, the same for all layers, takes a step before each layer: it reads q = h_{l−1}, and the
    layer reads its state. q is added to the output of the layer after the dropout (MM-DFN).

    Autocast has no effect here, because the rounding of 64 layers would add up.

    Args:
        in_dim: number of features of a node.
        graph_dim: number of units of a node in every layer.
        n_layers: L.
        dropout: dropout rate.
        decay: λ.
        initial_share: α.
        layer_lstm: an LSTM runs through the layers.
    """

    def __init__(
        self,
        in_dim: int,
        graph_dim: int,
        n_layers: int,
        *,
        dropout: float,
        decay: float,
        initial_share: float,
        layer_lstm: bool = False,
    ) -> None:
        super().__init__()
        self.decay, self.initial_share = decay, initial_share
        self.first = nn.Linear(in_dim, graph_dim)
        bound = 1 / math.sqrt(graph_dim)
        self.weight_LIH = nn.Parameter(torch.empty(n_layers, 2 * graph_dim, graph_dim).uniform_(-bound, bound))
        self.dropout = Dropout(dropout)
        self.lstm = nn.LSTMCell(graph_dim, graph_dim) if layer_lstm else None

    def forward(
        self, graph: SimilarityGraph, x_MRWF: Float[Tensor, "modality row slot feature"]
    ) -> Float[Tensor, "modality row slot hidden"]:
        """The nodes after the last layer."""
        with torch.autocast(x_MRWF.device.type, enabled=False):
            start_MRWH = torch.relu(self.first(x_MRWF.to(self.first.weight.dtype)))
            rate = self.dropout.rate if self.training else 0.0
            weight_LIH = self._layer_weights() / (1 - rate)  # the factor of the dropout of the layers
            return run_layers(
                graph, start_MRWH, self.dropout(start_MRWH), weight_LIH, dropout=rate, step=self._step_weights()
            )

    def _layer_weights(self) -> Tensor:
        """W of each layer such that it is ReLU([m ; h_0] W), with all factors in it ``[L, 2H, H]``."""
        n_layers, _, size = self.weight_LIH.shape
        layer_L = torch.arange(1, n_layers + 1, device=self.weight_LIH.device, dtype=self.weight_LIH.dtype)
        theta_L11 = torch.log1p(self.decay / layer_L)[:, None, None]
        same_HH = torch.eye(size, device=self.weight_LIH.device, dtype=self.weight_LIH.dtype)
        share_IH = torch.cat([(1 - self.initial_share) * same_HH, self.initial_share * same_HH])
        return theta_L11 * self.weight_LIH + (1 - theta_L11) * share_IH

    def _step_weights(self) -> StepWeights | None:
        if self.lstm is None:
            return None
        weight_GJ = torch.cat([self.lstm.weight_ih, self.lstm.weight_hh], dim=1)
        factor_G = torch.ones_like(self.lstm.bias_ih)
        factor_G.chunk(4)[2].mul_(2)
        return StepWeights(factor_G[:, None] * weight_GJ, factor_G * (self.lstm.bias_ih + self.lstm.bias_hh))
