"""The weights of a dialogue recurrence: stored joined, as the steps multiply with them, and taken apart cell by cell.

Matrices that multiply the same state stand side by side in one parameter, so that a step needs one product per state
and no weight is ever copied together. Direction K first, then plane J; gates as in :mod:`dialogue_ser.nn.gru.cells`.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from dialogue_ser.nn.attention import HistoryAttention
from dialogue_ser.nn.recurrence.manual import Columns, Weights
from dialogue_ser.nn.recurrence.turn import Cells
from dialogue_ser.nn.recurrence.wiring import Wiring

Engine = Literal["auto", "manual", "autograd"]


class CellWeights(NamedTuple):
    """One GRU cell in the form of ``torch.nn.GRUCell``, transposed; gates in the order r, z, n.

    Args:
        inputs: what it reads → weights ``[in, 3H]``.
        hidden: ``[H, 3H]``.
        bias_x: ``[3H]``, of the inputs.
        bias_h: ``[3H]``, of the state; 0 for r and z, whose two biases are one here.
    """

    inputs: Mapping[str, Tensor]
    hidden: Tensor
    bias_x: Tensor
    bias_h: Tensor


class RecurrenceParameters(nn.Module):
    """The parameters of :class:`~dialogue_ser.nn.recurrence.dialogue_recurrence.DialogueRecurrence`.

    Args:
        input_dim: D of x.
        wiring: which cell reads what, see :func:`~dialogue_ser.nn.recurrence.wiring.emotion_rnn` and ``dialogue_rnn``.
        global_dim: size of g.
        party_dim: size of each state of a party.
        emotion_dim: size of e, per direction.
        attention: kind of attention over past g, see :class:`HistoryAttention`.
        dropout: on g and the parties' states inside the recurrence (fresh every turn) and on e.
        bidirectional: also read the truly reversed dialogue, with its own weights.
        initial_state: learned (drawn at construction) or zeros.
        engine: manual (one autograd node), autograd (the readable loop), or auto: manual where the attention has it.
    """

    def __init__(
        self,
        input_dim: int,
        wiring: Wiring,
        *,
        global_dim: int = 150,
        party_dim: int = 150,
        emotion_dim: int = 100,
        attention: str = "general",
        dropout: float = 0.0,
        bidirectional: bool = True,
        initial_state: Literal["learned", "zeros"] = "learned",
        engine: Engine = "auto",
    ) -> None:
        super().__init__()
        self.wiring, self.engine, self.dropout = wiring, engine, dropout
        self.n_directions = n_directions = 2 if bidirectional else 1
        self.global_dim, self.party_dim, self.emotion_dim = global_dim, party_dim, emotion_dim
        self.columns = Columns(wiring, global_dim, party_dim)
        self.attention = HistoryAttention(attention, global_dim, input_dim, n_directions)

        def weight(*shape: int, hidden: int) -> nn.Parameter:
            bound = 1 / math.sqrt(hidden)  # as torch.nn.GRUCell draws it
            return nn.Parameter(torch.empty(n_directions, *shape).uniform_(-bound, bound))

        n_planes, gates_g, gates_p, gates_e = len(wiring.planes), 3 * global_dim, 3 * party_dim, 3 * emotion_dim
        self.from_x = nn.ParameterDict({"global": weight(input_dim, gates_g, hidden=global_dim)})
        for cell in wiring.readers("x"):
            self.from_x[key(cell)] = weight(input_dim, gates_p, hidden=party_dim)
        self.global_bias = weight(4 * global_dim, hidden=global_dim)
        self.speaker_bias = weight(n_planes, 4 * party_dim, hidden=party_dim)
        self.from_party = weight(n_planes, party_dim, gates_p + gates_g, hidden=party_dim)
        of_g, of_context = len(wiring.readers("g")), len(wiring.readers("context"))
        self.from_global = weight(global_dim, gates_g + of_g * gates_p, hidden=global_dim)
        self.from_context = weight(global_dim, of_context * gates_p, hidden=party_dim) if of_context else None
        if wiring.updates_listeners:
            assert all(plane.listener for plane in wiring.planes), "listeners move all their states, or none"
            self.listener_bias = weight(n_planes, 4 * party_dim, hidden=party_dim)
            self.from_listener = weight(n_planes, party_dim, gates_p, hidden=party_dim)
        if wiring.readers("speaker"):
            assert len(wiring.readers("speaker")) == n_planes, "listeners hear every state of the speaker, or none"
            self.from_heard = weight(n_planes, party_dim, gates_p, hidden=party_dim)
        sizes = {"x": input_dim, "g": global_dim}
        self.emotion_from = nn.ParameterDict(
            {source: weight(sizes.get(source, party_dim), gates_e, hidden=emotion_dim) for source in wiring.emotion}
        )
        self.from_emotion = weight(emotion_dim, gates_e, hidden=emotion_dim)
        self.emotion_bias = weight(4 * emotion_dim, hidden=emotion_dim)

        self.initial_global = self._start(initial_state, 1, global_dim)
        self.initial_party = self._start(initial_state, n_planes, 1, party_dim)
        self.initial_emotion = self._start(initial_state, 1, emotion_dim)

    def _start(self, kind: str, *shape: int) -> nn.Parameter:
        """Random states drawn at construction and learned, or zeros that stay zeros."""
        start = torch.zeros(self.n_directions, *shape)
        if kind == "learned":
            return nn.Parameter(start.uniform_(-0.1, 0.1))
        return nn.Parameter(start, requires_grad=False)

    def cells(self) -> Cells:
        """The weights as the steps want them: views of the parameters, planes folded into the directions."""
        updates, hears = self.wiring.updates_listeners, bool(self.wiring.readers("speaker"))
        size, is_simple = 3 * self.party_dim, self.attention.is_simple
        weights = Weights(
            start_global=self.initial_global,
            start_party=self.initial_party.flatten(0, 1),
            global_bias_m=self.global_bias[:, 3 * self.global_dim :],
            from_party=self.from_party.flatten(0, 1),
            from_global=self.from_global,
            from_context=self.from_context,
            speaker_bias_m=self.speaker_bias[..., size:].flatten(0, 1),
            from_listener=self.from_listener.flatten(0, 1) if updates else None,
            listener_bias_m=self.listener_bias[..., size:].flatten(0, 1) if updates else None,
            from_heard=self.from_heard.flatten(0, 1) if hears else None,
            attention_weight=self.attention.weight if is_simple else None,
            attention_bias=self.attention.bias if self.attention.kind == "simple" else None,
        )
        return Cells(wiring=self.wiring, columns=self.columns, weights=weights, attention=self.attention)

    def _bias(self, cell: str) -> Tensor:
        """``[n|r|z|m]`` of a party cell ``[K, 4P]``."""
        role, plane = cell.split(".")
        biases = self.speaker_bias if role == "speaker" else self.listener_bias
        return biases[:, self._plane(plane)]

    def _plane(self, name: str) -> int:
        return [plane.name for plane in self.wiring.planes].index(name)

    def cell_weights(self, direction: int, cell: str) -> CellWeights:
        """One of the GRU cells, taken apart; gradients flow back into the joined parameters.

        Args:
            direction: 0 forwards, 1 backwards.
            cell: ``global``, ``emotion``, ``speaker.<plane>`` or ``listener.<plane>``.
        """
        inputs, hidden, bias = self._parts(direction, cell)
        size = hidden.shape[0]
        swapped = {source: torch.cat([weight[:, size:], weight[:, :size]], dim=1) for source, weight in inputs.items()}
        n, gates, m = torch.split(bias, [size, 2 * size, size])
        return CellWeights(swapped, hidden, torch.cat([gates, n]), torch.cat([torch.zeros_like(gates), m]))

    @torch.no_grad()
    def load_cell(
        self,
        direction: int,
        cell: str,
        inputs: Mapping[str, Tensor],
        hidden: Tensor,
        bias_x: Tensor,
        bias_h: Tensor,
    ) -> None:
        """Set one of the GRU cells from a ``torch.nn.GRUCell``'s tensors.

        Args:
            direction: 0 forwards, 1 backwards.
            cell: ``global``, ``emotion``, ``speaker.<plane>`` or ``listener.<plane>``.
            inputs: what the cell reads → its columns of ``weight_ih`` ``[3H, in]``.
            hidden: ``weight_hh`` ``[3H, H]``.
            bias_x: ``bias_ih`` ``[3H]``.
            bias_h: ``bias_hh`` ``[3H]``.
        """
        own, own_hidden, own_bias = self._parts(direction, cell)
        assert own.keys() == inputs.keys(), f"{cell} reads {sorted(own)}, not {sorted(inputs)}"
        size = own_hidden.shape[0]
        for source, weight in inputs.items():
            own[source].copy_(torch.cat([weight[2 * size :], weight[: 2 * size]]).T)
        own_hidden.copy_(hidden.T)
        gates = bias_x[: 2 * size] + bias_h[: 2 * size]
        own_bias.copy_(torch.cat([bias_x[2 * size :], gates, bias_h[2 * size :]]))

    def _parts(self, k: int, cell: str) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Views of a cell: input weights ``[in, n|r|z]``, state weights ``[H, r|z|m]``, bias ``[n|r|z|m]``."""
        size = 3 * self.party_dim
        if cell == "emotion":
            return {s: w[k] for s, w in self.emotion_from.items()}, self.from_emotion[k], self.emotion_bias[k]
        if cell == "global":
            inputs = {p.name: self.from_party[k, j, :, size:] for j, p in enumerate(self.wiring.planes)}
            own = self.from_global[k, :, : 3 * self.global_dim]
            return inputs | {"x": self.from_x["global"][k]}, own, self.global_bias[k]
        role, plane = cell.split(".")
        j = self._plane(plane)
        inputs = {}
        for source in self.wiring.cells[cell]:
            if source == "x":
                inputs["x"] = self.from_x[key(cell)][k]
            elif source == "speaker":
                inputs["speaker"] = self.from_heard[k, j]
            else:
                joined = self.from_global if source == "g" else self.from_context
                assert joined is not None
                inputs[source] = joined[k][:, self.columns.of[source][cell]]
        own = self.from_party[k, j, :, :size] if role == "speaker" else self.from_listener[k, j]
        return inputs, own, self._bias(cell)[k]


def key(cell: str) -> str:
    """A cell's name as a parameter's."""
    return cell.replace(".", "_")
