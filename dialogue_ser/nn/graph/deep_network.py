"""The deep graph network of MMGCN and MM-DFN: GCNII (Chen et al., ICML 2020) in the form with two weights a layer."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.graph.similarity import SimilarityGraph

#: Largest number of values of h_0 B_l that are computed together (64 MB in single precision).
MOST_VALUES = 2**24
#: The bits of an int16 that ``random_`` fills in each part of an int64.
LOW_BITS = 2**15 - 1


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
        self.dropout = dropout
        self.lstm = nn.LSTMCell(graph_dim, graph_dim) if layer_lstm else None

    def forward(
        self, graph: SimilarityGraph, x_MRWF: Float[Tensor, "modality row slot feature"]
    ) -> Float[Tensor, "modality row slot hidden"]:
        """The nodes after the last layer."""
        with torch.autocast(x_MRWF.device.type, enabled=False):
            start_MRWH = torch.relu(self.first(x_MRWF.to(self.first.weight.dtype)))
            h_MRWH = self._dropped(start_MRWH)
            state = None
            for own_HH, start_share_NH in self._layers(start_MRWH.flatten(0, 2)):
                read_MRWH = h_MRWH
                if self.lstm is not None:
                    state = self.lstm(read_MRWH.flatten(0, 2), state)
                    h_MRWH = state[0].view_as(read_MRWH)
                sum_NH = torch.addmm(start_share_NH, graph.sums(h_MRWH).flatten(0, 2), own_HH)
                h_MRWH = self._dropped(torch.relu(sum_NH)).view_as(read_MRWH)
                if self.lstm is not None:
                    h_MRWH = h_MRWH + read_MRWH
            return h_MRWH

    def _dropped(self, h: Tensor) -> Tensor:
        """Dropout. One random number of 64 bits serves four values, which takes a tenth of torch's time on a CPU."""
        if not self.training or not self.dropout:
            return h
        bits = torch.empty(-(-h.numel() // 4), dtype=torch.int64, device=h.device).random_().view(torch.int16)
        is_kept = (bits[: h.numel()] & LOW_BITS) >= round(self.dropout * (LOW_BITS + 1))
        return h * is_kept.view(h.shape).to(h.dtype).div_(1 - self.dropout)

    def _layers(self, start_NH: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For each layer A_l and h_0 B_l: the layer is ReLU(m A_l + h_0 B_l), and A_l and B_l hold all factors."""
        n_layers, _, size = self.weight_LIH.shape
        layer_L = torch.arange(1, n_layers + 1, device=start_NH.device, dtype=start_NH.dtype)
        theta_L1 = torch.log1p(self.decay / layer_L)[:, None]
        scaled_LIH = theta_L1[..., None] * self.weight_LIH
        own_LHH, start_LHH = scaled_LIH[:, :size].clone(), scaled_LIH[:, size:].clone()
        own_LHH.diagonal(dim1=1, dim2=2).add_((1 - theta_L1) * (1 - self.initial_share))
        start_LHH.diagonal(dim1=1, dim2=2).add_((1 - theta_L1) * self.initial_share)
        together = max(1, MOST_VALUES // max(1, start_NH.numel()))
        for own_GHH, start_GHH in zip(torch.split(own_LHH, together), torch.split(start_LHH, together), strict=True):
            yield from zip(own_GHH, torch.matmul(start_NH, start_GHH), strict=True)
