"""torch's GRU over packed sequences, with the hand-written backward of :mod:`dialogue_ser.nn.gru.chain` on a CPU.

On a CPU torch keeps a node for each of ten operations per step and direction, and its backward fills a tensor of the
size of all rows with zeros for many of them. On a GPU cuDNN is faster than both.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dialogue_ser.nn.gru.chain import run_chain


class PackedGRU(nn.GRU):
    """:class:`torch.nn.GRU` with the same parameters and outputs.

    The hand-written backward serves packed sequences on a CPU that begin in states of 0. The last states are None then,
    and autocast has no effect.
    """

    def forward(self, packed: PackedSequence | Tensor, before: Tensor | None = None) -> tuple[Any, Any]:
        """Outputs of all rows, the directions side by side, in the form of the input."""
        if not isinstance(packed, PackedSequence) or before is not None or packed.data.device.type != "cpu":
            return super().forward(packed, before)
        rows = _rows_of(packed.batch_sizes)
        with torch.autocast("cpu", enabled=False):
            h_ND = packed.data.to(next(self.parameters()).dtype)
            for layer in range(self.num_layers):
                if layer and self.dropout:
                    h_ND = nn.functional.dropout(h_ND, self.dropout, self.training)
                h_ND = _read_layer(self, layer, h_ND, rows)
        return packed._replace(data=h_ND), None


class _Rows(NamedTuple):
    """The rows of sequences that are sorted by length, step by step.

    Args:
        per_step: number of sequences that have a row in each step.
        previous: row before each row in its sequence, without those of the first step.
        mirrored_N: row at the same distance from the other end of its sequence.
    """

    per_step: list[int]
    previous: Tensor
    mirrored_N: Tensor


def _rows_of(n_active_T: Tensor) -> _Rows:
    """Plan the rows of packed sequences.

    >>> _rows_of(torch.tensor([2, 1, 1])).mirrored_N
    tensor([3, 1, 2, 0])
    """
    first_row_T = n_active_T.cumsum(0) - n_active_T
    step_N = torch.arange(len(n_active_T)).repeat_interleave(n_active_T)
    sequence_N = torch.arange(len(step_N)) - first_row_T[step_N]
    length_R = (n_active_T > torch.arange(int(n_active_T[0]))[:, None]).sum(1)
    later = int(n_active_T[0])
    return _Rows(
        n_active_T.tolist(),
        first_row_T[step_N[later:] - 1] + sequence_N[later:],
        first_row_T[length_R[sequence_N] - 1 - step_N] + sequence_N,
    )


def _read_layer(rnn: nn.GRU, layer: int, x_ND: Tensor, rows: _Rows) -> Tensor:
    suffixes = ("", "_reverse") if rnn.bidirectional else ("",)
    cells = [
        [getattr(rnn, f"{name}_l{layer}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        for suffix in suffixes
    ]
    size = rnn.hidden_size
    # torch's order of the gates is [r|z|n]; the chain reads [n|r|z] from x and [r|z|m] from h.
    from_x = torch.stack([from_x_GD.roll(size, 0).T for from_x_GD, *_ in cells])
    from_h = torch.stack([from_h_GH.T for _, from_h_GH, *_ in cells])
    bias = torch.stack([x_G.roll(size) + nn.functional.pad(h_G[: 2 * size], (size, 0)) for *_, x_G, h_G in cells])
    bias_m = torch.stack([h_G[2 * size :] for *_, h_G in cells])
    x_KND = torch.stack([x_ND, x_ND.index_select(0, rows.mirrored_N)][: len(cells)])
    gates_x = torch.baddbmm(bias[:, None], x_KND, from_x)
    start = gates_x.new_zeros(len(cells), 1, size)
    h_KNH = run_chain(rows.per_step, rows.previous, gates_x, from_h, bias_m, start)
    if not rnn.bidirectional:
        return h_KNH[0]
    return torch.cat([h_KNH[0], h_KNH[1].index_select(0, rows.mirrored_N)], dim=1)
