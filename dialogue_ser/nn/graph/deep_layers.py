"""The layers of the deep graph network as one autograd node with a hand-written backward.

Autograd alone keeps about ten nodes for each of 64 layers and copies the inputs of every product. Here a layer is two
products and the sums over the neighbours, computed in place.

The dropout of a layer needs no memory. Its output is 0 exactly where the rectifier or the dropout set it to 0, and no
gradient passes there. The factor 1 / (1 − rate) is in the weights.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.dropout import kept
from dialogue_ser.nn.graph.similarity import SimilarityGraph


class StepWeights(NamedTuple):
    """Weights of the LSTM that takes a step before each layer, in the order of the gates of :class:`torch.nn.LSTMCell`.

    All gates are sigmoids here, because one pass over all of them is faster: tanh(x) = 2 σ(2x) − 1. The weights and the
    bias of the gate with the tanh (the third one) are therefore doubled.

    Args:
        weight_GJ: from what it reads, and then from its state, to its gates ``[4H, 2H]``.
        bias_G: sum of its biases ``[4H]``.
    """

    weight_GJ: Tensor
    bias_G: Tensor


def run_layers(
    graph: SimilarityGraph,
    start_MRWH: Tensor,
    first_MRWH: Tensor,
    weight_LIH: Tensor,
    *,
    dropout: float = 0.0,
    step: StepWeights | None = None,
) -> Tensor:
    """Return the nodes after the last layer ``[M, R, W, H]``.

    h_l = keep · ReLU([m ; h_0] W_l), where m is the weighted sum of h_{l−1} over the neighbours. With an LSTM, the sum
    is over its state after it has read h_{l−1}, and h_{l−1} is added to h_l.

    Args:
        graph: the graph.
        start_MRWH: h_0 as every layer reads it.
        first_MRWH: h_0 as the first layer reads it, after its dropout.
        weight_LIH: W of each layer, with all factors ``[L, 2H, H]``.
        dropout: probability of ``keep`` = 0.
        step: weights of the LSTM; None = there is no LSTM.
    """
    nodes: Tensor = _Layers.apply(  # type: ignore[no-untyped-call]
        dropout, graph.within_MRWW, graph.across_KMRW, start_MRWH, first_MRWH, weight_LIH, *(step or ())
    )
    return nodes


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        dropout: float,
        within_MRWW: Tensor,
        across_KMRW: Tensor,
        start_MRWH: Tensor,
        first_MRWH: Tensor,
        weight_LIH: Tensor,
        *step: Tensor,
    ) -> Tensor:
        n_layers, _, size = weight_LIH.shape
        start_NH, h_MRWH = start_MRWH.reshape(-1, size), first_MRWH
        graph = SimilarityGraph(within_MRWW, across_KMRW)
        lstm = _Lstm(StepWeights(*step), n_layers, start_NH) if step else None
        sum_LNH = start_NH.new_empty(n_layers, *start_NH.shape)
        out_LNH = torch.empty_like(sum_LNH)
        summed = []  # of each layer: what its sums are over
        for layer, (own_HH, from_start_HH) in enumerate(zip(*_halves(weight_LIH), strict=True)):
            before_MRWH = h_MRWH
            if lstm is not None:
                h_MRWH = lstm.step(layer, before_MRWH.reshape(-1, size)).view_as(start_MRWH)
            summed.append(h_MRWH)
            graph.sums(h_MRWH, out=sum_LNH[layer].view_as(start_MRWH))
            out_NH = torch.mm(start_NH, from_start_HH, out=out_LNH[layer]).addmm_(sum_LNH[layer], own_HH).relu_()
            if dropout:
                out_NH *= kept(out_NH, dropout)
            h_MRWH = out_NH.view_as(start_MRWH)
            if lstm is not None:
                h_MRWH = h_MRWH + before_MRWH
        ctx.save_for_backward(within_MRWW, across_KMRW, start_NH, weight_LIH, sum_LNH, out_LNH, *summed)
        ctx.lstm = lstm
        return h_MRWH.clone() if lstm is None else h_MRWH  # a view of out_LNH would keep all layers alive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_h_MRWH: Tensor) -> tuple[Tensor | None, ...]:
        within_MRWW, across_KMRW, start_NH, weight_LIH, sum_LNH, out_LNH, *summed = ctx.saved_tensors
        graph = SimilarityGraph(within_MRWW, across_KMRW)
        d_graph = SimilarityGraph(torch.zeros_like(within_MRWW), torch.zeros_like(across_KMRW))
        back = _LstmBackward(ctx.lstm) if ctx.lstm is not None else None
        d_start_NH, d_weight_LIH = torch.zeros_like(start_NH), torch.empty_like(weight_LIH)
        (own_LHH, from_start_LHH), (d_own_LHH, d_from_start_LHH) = _halves(weight_LIH), _halves(d_weight_LIH)
        for layer in reversed(range(len(weight_LIH))):
            d_out_NH = torch.ops.aten.threshold_backward(d_h_MRWH.reshape(start_NH.shape), out_LNH[layer], 0)
            torch.mm(sum_LNH[layer].mT, d_out_NH, out=d_own_LHH[layer])
            torch.mm(start_NH.mT, d_out_NH, out=d_from_start_LHH[layer])
            d_start_NH.addmm_(d_out_NH, from_start_LHH[layer].mT)
            d_sum_MRWH = torch.mm(d_out_NH, own_LHH[layer].mT).view_as(d_h_MRWH)
            graph.add_gradients(d_graph, d_sum_MRWH, summed[layer])
            d_read_MRWH = graph.sums(d_sum_MRWH)
            if back is None:
                d_h_MRWH = d_read_MRWH
            else:
                d_h_MRWH = d_h_MRWH + back.step(layer, d_read_MRWH.view_as(start_NH)).view_as(d_h_MRWH)
        d_start_MRWH = d_start_NH.view_as(d_h_MRWH)
        d_step = back.d_weights if back is not None else ()
        return None, d_graph.within_MRWW, d_graph.across_KMRW, d_start_MRWH, d_h_MRWH, d_weight_LIH, *d_step


def _halves(weight_LIH: Tensor) -> tuple[Tensor, Tensor]:
    """The weights that multiply the sums, and those that multiply h_0."""
    size = weight_LIH.shape[2]
    return weight_LIH[:, :size], weight_LIH[:, size:]


class _Lstm:
    """The LSTM through the layers; it keeps what backward needs.

    Args:
        weights: its weights.
        n_layers: number of its steps.
        like_NH: a tensor of the shape of its state.
    """

    def __init__(self, weights: StepWeights, n_layers: int, like_NH: Tensor) -> None:
        n_nodes, size = like_NH.shape
        self.weights, self.size = weights, size
        # What each step multiplies: the input beside the state. One row more, for the state after the last step.
        self.joined_LNJ = like_NH.new_empty(n_layers + 1, n_nodes, 2 * size)
        self.cell_LNH = like_NH.new_empty(n_layers + 1, n_nodes, size)
        self.joined_LNJ[0, :, size:], self.cell_LNH[0] = 0, 0
        self.gates_LNG = like_NH.new_empty(n_layers, n_nodes, 4 * size)  # after the sigmoids

    def step(self, layer: int, read_NH: Tensor) -> Tensor:
        """Return the state after the step before a layer."""
        size, weights = self.size, self.weights
        self.joined_LNJ[layer, :, :size] = read_NH
        gates_NG = self.gates_LNG[layer]
        torch.addmm(weights.bias_G, self.joined_LNJ[layer], weights.weight_GJ.mT, out=gates_NG).sigmoid_()
        entry_NH, forget_NH, new_NH, exit_NH = gates_NG.chunk(4, dim=1)
        cell_NH = torch.mul(forget_NH, self.cell_LNH[layer], out=self.cell_LNH[layer + 1])
        cell_NH.addcmul_(entry_NH, new_NH, value=2).sub_(entry_NH)
        return torch.mul(cell_NH.tanh(), exit_NH, out=self.joined_LNJ[layer + 1, :, size:])


class _LstmBackward:
    """The gradients of the LSTM.

    Args:
        lstm: its steps of forward.

    Attributes:
        d_weights: gradients of the weights, complete after the first layer.
    """

    def __init__(self, lstm: _Lstm) -> None:
        self.lstm = lstm
        self.d_weights = StepWeights(*(torch.zeros_like(weight) for weight in lstm.weights))
        self.d_state_NH = torch.zeros_like(lstm.cell_LNH[0])
        self.d_cell_NH = torch.zeros_like(self.d_state_NH)

    def step(self, layer: int, d_state_NH: Tensor) -> Tensor:
        """Return the gradient of what the step before a layer read.

        Args:
            layer: number of the layer, from the last to the first.
            d_state_NH: gradient that the layer gives to the state.
        """
        lstm, gates_NG = self.lstm, self.lstm.gates_LNG[layer]
        entry_NH, forget_NH, new_NH, exit_NH = gates_NG.chunk(4, dim=1)
        d_gates_NG = torch.empty_like(gates_NG)
        d_entry_NH, d_forget_NH, d_new_NH, d_exit_NH = d_gates_NG.chunk(4, dim=1)
        d_state_NH = d_state_NH + self.d_state_NH
        tanh_NH = lstm.cell_LNH[layer + 1].tanh()
        d_cell_NH = torch.ops.aten.tanh_backward(d_state_NH * exit_NH, tanh_NH).add_(self.d_cell_NH)
        torch.mul(d_state_NH, tanh_NH, out=d_exit_NH)
        torch.mul(d_cell_NH, lstm.cell_LNH[layer], out=d_forget_NH)
        torch.mul(d_cell_NH, entry_NH, out=d_new_NH).mul_(2)
        torch.mul(d_cell_NH, new_NH, out=d_entry_NH).mul_(2).sub_(d_cell_NH)
        torch.ops.aten.sigmoid_backward.grad_input(d_gates_NG, gates_NG, grad_input=d_gates_NG)
        self.d_cell_NH = d_cell_NH.mul_(forget_NH)
        self.d_weights.weight_GJ.addmm_(d_gates_NG.mT, lstm.joined_LNJ[layer])
        self.d_weights.bias_G.add_(d_gates_NG.sum(0))
        d_read_NH, self.d_state_NH = torch.mm(d_gates_NG, lstm.weights.weight_GJ).chunk(2, dim=1)
        return d_read_NH
