"""The recurrence of COSMIC: every party has an internal state, an external state and an intent (docs/equations.md).

It differs from :mod:`dialogue_ser.nn.recurrence.dialogue_recurrence` in its cells, which read each other inside a turn
and have sizes of their own, so it has a loop of its own that autograd follows. The rest is shared: packed dialogues
without padding, both directions in one product, products with known inputs before the loop, and the emotion chain after
it, because no other cell reads an emotion state.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dialogue_ser.nn.attention import HistoryAttention, RunningMean
from dialogue_ser.nn.gru.cells import draw_mask, gru
from dialogue_ser.nn.gru.chain import run_chain
from dialogue_ser.nn.recurrence.dialogue_recurrence import excluded_from_compile
from dialogue_ser.nn.recurrence.directed_cell import DirectedCell
from dialogue_ser.nn.recurrence.layout import PackedLayout, build_layout
from dialogue_ser.nn.recurrence.party_columns import ColumnStep, plan_columns
from dialogue_ser.nn.recurrence.shown_attention import shown_attention
from dialogue_ser.tensors import FeaturesBTD, HiddenBTH, SpeakerBT, TurnsB

#: The inputs of knowledge that a cell may read, and the cell that reads them.
READERS = {
    "self_effect": "internal",
    "self_react": "external",
    "self_intent": "intent",
    "other_effect": "listener_internal",
    "other_react": "listener_external",
}


class PartySizes(NamedTuple):
    """Sizes of the states.

    Args:
        shared: of the global state g.
        internal: of the internal state q of a party.
        external: of the external state r of a party.
        intent: of the intent i of a party.
        emotion: of the emotion state e, per direction.
    """

    shared: int
    internal: int
    external: int
    intent: int
    emotion: int


class PartyStates(NamedTuple):
    """The states between two turns.

    Args:
        g: global states ``[K, n, G]``.
        history: earlier global states, in the form that the attention keeps; None before the first turn.
        parties: ``[q | r | i]`` of all parties ``[K, n, columns, Q + R + I]``.
    """

    g: Tensor
    history: "RunningMean | list[Tensor] | None"
    parties: Tensor


class CommonsenseRecurrence(nn.Module):
    """Compute the emotion states of COSMIC from turns, vectors of knowledge and speakers.

    Args:
        turn_dim: size of u, the vector of a turn.
        knowledge: vectors of knowledge that the cells read, names of :data:`READERS` → sizes. There may be none.
        sizes: sizes of the states.
        attention: kind of attention over past global states, see :class:`HistoryAttention`.
        attention_dim: number of units inside the attention concat; None = that of the global state.
        listeners: a turn also changes the internal and external states of those who listen.
        dropout: dropout rate on the states that a turn has changed, and on the emotion states.
        bidirectional: a second direction, with its own weights, reads the reversed dialogue.
    """

    def __init__(
        self,
        turn_dim: int,
        knowledge: Mapping[str, int],
        sizes: PartySizes,
        *,
        attention: str,
        attention_dim: int | None = None,
        listeners: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        self.sizes, self.dropout, self.listeners = sizes, dropout, listeners
        self.n_directions = k = 2 if bidirectional else 1
        turn, (g, q, r, i, e) = {"u": turn_dim}, sizes
        self.attention = HistoryAttention(attention, g, turn_dim, k, concat_dim=attention_dim)
        known: dict[str, dict[str, int]] = {
            "shared": turn,
            "internal": {},
            "external": turn,
            "intent": {},
            "listener_internal": {},
            "listener_external": turn,
            "emotion": turn,
        }
        for name, size in knowledge.items():
            known[READERS[name]] = {**known[READERS[name]], name: size}
        states = {
            "shared": {"internal": q, "external": r},
            "internal": {"context": g},
            "external": {"context": g},
            "intent": {"internal": q},
            "listener_internal": {"internal": q},
            "listener_external": {"external": r},
            "emotion": {"internal": q, "external": r, "intent": i},
        }
        hidden = {"shared": g, "internal": q, "external": r, "intent": i, "emotion": e}
        hidden |= {"listener_internal": q, "listener_external": r}
        self.cells = nn.ModuleDict(
            {
                name: DirectedCell(k, hidden[name], known=known[name], states=states[name])
                for name in known
                if listeners or not name.startswith("listener")
            }
        )

    @property
    def output_dim(self) -> int:
        """Size of ē: E for each direction."""
        return self.n_directions * self.sizes.emotion

    @property
    def emotion_dim(self) -> int:
        """E, the size of the emotion state of one direction."""
        return self.sizes.emotion

    def cell(self, name: str) -> DirectedCell:
        """A cell: ``shared``, ``internal``, ``external``, ``intent``, ``emotion``, ``listener_internal``, …"""
        cell = self.cells[name]
        assert isinstance(cell, DirectedCell)
        return cell

    @excluded_from_compile  # the plan depends on the data of the batch, so it cannot be traced
    def forward(
        self,
        u_BTD: FeaturesBTD,
        knowledge: Mapping[str, Tensor],
        speaker_BT: SpeakerBT,
        n_turns_B: TurnsB,
        *,
        return_attention: bool = False,
    ) -> tuple[HiddenBTH, dict[str, Tensor]]:
        """Return ē of every turn, exactly 0 on padding, and the attention weights.

        Args:
            u_BTD: vectors of the turns.
            knowledge: vectors of knowledge ``[B, T, D]``, by the names that the recurrence was built with.
            speaker_BT: party of each turn, on the CPU.
            n_turns_B: number of real turns per dialogue, on the CPU.
            return_attention: True: return the weights ``[B, T, T]`` of each direction too. False: an empty dictionary.
        """
        device, is_both = u_BTD.device, self.n_directions == 2
        layout = build_layout(speaker_BT, n_turns_B, bidirectional=is_both, updates_listeners=False, device=device)
        columns = plan_columns(speaker_BT, n_turns_B, bidirectional=is_both, device=device)
        rows = layout.turn_of_row.flatten()
        given = {
            name: x_BTD.flatten(0, 1).index_select(0, rows).view(self.n_directions, layout.n_rows, -1)
            for name, x_BTD in {"u": u_BTD, **knowledge}.items()
        }
        gates, query = self.known_gates(given)
        with torch.autocast(device.type, enabled=False):
            g_KNG, spoken_KNH = self._loop(gates, query, columns)
            e_KNE = self._emotions(gates["emotion"], spoken_KNH, layout)
        n_dialogues, n_turns = speaker_BT.shape
        e_BTE = torch.cat(layout.unpacked(e_KNE, (n_dialogues, n_turns)).unbind(0), dim=-1)
        if not return_attention:
            return e_BTE, {}
        g_KBTG = layout.unpacked(g_KNG, (n_dialogues, n_turns))
        return e_BTE, shown_attention(self.attention, g_KBTG, u_BTD, n_turns_B.to(device))

    def known_gates(self, given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor | None]:
        """Cell → ``[n | r | z]`` from the inputs that need no state, of all turns; and the queries of the attention."""
        n_rows, query = given["u"].shape[1], self.attention.queries(given["u"])
        gates = {name: self.cell(name).known_gates(given, n_rows) for name in self.cells}
        return gates, None if query is None else query.to(torch.promote_types(query.dtype, torch.float32))

    def start(self, n_dialogues: int) -> PartyStates:
        """The states before the first turn: zeros, and the bystander's column alone."""
        g, q, r, i, _ = self.sizes
        like, k = self.cell("shared").bias, self.n_directions
        return PartyStates(like.new_zeros(k, n_dialogues, g), None, like.new_zeros(k, n_dialogues, 1, q + r + i))

    def _loop(
        self, gates: Mapping[str, Tensor], query: Tensor | None, columns: tuple[ColumnStep, ...]
    ) -> tuple[Tensor, Tensor]:
        """Global states and ``[q | r | i]`` of the speakers after their turns, of all packed turns."""
        sizes = [step.n_active for step in columns]
        gates_at = {name: torch.split(value, sizes, dim=1) for name, value in gates.items()}
        query_at = None if query is None else torch.split(query, sizes, dim=1)
        states, g_steps, spoken_steps = self.start(sizes[0]), [], []
        for t, step in enumerate(columns):
            of_turn = {name: value[t] for name, value in gates_at.items()}
            states, spoken = self.turn(of_turn, None if query_at is None else query_at[t], states, step)
            g_steps.append(states.g)
            spoken_steps.append(spoken)
        return torch.cat(g_steps, dim=1), torch.cat(spoken_steps, dim=1)

    def turn(
        self, gates: Mapping[str, Tensor], query: Tensor | None, states: PartyStates, step: ColumnStep
    ) -> tuple[PartyStates, Tensor]:
        """Compute one turn of every active dialogue; also return ``[q | r | i]`` of the speakers before dropout.

        Args:
            gates: cell → ``[n | r | z]`` from its known inputs ``[K, n, 3H]``.
            query: query of the attention ``[K, n, G]``, or None if it has none.
            states: states before the turn.
            step: columns of the turn.
        """
        n, (_, q_size, r_size, i_size, _) = step.n_active, self.sizes
        g_before, parties = states.g[:, :n], states.parties[:, :n]
        speaker = parties.flatten(0, 2).index_select(0, step.read).view(self.n_directions, n, -1)
        q_before, r_before, i_before = torch.split(speaker, [q_size, r_size, i_size], dim=-1)
        g_gates = torch.baddbmm(gates["shared"], speaker[..., : q_size + r_size], self.cell("shared").from_states)
        g = self._drop(self.cell("shared").step(g_gates, g_before))
        context = self.attention.read(states.history, query, n)
        history = self.attention.write(states.history, g)
        q_gates, r_gates = gates["internal"], gates["external"]
        if context is not None:
            q_gates = torch.baddbmm(q_gates, context, self.cell("internal").from_states)
            r_gates = torch.baddbmm(r_gates, context, self.cell("external").from_states)
        q = self.cell("internal").step(q_gates, q_before)
        r = self.cell("external").step(r_gates, r_before)
        i_gates = torch.baddbmm(gates["intent"], q, self.cell("intent").from_states)
        i = self.cell("intent").step(i_gates, i_before)
        spoken = torch.cat([q, r, i], dim=-1)
        if self.listeners:
            parties = self._listen(gates, q, r, parties)
        parties = nn.functional.pad(parties, (0, 0, 0, step.n_columns_after - step.n_columns))
        after = parties.flatten(0, 2).index_copy(0, step.write, self._drop(spoken).flatten(0, 1))
        return PartyStates(g, history, after.view_as(parties)), spoken

    def _listen(self, gates: Mapping[str, Tensor], q: Tensor, r: Tensor, parties: Tensor) -> Tensor:
        """The states of all parties after they have listened to a turn; their intents stay as they are."""
        q_size, r_size, i_size = self.sizes.internal, self.sizes.external, self.sizes.intent
        q_before, r_before, i_before = torch.split(parties, [q_size, r_size, i_size], dim=-1)
        heard = []
        for name, spoken, before in (("listener_internal", q, q_before), ("listener_external", r, r_before)):
            cell = self.cell(name)
            gates_x = torch.baddbmm(gates[name], spoken, cell.from_states)
            gates_h = cell.own_gates(before.flatten(1, 2)).view(*before.shape[:-1], -1)
            heard.append(gru(gates_x[:, :, None], gates_h, before))
        return torch.cat([self._drop(torch.cat(heard, dim=-1)), i_before], dim=-1)

    def _emotions(self, gates: Tensor, spoken_KNH: Tensor, layout: PackedLayout) -> Tensor:
        """The emotion states of all packed turns after dropout ``[K, N, E]``; the next one reads the dropped one."""
        cell, size = self.cell("emotion"), self.sizes.emotion
        mask = None
        if self.training and self.dropout > 0:
            mask = draw_mask(cell.bias, self.dropout, self.n_directions, layout.n_rows, size)
        start = cell.bias.new_zeros(self.n_directions, 1, size)
        gates_x = torch.baddbmm(gates, spoken_KNH, cell.from_states)
        weights = (cell.from_own, cell.bias_m, start)
        return run_chain(layout.rows_per_step, layout.previous_row, gates_x, *weights, mask=mask)

    def _drop(self, states: Tensor) -> Tensor:
        return nn.functional.dropout(states, self.dropout, self.training)
