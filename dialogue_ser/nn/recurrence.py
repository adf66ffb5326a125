"""EmotionRNN's recurrence: global, self, inter-speaker and emotion GRUs over packed dialogues (EQUATIONS.md A).

Every tensor carries the direction K first, so one batched product steps both. States of the speakers and of the
listeners are rows of a pool (see :mod:`dialogue_ser.nn.layout`); self state S and inter state I have the same size and
are kept as two planes J of one tensor ``[K, J, rows, H]``, so that one gather and one product move both.

Departures from writing (1)–(7) down, all exact: products with x are one GEMM before the loop; input products of
listeners are computed once per turn, not per party; silent parties share one row; states nobody will read again are
not updated; padding is never computed; the emotion GRU, which feeds nothing back, runs after the loop.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dialogue_ser.nn.attention import HistoryAttention
from dialogue_ser.nn.cells import DropoutMasks, draw_masks
from dialogue_ser.nn.layout import PackedLayout, build_layout
from dialogue_ser.nn.manual import Inputs, ManualRecurrence, Settings
from dialogue_ser.nn.turn import SELF, Cells, State, TurnInputs, turn
from dialogue_ser.tensors import FeaturesBTD, SpeakerBT, TurnsB

Listeners = Literal["update", "hold"]
Engine = Literal["auto", "manual", "autograd"]
MANUAL_KINDS = ("simple", "simple-linear", "dot", "general", "general2", "general2-tanh")


class Recurred(NamedTuple):
    """What the loop leaves behind, packed rows per direction.

    Args:
        g_KNH: global states.
        s_KNH: the speaker's self state after its own turn, S_t^s.
    """

    g_KNH: Tensor
    s_KNH: Tensor


class EmotionRecurrence(nn.Module):
    """x, who speaks → emotion states ē (EQUATIONS.md (1)–(8)).

    Args:
        input_dim: D of x.
        global_dim: size of g.
        party_dim: size of S and of I.
        emotion_dim: size of e, per direction.
        attention: kind of attention over past g, see :class:`HistoryAttention`.
        dropout: on g, S, I inside the recurrence (fresh every turn) and on e.
        listeners: update with their own cells, or hold their states.
        bidirectional: also read the truly reversed dialogue, with its own weights.
        initial_state: learned (drawn at construction) or zeros.
        engine: manual (one autograd node), autograd (the readable loop), or auto.
    """

    def __init__(
        self,
        input_dim: int,
        *,
        global_dim: int = 150,
        party_dim: int = 150,
        emotion_dim: int = 100,
        attention: str = "general",
        dropout: float = 0.0,
        listeners: Listeners = "update",
        bidirectional: bool = True,
        initial_state: Literal["learned", "zeros"] = "learned",
        engine: Engine = "auto",
    ) -> None:
        super().__init__()
        self.n_directions = n_directions = 2 if bidirectional else 1
        self.global_dim, self.party_dim, self.emotion_dim = global_dim, party_dim, emotion_dim
        self.dropout, self.listeners, self.engine = dropout, listeners, engine
        self.attention = HistoryAttention(attention, global_dim, input_dim, n_directions)

        def weight(*shape: int, hidden: int) -> nn.Parameter:
            bound = 1 / math.sqrt(hidden)  # as torch.nn.GRUCell draws it
            return nn.Parameter(torch.empty(n_directions, *shape).uniform_(-bound, bound))

        n_cells = 2 if listeners == "update" else 1  # speaker's cell, listener's cell
        self.n_cells = n_cells
        gates_g, gates_p = 3 * global_dim, 3 * party_dim
        # (1) GRU_G: inputs [S; I; x] and its own past
        self.global_from_x = weight(input_dim, gates_g, hidden=global_dim)
        self.global_from_party = weight(2, party_dim, gates_g, hidden=global_dim)
        self.global_from_global = weight(global_dim, gates_g, hidden=global_dim)
        self.global_bias_x = weight(gates_g, hidden=global_dim)
        self.global_bias_h = weight(gates_g, hidden=global_dim)
        # (3)–(6) GRU_SS, GRU_SL (inputs [g; x]) and GRU_IS, GRU_IL (inputs [g; a]): cell C is speaker, listener
        self.self_from_x = weight(input_dim, n_cells * gates_p, hidden=party_dim)
        self.inter_from_context = weight(global_dim, n_cells * gates_p, hidden=party_dim)
        self.party_from_global = weight(global_dim, 2 * n_cells * gates_p, hidden=party_dim)
        self.party_from_party = weight(2, n_cells, party_dim, gates_p, hidden=party_dim)
        self.party_bias_x = weight(2, n_cells * gates_p, hidden=party_dim)
        self.party_bias_h = weight(2, n_cells, gates_p, hidden=party_dim)
        # (7) GRU_E: inputs [g; x; S]
        self.emotion = nn.ModuleList(
            nn.GRU(global_dim + input_dim + party_dim, emotion_dim) for _ in range(n_directions)
        )

        self.initial_global = self._initial(initial_state, 1, global_dim)
        self.initial_party = self._initial(initial_state, 2, 1, party_dim)
        self.initial_emotion = self._initial(initial_state, 1, emotion_dim)

    def _initial(self, kind: str, *shape: int) -> nn.Parameter:
        """Random states drawn at construction and learned, or zeros that stay zeros."""
        start = torch.zeros(self.n_directions, *shape)
        if kind == "learned":
            return nn.Parameter(start.uniform_(-0.1, 0.1))
        return nn.Parameter(start, requires_grad=False)

    @property
    def output_dim(self) -> int:
        """Size of ē: E per direction."""
        return self.n_directions * self.emotion_dim

    def forward(
        self, x_BTD: FeaturesBTD, speaker_BT: SpeakerBT, n_turns_B: TurnsB, *, return_attention: bool = False
    ) -> tuple[Float[Tensor, "batch turn hidden"], dict[str, Tensor]]:
        """ē of every turn (0 on padding), and per direction the attention ``[B, T, T]`` if asked for.

        Under autocast the recurrence stays in full precision: its products are small, its states are carried far.
        """
        with torch.autocast(x_BTD.device.type, enabled=False):
            x_BTD = x_BTD.float() if x_BTD.dtype in (torch.float16, torch.bfloat16) else x_BTD
            return self._read(x_BTD, speaker_BT, n_turns_B, return_attention=return_attention)

    def _read(
        self, x_BTD: Tensor, speaker_BT: Tensor, n_turns_B: Tensor, *, return_attention: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        layout = build_layout(speaker_BT, n_turns_B, bidirectional=self.n_directions == 2)
        n_dialogues, n_turns = speaker_BT.shape
        flat_x = x_BTD.flatten(0, 1)
        x_KND = flat_x[layout.turn_of_row]
        recurred = self.recur(x_KND, layout, self.draw_masks(x_KND, layout))
        e_KNE = self.read_emotions(x_KND, recurred, layout)
        e_KNE = nn.functional.dropout(e_KNE, self.dropout, self.training)
        turn = torch.arange(n_turns, device=x_BTD.device)
        is_real_BT = turn < n_turns_B[:, None]
        direction = torch.arange(self.n_directions, device=x_BTD.device)[:, None]

        def unpack(rows_KNH: Tensor) -> Tensor:
            padded = rows_KNH[direction, layout.row_of_turn].view(self.n_directions, n_dialogues, n_turns, -1)
            return padded.masked_fill(~is_real_BT[..., None], 0.0)

        e_BTE = torch.cat(unpack(e_KNE).unbind(0), dim=-1)  # (8)
        attention = self._attention(unpack(recurred.g_KNH), x_BTD, n_turns_B) if return_attention else {}
        return e_BTE, attention

    def draw_masks(self, x_KND: Tensor, layout: PackedLayout) -> DropoutMasks | None:
        """Fresh dropout multipliers for every turn and listener of the batch; None outside training."""
        if not self.training or self.dropout == 0:
            return None
        return draw_masks(
            x_KND,
            self.dropout,
            n_directions=self.n_directions,
            n_rows=layout.n_rows,
            n_listeners=layout.n_listener_updates,
            global_dim=self.global_dim,
            party_dim=self.party_dim,
        )

    def recur(self, x_KND: Tensor, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """(1)–(6) by the engine that was chosen; ``auto`` writes the backward by hand where that is possible."""
        if self.engine == "autograd" or self.attention.kind not in MANUAL_KINDS:
            return self.loop(x_KND, layout, masks)
        return self.fused(x_KND, layout, masks)

    def cells(self) -> Cells:
        """The weights of (1)–(6) as one turn wants them."""
        updates = self.listeners == "update"
        of_speaker, of_listener = self.party_from_party[:, :, 0], self.party_from_party[:, :, -1]
        return Cells(
            from_party=torch.cat([of_speaker.flatten(0, 1), self.global_from_party.flatten(0, 1)], dim=-1),
            speaker_bias=self.party_bias_h[:, :, 0].flatten(0, 1)[:, None],
            from_global=torch.cat([self.global_from_global, self.party_from_global], dim=-1),
            bias_global=torch.cat([self.global_bias_h, self.party_bias_x.flatten(1)], dim=-1)[:, None],
            from_context=self.inter_from_context,
            listener_weight=of_listener.flatten(0, 1) if updates else None,
            listener_bias=self.party_bias_h[:, :, 1].flatten(0, 1)[:, None] if updates else None,
        )

    def inputs(self, x_KND: Tensor) -> TurnInputs:
        """Every product with x, for all turns at once."""
        return TurnInputs(
            x_global=torch.baddbmm(self.global_bias_x[:, None], x_KND, self.global_from_x),
            x_self=torch.bmm(x_KND, self.self_from_x),
            query=self.attention.queries(x_KND),
        )

    def start(self, n_dialogues: int) -> State:
        """The state before the first turn; row 0 of the pool is everybody's."""
        g_KNH = self.initial_global.expand(-1, n_dialogues, -1)
        g_gates = torch.baddbmm(self.global_bias_h[:, None], g_KNH, self.global_from_global)
        return State(g_KNH, g_gates, self.initial_party, None)

    def fused(self, x_KND: Tensor, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """(1)–(6) as one autograd node, see :mod:`dialogue_ser.nn.manual`."""
        updates, is_simple = self.listeners == "update", self.attention.is_simple
        settings = Settings(
            layout=layout,
            attention=self.attention.kind,
            global_KNH=None if masks is None else masks.global_KNH,
            speaker_ZNH=None if masks is None else masks.speaker_KJNH.flatten(0, 1),
            listener_ZNH=None if masks is None or not updates else masks.listener_KJNH.flatten(0, 1),
        )
        x_global, x_self, queries = self.inputs(x_KND)
        state = self.start(layout.steps[0].n_active)
        inputs = Inputs(
            x_global=x_global,
            x_self=x_self,
            queries=queries,
            g_0=state.g_KNH,
            g_gates_0=state.g_gates,
            party_0=state.pool_KJRH.flatten(0, 1),
            **self.cells()._asdict(),
            attention_weight=self.attention.weight if is_simple else None,
            attention_bias=self.attention.bias if self.attention.kind == "simple" else None,
        )
        g_KNH, s_KNH = ManualRecurrence.apply(settings, *inputs)  # type: ignore[no-untyped-call]
        return Recurred(g_KNH, s_KNH)

    def loop(self, x_KND: Tensor, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """(1)–(6) over all steps of a layout."""
        # cut once: slicing inside the loop would make autograd fill a whole-batch gradient at every step
        sizes = [step.n_active for step in layout.steps]
        x_global, x_self, query = self.inputs(x_KND)
        queries = [None] * len(sizes) if query is None else torch.split(query, sizes, dim=1)
        turns = zip(torch.split(x_global, sizes, dim=1), torch.split(x_self, sizes, dim=1), queries, strict=True)
        cells, state = self.cells(), self.start(sizes[0])
        g_steps, s_steps = [], []
        for step, given in zip(layout.steps, turns, strict=True):
            own = None
            if masks is not None:
                rows = slice(step.first_row, step.first_row + step.n_active)
                own = masks.cut(rows, slice(step.first_listener, step.first_listener + step.n_listeners))
            state = turn(cells, self.attention, state, TurnInputs(*given), step.source, step.heard, own)
            g_steps.append(state.g_KNH)
            s_steps.append(state.pool_KJRH[:, SELF, : step.n_active])
        return Recurred(torch.cat(g_steps, dim=1), torch.cat(s_steps, dim=1))

    def read_emotions(self, x_KND: Tensor, recurred: Recurred, layout: PackedLayout) -> Tensor:
        """(7) over the whole packed sequence, with the library's fused GRU."""
        n_dialogues = layout.steps[0].n_active
        inputs_KND = torch.cat([recurred.g_KNH, x_KND, recurred.s_KNH], dim=-1)
        outputs = []
        for direction, cell in enumerate(self.emotion):
            initial = self.initial_emotion[direction].expand(1, n_dialogues, -1).contiguous()
            packed = PackedSequence(inputs_KND[direction], layout.batch_sizes)
            outputs.append(cell(packed, initial)[0].data)
        return torch.stack(outputs)

    def _attention(self, g_KBTH: Tensor, x_BTD: Tensor, n_turns_B: Tensor) -> dict[str, Tensor]:
        """The weights (2) used, computed again for all turns at once, in the dialogue's own order."""
        n_turns = x_BTD.shape[1]
        turn = torch.arange(n_turns, device=x_BTD.device)
        mirrored_BT = torch.where(turn < n_turns_B[:, None], n_turns_B[:, None] - 1 - turn, turn)

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
