"""The recurrence under every dialogue RNN: global, party and emotion GRUs over packed dialogues (EQUATIONS.md A and D).

One engine carries EmotionRNN and DialogueRNN; :mod:`dialogue_ser.nn.wiring` says which cell reads what. Departures from writing
the equations down turn by turn and party by party, all exact:

- products with x are one product per cell before the loop, for both directions and all turns;
- both directions step together, as a batch of products (direction K first in every tensor);
- padding is never computed: dialogues are sorted by length and the active batch shrinks;
- what a listener's cell reads is computed once per turn, not once per party;
- silent parties share one state; states nobody will read again are not updated; a held state is not even moved;
- matrices that multiply the same state are stored joined, so that a state is multiplied once a turn;
- the emotion GRU, which feeds nothing back, runs after the loop.

Two engines compute the loop: :mod:`dialogue_ser.nn.manual` (one autograd node, backward by hand) and :meth:`DialogueRecurrence.loop`,
which autograd follows and people can read.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.attention import HistoryAttention, Running
from dialogue_ser.nn.cells import DropoutMasks, draw_mask
from dialogue_ser.nn.chain import Chain, read_chain
from dialogue_ser.nn.layout import PackedLayout, build_layout
from dialogue_ser.nn.manual import Columns, ManualRecurrence, Settings, Weights
from dialogue_ser.nn.turn import Cells, TurnInputs, TurnMasks, turn
from dialogue_ser.nn.wiring import Wiring
from dialogue_ser.tensors import FeaturesBTD, SpeakerBT, TurnsB

Engine = Literal["auto", "manual", "autograd"]
MANUAL_KINDS = ("simple", "simple-linear", "dot", "general", "general2", "general2-tanh")


class Recurred(NamedTuple):
    """What the loop leaves behind, packed rows per direction.

    Args:
        g_KNG: global states.
        felt_KFNP: the speaker's states after its own turn, of the planes that the emotion chain reads.
    """

    g_KNG: Tensor
    felt_KFNP: Tensor


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


class DialogueRecurrence(nn.Module):
    """x, who speaks → emotion states ē (EQUATIONS.md (1)–(8)).

    Args:
        input_dim: D of x.
        wiring: which cell reads what, see :func:`~dialogue_ser.nn.wiring.emotion_rnn` and ``dialogue_rnn``.
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
            self.from_x[_key(cell)] = weight(input_dim, gates_p, hidden=party_dim)
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

        self.start_global = self._start(initial_state, 1, global_dim)
        self.start_party = self._start(initial_state, n_planes, 1, party_dim)
        self.start_emotion = self._start(initial_state, 1, emotion_dim)

    def _start(self, kind: str, *shape: int) -> nn.Parameter:
        """Random states drawn at construction and learned, or zeros that stay zeros."""
        start = torch.zeros(self.n_directions, *shape)
        if kind == "learned":
            return nn.Parameter(start.uniform_(-0.1, 0.1))
        return nn.Parameter(start, requires_grad=False)

    @property
    def output_dim(self) -> int:
        """Size of ē: E per direction."""
        return self.n_directions * self.emotion_dim

    @torch.compiler.disable  # the plan of a batch is data: there is nothing to trace
    def forward(
        self, x_BTD: FeaturesBTD, speaker_BT: SpeakerBT, n_turns_B: TurnsB, *, return_attention: bool = False
    ) -> tuple[Float[Tensor, "batch turn hidden"], dict[str, Tensor]]:
        """ē of every turn (0 on padding), and per direction the attention ``[B, T, T]`` if asked for.

        Under autocast the products with x follow it; the recurrence itself stays in full precision: its products are
        small and its states are carried far.
        """
        layout = self.layout(speaker_BT, n_turns_B, x_BTD.device)
        x_KND = x_BTD.flatten(0, 1).index_select(0, layout.turn_of_row.flatten()).unflatten(0, (self.n_directions, -1))
        inputs = self.inputs(x_KND)
        with torch.autocast(x_BTD.device.type, enabled=False):
            masks = self.draw_masks(x_KND, layout)
            recurred = self.recur(inputs, layout, masks)
            e_KNE = self.read_emotions(x_KND.to(recurred.g_KNG.dtype), recurred, layout, masks)
        n_dialogues, n_turns = speaker_BT.shape
        is_real_BT = torch.arange(n_turns, device=x_BTD.device) < n_turns_B[:, None].to(x_BTD.device)
        direction = torch.arange(self.n_directions, device=x_BTD.device)[:, None]

        def unpack(rows_KNH: Tensor) -> Tensor:
            rows = (layout.row_of_turn + direction * layout.n_rows).flatten()
            padded = rows_KNH.flatten(0, 1).index_select(0, rows).view(self.n_directions, n_dialogues, n_turns, -1)
            return padded.masked_fill(~is_real_BT[..., None], 0.0)

        e_BTE = torch.cat(unpack(e_KNE).unbind(0), dim=-1)  # (8)
        attention = self._attention(unpack(recurred.g_KNG), x_BTD, n_turns_B) if return_attention else {}
        return e_BTE, attention

    def layout(self, speaker_BT: Tensor, n_turns_B: Tensor, device: torch.device | None = None) -> PackedLayout:
        """The plan of a batch for this recurrence."""
        return build_layout(
            speaker_BT,
            n_turns_B,
            bidirectional=self.n_directions == 2,
            n_planes=len(self.wiring.planes),
            updates_listeners=self.wiring.updates_listeners,
            device=device,
        )

    def draw_masks(self, x_KND: Tensor, layout: PackedLayout) -> DropoutMasks | None:
        """Fresh dropout multipliers for every turn and listener of the batch; None outside training."""
        if not self.training or self.dropout == 0:
            return None
        k, z, n = self.n_directions, self.n_directions * len(self.wiring.planes), layout.n_rows
        like = self.from_party
        return DropoutMasks(
            global_KNG=draw_mask(like, self.dropout, k, n, self.global_dim),
            speaker_ZNP=draw_mask(like, self.dropout, z, n, self.party_dim),
            listener_ZLP=draw_mask(like, self.dropout, z, layout.n_listener_updates, self.party_dim),
            emotion_KNE=draw_mask(like, self.dropout, k, n, self.emotion_dim),
        )

    def inputs(self, x_KND: Tensor) -> TurnInputs:
        """Every product with x, for all turns at once, in full precision whatever it was computed in."""
        biases = {"global": self.global_bias[:, None, : 3 * self.global_dim]}
        biases |= {cell: self._bias(cell)[:, None, : 3 * self.party_dim] for cell in self.wiring.cells}
        x_gates = {}
        for cell, bias in biases.items():
            if _key(cell) in self.from_x:
                x_gates[cell] = _full(torch.baddbmm(bias, x_KND, self.from_x[_key(cell)]))
            else:
                x_gates[cell] = bias.expand(-1, x_KND.shape[1], -1)
        queries = self.attention.queries(x_KND)
        return TurnInputs(x_gates, None if queries is None else _full(queries))

    def recur(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """The loop, by the engine that was chosen."""
        return self.fused(inputs, layout, masks) if self.is_fused else self.loop(inputs, layout, masks)

    @property
    def is_fused(self) -> bool:
        """The backward is written by hand: wanted, and possible with this kind of attention."""
        return self.engine != "autograd" and self.attention.kind in MANUAL_KINDS

    def fused(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """The loop as one autograd node, see :mod:`dialogue_ser.nn.manual`."""
        settings = Settings(wiring=self.wiring, layout=layout, attention=self.attention.kind, masks=masks)
        cells = tuple(inputs.x_gates)
        g_KNG, felt_KFNP = ManualRecurrence.apply(  # type: ignore[no-untyped-call]
            settings, cells, inputs.query, *inputs.x_gates.values(), *self.cells().weights
        )
        return Recurred(g_KNG, felt_KFNP)

    def loop(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """The loop as autograd follows it."""
        cells, n_z = self.cells(), self.n_directions * len(self.wiring.planes)
        g, pool = self.start_global.expand(-1, layout.n_dialogues, -1), cells.weights.start_party
        history: Running | list[Tensor] | None = None
        g_steps, felt_steps = [], []
        for step in layout.steps:
            given = TurnInputs(
                {cell: gates[:, step.rows] for cell, gates in inputs.x_gates.items()},
                None if inputs.query is None else inputs.query[:, step.rows],
            )
            own = None
            if masks is not None:
                rows, drawn = step.rows, step.drawn
                own = TurnMasks(masks.global_KNG[:, rows], masks.speaker_ZNP[:, rows], masks.listener_ZLP[:, drawn])
            # the plan counts rows in a whole batch's pool and turns; here both have grown up to this step only
            start, first_row = torch.arange(n_z, device=pool.device)[:, None], step.rows.start
            source = step.source.view(n_z, -1) - start * (layout.n_states - pool.shape[1])
            heard = step.heard.view(n_z, -1) - start * (layout.n_rows - step.n_active) - first_row
            taken = pool.flatten(0, 1)[source.flatten()].view(n_z, -1, self.party_dim)
            speaker, listener = taken[:, : step.n_active], taken[:, step.n_active :]
            heard = heard.clamp_min(start * step.n_active)  # fillers, which nobody reads, hear anything
            after = turn(cells, given, g[:, : step.n_active], history, speaker, listener, heard.flatten(), own)
            g, history = after.g, after.history
            pool = torch.cat([pool, after.speaker, after.listener], dim=1)
            g_steps.append(g)
            felt_steps.append(after.speaker.view(self.n_directions, -1, *after.speaker.shape[1:]))
        felt = torch.cat(felt_steps, dim=2)[:, list(self.wiring.planes_felt)]
        return Recurred(torch.cat(g_steps, dim=1), felt)

    def cells(self) -> Cells:
        """The weights as the steps want them: views of the parameters, planes folded into the directions."""
        updates, hears = self.wiring.updates_listeners, bool(self.wiring.readers("speaker"))
        size, is_simple = 3 * self.party_dim, self.attention.is_simple
        weights = Weights(
            start_global=self.start_global,
            start_party=self.start_party.flatten(0, 1),
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

    def emotion_gates(self, x_KND: Tensor, g_KNG: Tensor, felt_KFNP: Tensor) -> Tensor:
        """``[n|r|z]`` of (7) ``[K, N, 3E]``."""
        gates = self.emotion_bias[:, None, : 3 * self.emotion_dim]
        felt = [self.wiring.planes[j].name for j in self.wiring.planes_felt]
        read = {"x": x_KND, "g": g_KNG, **dict(zip(felt, felt_KFNP.unbind(1), strict=True))}
        for source, weight in self.emotion_from.items():
            gates = torch.baddbmm(gates, read[source], weight)
        return gates

    def emotion_state_gates(self, e_KNE: Tensor) -> Tensor:
        """``[r|z|m]`` of (7)."""
        bias_m = nn.functional.pad(self.emotion_bias[:, 3 * self.emotion_dim :], (2 * self.emotion_dim, 0))
        return torch.baddbmm(bias_m[:, None], e_KNE, self.from_emotion)

    def read_emotions(
        self, x_KND: Tensor, recurred: Recurred, layout: PackedLayout, masks: DropoutMasks | None
    ) -> Tensor:
        """(7) over the whole packed sequence, dropout included ``[K, N, E]``."""
        gates = self.emotion_gates(x_KND, *recurred)
        bias_m = self.emotion_bias[:, 3 * self.emotion_dim :]
        mask = None if masks is None else masks.emotion_KNE
        inside = mask if self.wiring.feeds_dropped_emotion else None
        if self.engine == "autograd":
            e_KNE = read_chain(gates, self.from_emotion, bias_m, self.start_emotion, inside, layout.steps)
        else:
            e_KNE = Chain.apply(layout, inside, gates, self.from_emotion, bias_m, self.start_emotion)  # type: ignore[no-untyped-call]
        return e_KNE if mask is None or inside is not None else e_KNE * mask

    def cell_weights(self, direction: int, cell: str) -> CellWeights:
        """One of the GRU cells, taken apart; gradients flow back into the joined parameters.

        Args:
            direction: 0 forwards, 1 backwards.
            cell: ``global``, ``emotion``, ``speaker.<plane>`` or ``listener.<plane>``.
        """
        inputs, hidden, bias = self._parts(direction, cell)
        size = hidden.shape[0]
        swapped = {source: torch.cat([weight[:, size:], weight[:, :size]], dim=1) for source, weight in inputs.items()}
        n, gates, m = bias.split([size, 2 * size, size])
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
                inputs["x"] = self.from_x[_key(cell)][k]
            elif source == "speaker":
                inputs["speaker"] = self.from_heard[k, j]
            else:
                joined = self.from_global if source == "g" else self.from_context
                assert joined is not None
                inputs[source] = joined[k][:, self.columns.of[source][cell]]
        own = self.from_party[k, j, :, :size] if role == "speaker" else self.from_listener[k, j]
        return inputs, own, self._bias(cell)[k]

    def _attention(self, g_KBTH: Tensor, x_BTD: Tensor, n_turns_B: Tensor) -> dict[str, Tensor]:
        """The weights (2) used, computed again for all turns at once, in the dialogue's own order."""
        n_turns = x_BTD.shape[1]
        turn_ = torch.arange(n_turns, device=x_BTD.device)
        mirrored_BT = torch.where(turn_ < n_turns_B[:, None], n_turns_B[:, None] - 1 - turn_, turn_)

        def mirror(tensor: Tensor) -> Tensor:
            return tensor.gather(1, mirrored_BT[..., None].expand_as(tensor))

        g_steps, x_steps = [g_KBTH[0]], [x_BTD]
        if self.n_directions == 2:
            g_steps.append(mirror(g_KBTH[1]))
            x_steps.append(mirror(x_BTD))
        weights = self.attention.weights(torch.stack(g_steps), torch.stack(x_steps), n_turns_B)
        attention = {"forward": weights[0]}
        if self.n_directions == 2:
            rows_mirrored = mirror(weights[1])
            attention["backward"] = mirror(rows_mirrored.transpose(1, 2)).transpose(1, 2)
        return attention


def _key(cell: str) -> str:
    """A cell's name as a parameter's."""
    return cell.replace(".", "_")


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
