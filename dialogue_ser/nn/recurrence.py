"""EmotionRNN's recurrence: global, self, inter-speaker and emotion GRUs over packed dialogues (EQUATIONS.md A).

Every tensor carries the direction K first, so one batched product steps both. States of the speakers and of the
listeners are rows of a pool (see :mod:`dialogue_ser.nn.layout`); self state S and inter state I have the same size and
are kept as two planes J of one tensor ``[K, J, rows, H]``, so that one gather and one product move both.

Departures from writing (1)–(7) down, all exact: products with x are one GEMM before the loop; input products of
listeners are computed once per turn, not per party; silent parties share one row; states nobody will read again are
not updated; padding is never computed; the emotion GRU, which feeds nothing back, runs after the loop. Long because the
equations and their weights must be read together.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dialogue_ser.nn.attention import HistoryAttention
from dialogue_ser.nn.cells import DropoutMasks, draw_masks, gru
from dialogue_ser.nn.layout import PackedLayout, build_layout
from dialogue_ser.nn.manual import Inputs, ManualRecurrence, Settings
from dialogue_ser.tensors import FeaturesBTD, SpeakerBT, TurnsB

Listeners = Literal["update", "hold"]
Engine = Literal["auto", "manual", "autograd"]
MANUAL_KINDS = ("simple", "simple-linear", "dot", "general", "general2", "general2-tanh")
SELF, INTER = 0, 1  # planes J of the party states


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

    def fused(self, x_KND: Tensor, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """(1)–(6) as one autograd node, see :mod:`dialogue_ser.nn.manual`."""
        n_active, updates, is_simple = layout.steps[0].n_active, self.listeners == "update", self.attention.is_simple
        g_0 = self.initial_global.expand(-1, n_active, -1)
        settings = Settings(
            layout=layout,
            attention=self.attention.kind,
            global_KNH=None if masks is None else masks.global_KNH,
            speaker_ZNH=None if masks is None else masks.speaker_KJNH.flatten(0, 1),
            listener_ZNH=None if masks is None or not updates else masks.listener_KJNH.flatten(0, 1),
        )
        inputs = Inputs(
            x_global=torch.baddbmm(self.global_bias_x[:, None], x_KND, self.global_from_x),
            x_self=torch.bmm(x_KND, self.self_from_x),
            queries=self.attention.queries(x_KND),
            g_0=g_0,
            g_gates_0=torch.baddbmm(self.global_bias_h[:, None], g_0, self.global_from_global),
            party_0=self.initial_party.flatten(0, 1),
            from_party=torch.cat(
                [self.party_from_party[:, :, 0].flatten(0, 1), self.global_from_party.flatten(0, 1)], dim=-1
            ),
            speaker_bias=self.party_bias_h[:, :, 0].flatten(0, 1)[:, None],
            from_global=torch.cat([self.global_from_global, self.party_from_global], dim=-1),
            bias_global=torch.cat([self.global_bias_h, self.party_bias_x.flatten(1)], dim=-1)[:, None],
            from_context=self.inter_from_context,
            listener_weight=self.party_from_party[:, :, 1].flatten(0, 1) if updates else None,
            listener_bias=self.party_bias_h[:, :, 1].flatten(0, 1)[:, None] if updates else None,
            attention_weight=self.attention.weight if is_simple else None,
            attention_bias=self.attention.bias if self.attention.kind == "simple" else None,
        )
        g_KNH, s_KNH = ManualRecurrence.apply(settings, *inputs)  # type: ignore[no-untyped-call]
        return Recurred(g_KNH, s_KNH)

    def loop(self, x_KND: Tensor, layout: PackedLayout, masks: DropoutMasks | None) -> Recurred:
        """(1)–(6) over all steps of a layout."""
        n_directions, gates_p = self.n_directions, 3 * self.party_dim
        x_global_KNG = torch.baddbmm(self.global_bias_x[:, None], x_KND, self.global_from_x)
        x_self_KNG = torch.bmm(x_KND, self.self_from_x)
        queries_KNH = self.attention.queries(x_KND)
        # cut once: slicing inside the loop would make autograd fill a whole-batch gradient at every step
        sizes = [step.n_active for step in layout.steps]
        x_global, x_self = torch.split(x_global_KNG, sizes, dim=1), torch.split(x_self_KNG, sizes, dim=1)
        queries = [None] * len(sizes) if queries_KNH is None else torch.split(queries_KNH, sizes, dim=1)
        from_global = torch.cat([self.global_from_global, self.party_from_global], dim=-1)
        bias_global = torch.cat([self.global_bias_h, self.party_bias_x.flatten(1)], dim=-1)[:, None]
        global_from_party = self.global_from_party.flatten(0, 1)
        speaker_from_party, speaker_bias = self.party_from_party[:, :, 0].flatten(0, 1), self.party_bias_h[:, :, 0]
        from_party = torch.cat([speaker_from_party, global_from_party], dim=-1)

        n_active = layout.steps[0].n_active
        g_KNH: Tensor = self.initial_global.expand(-1, n_active, -1)
        g_gates = torch.baddbmm(self.global_bias_h[:, None], g_KNH, self.global_from_global)
        pool_KJRH: Tensor = self.initial_party
        history = None
        g_steps, s_steps = [], []
        for t, step in enumerate(layout.steps):
            n, rows = step.n_active, slice(step.first_row, step.first_row + step.n_active)
            taken_KJRH = _take(pool_KJRH, step.source)
            speaker_KJNH, listener_KJLH = taken_KJRH[:, :, :n], taken_KJRH[:, :, n:]
            products = torch.bmm(speaker_KJNH.flatten(0, 1), from_party).view(n_directions, 2, n, -1)
            # (1) global state, from the speaker's previous states
            x_gates = x_global[t] + products[:, SELF, :, gates_p:] + products[:, INTER, :, gates_p:]
            g_KNH = gru(x_gates, g_gates[:, :n], g_KNH[:, :n])
            if masks is not None:
                g_KNH = g_KNH * masks.global_KNH[:, rows]
            # (2) context from strictly past global states
            a_KNH = self.attention.read(history, queries[t], n)
            history = self.attention.write(history, g_KNH)
            # input products of (3)–(6), and of (1) at the next step
            g_products = torch.baddbmm(bias_global, g_KNH, from_global)
            g_gates, shared = g_products[..., : 3 * self.global_dim], g_products[..., 3 * self.global_dim :]
            inter = torch.zeros_like(x_self[t]) if a_KNH is None else torch.bmm(a_KNH, self.inter_from_context)
            inputs_KJNG = shared.reshape(n_directions, n, 2, -1).transpose(1, 2) + torch.stack(
                [x_self[t], inter], dim=1
            )
            # (3), (5) the speaker
            gates_h = products[..., :gates_p] + speaker_bias[:, :, None]
            speaker_KJNH = gru(inputs_KJNG[..., :gates_p], gates_h, speaker_KJNH)
            if masks is not None:
                speaker_KJNH = speaker_KJNH * masks.speaker_KJNH[:, :, rows]
            # (4), (6) whoever listens and will be read again
            if step.n_listeners:
                listener_KJLH = self._listen(listener_KJLH, inputs_KJNG[..., gates_p:], step.heard)
                if masks is not None and self.listeners == "update":
                    drawn = slice(step.first_listener, step.first_listener + step.n_listeners)
                    listener_KJLH = listener_KJLH * masks.listener_KJNH[:, :, drawn]
            pool_KJRH = torch.cat([speaker_KJNH, listener_KJLH], dim=2)
            g_steps.append(g_KNH)
            s_steps.append(speaker_KJNH[:, SELF])
        return Recurred(torch.cat(g_steps, dim=1), torch.cat(s_steps, dim=1))

    def _listen(self, listener_KJLH: Tensor, inputs_KJNG: Tensor, heard_KL: Tensor) -> Tensor:
        """(4) and (6): listeners hear the turn of their dialogue through the listener's cells."""
        if self.listeners == "hold":
            return listener_KJLH
        weights, bias = self.party_from_party[:, :, 1].flatten(0, 1), self.party_bias_h[:, :, 1].flatten(0, 1)
        gates_h = torch.baddbmm(bias[:, None], listener_KJLH.flatten(0, 1), weights)
        return gru(_take(inputs_KJNG, heard_KL), gates_h.view(*listener_KJLH.shape[:-1], -1), listener_KJLH)

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


def _take(planes: Tensor, rows_KR: Tensor) -> Tensor:
    """Rows of ``[K, J, rows, H]``, the same of every plane J, each direction its own."""
    n_planes, size = planes.shape[1], planes.shape[-1]
    return planes.gather(2, rows_KR[:, None, :, None].expand(-1, n_planes, -1, size))
