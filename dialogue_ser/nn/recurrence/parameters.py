"""The weights of a dialogue recurrence.

They are stored joined, in the form that the steps multiply with: the matrices that multiply the same state stand side
by side in one parameter. A step then needs one product per state, and weights are never copied together.
``cell_weights`` and ``load_cell`` read and set the weights of a single GRU cell. The first axis is the direction K, and
the plane J follows. Gates have the order of :mod:`dialogue_ser.nn.gru.cells`.
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
    """The weights of one GRU cell as in ``torch.nn.GRUCell``, but transposed; the gates have the order r, z, n.

    Args:
        inputs: cell input → its weights ``[in, 3H]``.
        hidden: weights of the state ``[H, 3H]``.
        bias_x: bias of the inputs ``[3H]``.
        bias_h: bias of the state ``[3H]``. It is 0 for r and z, because only the sum of their two biases is stored.
    """

    inputs: Mapping[str, Tensor]
    hidden: Tensor
    bias_x: Tensor
    bias_h: Tensor


class RecurrenceParameters(nn.Module):
    """The parameters of :class:`~dialogue_ser.nn.recurrence.dialogue_recurrence.DialogueRecurrence`.

    The names of the parameters are part of the file format of saved models and cannot change.

    Args:
        input_dim: size of the fused utterance vector x.
        wiring: which cell reads what: :func:`~dialogue_ser.nn.recurrence.wiring.emotion_rnn`, ``dialogue_rnn``, or
            another wiring.
        global_dim: size of the global state g.
        party_dim: size of each state of a party.
        emotion_dim: size of the emotion state e of one direction.
        attention: kind of attention over past global states, see :class:`HistoryAttention`.
        attention_dim: number of units inside the attention concat; None = ``global_dim``.
        dropout: dropout rate of g and of the parties' states inside the recurrence, and of e. New multipliers are drawn
            for every turn.
        bidirectional: True: a second direction, with its own weights, reads the reversed dialogue.
        initial_state: ``learned``: the first states are drawn at construction and then learned. ``zeros``: they stay 0.
        engine: ``manual``: one autograd node with a hand-written backward. ``autograd``: a readable loop that autograd
            follows. ``auto``: manual if it supports the kind of attention, else autograd.
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
        attention_dim: int | None = None,
        dropout: float = 0.0,
        bidirectional: bool = True,
        initial_state: Literal["learned", "zeros"] = "learned",
        engine: Engine = "auto",
    ) -> None:
        super().__init__()
        self.wiring, self.engine, self.dropout = wiring, engine, dropout
        self.n_directions = 2 if bidirectional else 1
        self.global_dim, self.party_dim, self.emotion_dim = global_dim, party_dim, emotion_dim
        self.columns = Columns(wiring, global_dim, party_dim)
        # The order of these lines decides which random numbers a parameter gets, so it must stay.
        self.attention = HistoryAttention(attention, global_dim, input_dim, self.n_directions, concat_dim=attention_dim)
        self._add_global_and_speaker_cells(input_dim)
        self._add_listener_cells()
        self._add_emotion_cell(input_dim)
        self.initial_global = self._first_states(initial_state, 1, global_dim)
        self.initial_party = self._first_states(initial_state, len(wiring.planes), 1, party_dim)
        self.initial_emotion = self._first_states(initial_state, 1, emotion_dim)

    def _weight(self, *shape: int, hidden: int) -> nn.Parameter:
        """Draw a parameter of both directions as ``torch.nn.GRUCell`` draws that of a cell with ``hidden`` units."""
        bound = 1 / math.sqrt(hidden)
        return nn.Parameter(torch.empty(self.n_directions, *shape).uniform_(-bound, bound))

    def _add_global_and_speaker_cells(self, input_dim: int) -> None:
        """Add the weights that read x, the biases of global and speakers' cells, and the joined weights of states."""
        wiring, global_dim, party_dim = self.wiring, self.global_dim, self.party_dim
        n_planes, gates_g, gates_p = len(wiring.planes), 3 * global_dim, 3 * party_dim
        self.from_x = nn.ParameterDict({"global": self._weight(input_dim, gates_g, hidden=global_dim)})
        for cell in wiring.cells_that_read("x"):
            self.from_x[parameter_name(cell)] = self._weight(input_dim, gates_p, hidden=party_dim)
        self.global_bias = self._weight(4 * global_dim, hidden=global_dim)
        self.speaker_bias = self._weight(n_planes, 4 * party_dim, hidden=party_dim)
        self.from_party = self._weight(n_planes, party_dim, gates_p + gates_g, hidden=party_dim)
        n_read_g, n_read_context = len(wiring.cells_that_read("g")), len(wiring.cells_that_read("context"))
        self.from_global = self._weight(global_dim, gates_g + n_read_g * gates_p, hidden=global_dim)
        gates_context = n_read_context * gates_p
        self.from_context = self._weight(global_dim, gates_context, hidden=party_dim) if n_read_context else None

    def _add_listener_cells(self) -> None:
        """Add the weights of the listeners' cells, if listeners are updated."""
        wiring, party_dim, n_planes, gates_p = self.wiring, self.party_dim, len(self.wiring.planes), 3 * self.party_dim
        if wiring.updates_listeners:
            assert all(plane.listener for plane in wiring.planes), "listeners update all their states or none"
            self.listener_bias = self._weight(n_planes, 4 * party_dim, hidden=party_dim)
            self.from_listener = self._weight(n_planes, party_dim, gates_p, hidden=party_dim)
        n_read_speaker = len(wiring.cells_that_read("speaker"))
        if n_read_speaker:
            assert n_read_speaker == n_planes, "listeners read every state of the speaker or none"
            self.from_heard = self._weight(n_planes, party_dim, gates_p, hidden=party_dim)

    def _add_emotion_cell(self, input_dim: int) -> None:
        sizes, gates_e = {"x": input_dim, "g": self.global_dim}, 3 * self.emotion_dim
        self.emotion_from = nn.ParameterDict(
            {
                cell_input: self._weight(sizes.get(cell_input, self.party_dim), gates_e, hidden=self.emotion_dim)
                for cell_input in self.wiring.emotion
            }
        )
        self.from_emotion = self._weight(self.emotion_dim, gates_e, hidden=self.emotion_dim)
        self.emotion_bias = self._weight(4 * self.emotion_dim, hidden=self.emotion_dim)

    def _first_states(self, kind: str, *shape: int) -> nn.Parameter:
        """Return states that are drawn at random and learned, or states that are zero and stay zero."""
        start = torch.zeros(self.n_directions, *shape)
        if kind == "learned":
            return nn.Parameter(start.uniform_(-0.1, 0.1))
        return nn.Parameter(start, requires_grad=False)

    def cells(self) -> Cells:
        """Return the weights as the steps use them: views of the parameters with K and J joined to one axis Z."""
        updates, reads_speaker = self.wiring.updates_listeners, bool(self.wiring.cells_that_read("speaker"))
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
            from_heard=self.from_heard.flatten(0, 1) if reads_speaker else None,
            attention_weight=self.attention.weight if is_simple else None,
            attention_bias=self.attention.bias if self.attention.kind == "simple" else None,
        )
        return Cells(wiring=self.wiring, columns=self.columns, weights=weights, attention=self.attention)

    def _bias(self, cell: str) -> Tensor:
        """Return the bias ``[n|r|z|m]`` of a party cell ``[K, 4P]``."""
        role, plane = cell.split(".")
        biases = self.speaker_bias if role == "speaker" else self.listener_bias
        return biases[:, self._plane(plane)]

    def _plane(self, name: str) -> int:
        return [plane.name for plane in self.wiring.planes].index(name)

    def cell_weights(self, direction: int, cell: str) -> CellWeights:
        """Return the weights of one GRU cell. Gradients flow back into the joined parameters.

        Args:
            direction: 0 for forwards, 1 for backwards.
            cell: ``global``, ``emotion``, ``speaker.<plane>`` or ``listener.<plane>``.
        """
        inputs, hidden, bias = self._parts(dict(self.named_parameters()), direction, cell)
        size = hidden.shape[0]
        reordered = {name: torch.cat([weight[:, size:], weight[:, :size]], dim=1) for name, weight in inputs.items()}
        n, gates, m = torch.split(bias, [size, 2 * size, size])
        return CellWeights(reordered, hidden, torch.cat([gates, n]), torch.cat([torch.zeros_like(gates), m]))

    def load_cell(
        self,
        direction: int,
        cell: str,
        inputs: Mapping[str, Tensor],
        hidden: Tensor,
        bias_x: Tensor,
        bias_h: Tensor,
        *,
        into: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Set the weights of one GRU cell from the tensors of a ``torch.nn.GRUCell``.

        Args:
            direction: 0 for forwards, 1 for backwards.
            cell: ``global``, ``emotion``, ``speaker.<plane>`` or ``listener.<plane>``.
            inputs: cell input → its columns of ``weight_ih`` ``[3H, in]``.
            hidden: ``weight_hh`` ``[3H, H]``.
            bias_x: ``bias_ih`` ``[3H]``.
            bias_h: ``bias_hh`` ``[3H]``.
            into: tensors that are written instead of the parameters, by the names of the parameters. Autograd follows
                them back to the given weights.
        """
        parameters = dict(self.named_parameters()) if into is None else into
        own, own_hidden, own_bias = self._parts(parameters, direction, cell)
        assert own.keys() == inputs.keys(), f"{cell} reads {sorted(own)}, not {sorted(inputs)}"
        size = own_hidden.shape[0]
        with torch.set_grad_enabled(into is not None and torch.is_grad_enabled()):
            for cell_input, weight in inputs.items():
                own[cell_input].copy_(torch.cat([weight[2 * size :], weight[: 2 * size]]).T)
            own_hidden.copy_(hidden.T)
            gates = bias_x[: 2 * size] + bias_h[: 2 * size]
            own_bias.copy_(torch.cat([bias_x[2 * size :], gates, bias_h[2 * size :]]))

    def _parts(self, weights: Mapping[str, Tensor], k: int, cell: str) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return views of a cell: input weights ``[in, n|r|z]``, state weights ``[H, r|z|m]``, bias ``[n|r|z|m]``."""
        size = 3 * self.party_dim
        if cell == "emotion":
            inputs = {cell_input: weights[f"emotion_from.{cell_input}"][k] for cell_input in self.wiring.emotion}
            return inputs, weights["from_emotion"][k], weights["emotion_bias"][k]
        if cell == "global":
            inputs = {p.name: weights["from_party"][k, j, :, size:] for j, p in enumerate(self.wiring.planes)}
            own = weights["from_global"][k, :, : 3 * self.global_dim]
            return inputs | {"x": weights["from_x.global"][k]}, own, weights["global_bias"][k]
        role, plane = cell.split(".")
        j = self._plane(plane)
        inputs = {}
        for cell_input in self.wiring.cells[cell]:
            if cell_input == "x":
                inputs["x"] = weights[f"from_x.{parameter_name(cell)}"][k]
            elif cell_input == "speaker":
                inputs["speaker"] = weights["from_heard"][k, j]
            else:
                joined = weights["from_global" if cell_input == "g" else "from_context"]
                inputs[cell_input] = joined[k][:, self.columns.of[cell_input][cell]]
        own = weights["from_party"][k, j, :, :size] if role == "speaker" else weights["from_listener"][k, j]
        return inputs, own, weights[f"{role}_bias"][k, j]


def parameter_name(cell: str) -> str:
    """Return the name of a cell as part of a parameter's name, which must not hold a dot."""
    return cell.replace(".", "_")
