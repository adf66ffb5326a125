"""The recurrence of every dialogue RNN: global, party and emotion GRUs over packed dialogues (docs/equations.md).

One recurrence computes EmotionRNN and DialogueRNN; :mod:`dialogue_ser.nn.recurrence.wiring` says which cell reads what.
It differs from a loop over turns and parties in the following points. None of them changes a result:

- The products with x are one product per cell before the loop, for both directions and all turns.
- Both directions step together in batched products. The direction K is the first axis of every tensor.
- Padding is never computed. The dialogues are sorted by length, and the number of active dialogues falls.
- The input gates of the listeners' cells are computed once per turn and not once per party.
- Parties that have not spoken yet share one state. States that no later turn uses are not updated. A state that does
  not change is not copied.
- The matrices that multiply the same state are stored joined, so a state is multiplied once per turn.
- The emotion GRU runs after the loop, because no other cell reads its states.

Two engines compute the loop: :mod:`dialogue_ser.nn.recurrence.manual` (one autograd node with a hand-written backward),
and :meth:`DialogueRecurrence.autograd_loop`, which is easy to read and which autograd follows.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.attention import RunningMean
from dialogue_ser.nn.gru.cells import DropoutMasks, draw_mask, split_by_step
from dialogue_ser.nn.gru.chain import autograd_chain, run_chain
from dialogue_ser.nn.recurrence.layout import PackedLayout, build_layout
from dialogue_ser.nn.recurrence.manual import ManualRecurrence, Settings
from dialogue_ser.nn.recurrence.parameters import RecurrenceParameters, parameter_name
from dialogue_ser.nn.recurrence.shown_attention import shown_attention
from dialogue_ser.nn.recurrence.turn import TurnInputs, TurnMasks, turn
from dialogue_ser.tensors import FeaturesBTD, SpeakerBT, TurnsB

MANUAL_KINDS = ("simple", "simple-linear", "dot", "general", "general2", "general2-tanh")

Args = ParamSpec("Args")
Result = TypeVar("Result")


def excluded_from_compile(forward: Callable[Args, Result]) -> Callable[Args, Result]:
    """Exclude a method from ``torch.compile``, like ``torch.compiler.disable``.

    ``torch.compiler.disable`` imports the compiler, which takes more than a second. Here it is imported only while
    something is compiled.
    """

    @wraps(forward)
    def uncompiled(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        if not torch.compiler.is_compiling():
            return forward(*args, **kwargs)
        result: Result = torch.compiler.disable(forward)(*args, **kwargs)  # type: ignore[no-untyped-call]
        return result

    return uncompiled


class LoopStates(NamedTuple):
    """The states that the loop computed, one row per packed turn.

    Args:
        g_KNG: global states.
        speaker_KFNP: states of the speakers after their turns, of the F planes that the emotion chain reads.
    """

    g_KNG: Tensor
    speaker_KFNP: Tensor


class DialogueRecurrence(RecurrenceParameters):
    """Compute the emotion states ē from x and the speakers: equations (1) to (8) of docs/equations.md.

    The arguments are those of :class:`RecurrenceParameters`.
    """

    @property
    def output_dim(self) -> int:
        """Size of ē: E for each direction."""
        return self.n_directions * self.emotion_dim

    @excluded_from_compile  # the plan depends on the data of the batch, so it cannot be traced
    def forward(
        self, x_BTD: FeaturesBTD, speaker_BT: SpeakerBT, n_turns_B: TurnsB, *, return_attention: bool = False
    ) -> tuple[Float[Tensor, "batch turn hidden"], dict[str, Tensor]]:
        """Return ē of every turn, which is 0 on padding, and the attention weights.

        Under autocast the products with x use its lower precision. The recurrence itself stays in full precision,
        because its products are small and its states pass through many steps.

        Args:
            x_BTD: fused vectors of the utterances.
            speaker_BT: party number of each turn.
            n_turns_B: number of real turns of each dialogue.
            return_attention: True: return the attention weights ``[B, T, T]`` of each direction too. False: return an
                empty dictionary instead.
        """
        layout = self.layout(speaker_BT, n_turns_B, x_BTD.device)
        x_KND = x_BTD.flatten(0, 1).index_select(0, layout.turn_of_row.flatten())
        x_KND = x_KND.view(self.n_directions, layout.n_rows, -1)
        inputs = self.inputs(x_KND)
        with torch.autocast(x_BTD.device.type, enabled=False):
            masks = self.draw_masks(layout)
            states = self.run_loop(inputs, layout, masks)
            e_KNE = self.emotion_states(x_KND.to(states.g_KNG.dtype), states, layout, masks)
        n_dialogues, n_turns = speaker_BT.shape
        e_BTE = torch.cat(layout.unpacked(e_KNE, (n_dialogues, n_turns)).unbind(0), dim=-1)  # (8)
        if not return_attention:
            return e_BTE, {}
        g_KBTG = layout.unpacked(states.g_KNG, (n_dialogues, n_turns))
        return e_BTE, shown_attention(self.attention, g_KBTG, x_BTD, n_turns_B.to(x_BTD.device))

    def layout(self, speaker_BT: Tensor, n_turns_B: Tensor, device: torch.device | None = None) -> PackedLayout:
        """Return the layout of a batch for this recurrence."""
        return build_layout(
            speaker_BT,
            n_turns_B,
            bidirectional=self.n_directions == 2,
            n_planes=len(self.wiring.planes),
            updates_listeners=self.wiring.updates_listeners,
            device=device,
        )

    def draw_masks(self, layout: PackedLayout) -> DropoutMasks:
        """Draw new dropout multipliers for every turn and listener of the batch. Outside training there are none."""
        if not self.training or self.dropout == 0:
            return DropoutMasks()
        k, z, n = self.n_directions, self.n_directions * len(self.wiring.planes), layout.n_rows
        like = self.from_party
        return DropoutMasks(
            global_KNG=draw_mask(like, self.dropout, k, n, self.global_dim),
            speaker_ZNP=draw_mask(like, self.dropout, z, n, self.party_dim),
            listener_ZLP=draw_mask(like, self.dropout, z, layout.n_listener_updates, self.party_dim),
            emotion_KNE=draw_mask(like, self.dropout, k, n, self.emotion_dim),
        )

    def inputs(self, x_KND: Tensor) -> TurnInputs:
        """Return the products with x for all turns at once. Half-precision results are converted to float32."""
        biases = {"global": self.global_bias[:, None, : 3 * self.global_dim]}
        biases |= {cell: self._bias(cell)[:, None, : 3 * self.party_dim] for cell in self.wiring.cells}
        x_gates = {}
        for cell, bias in biases.items():
            if parameter_name(cell) in self.from_x:
                x_gates[cell] = _full_precision(torch.baddbmm(bias, x_KND, self.from_x[parameter_name(cell)]))
            else:
                x_gates[cell] = bias.expand(-1, x_KND.shape[1], -1)
        queries = self.attention.queries(x_KND)
        return TurnInputs(x_gates, None if queries is None else _full_precision(queries))

    def run_loop(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks) -> LoopStates:
        """Compute the loop over the turns with the chosen engine."""
        run = self.manual_loop if self.uses_manual_engine else self.autograd_loop
        return run(inputs, layout, masks)

    @property
    def uses_manual_engine(self) -> bool:
        """Whether the hand-written backward is used: it must be wanted, and this kind of attention must have one."""
        return self.engine != "autograd" and self.attention.kind in MANUAL_KINDS

    def manual_loop(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks) -> LoopStates:
        """Compute the loop as one autograd node, see :mod:`dialogue_ser.nn.recurrence.manual`."""
        settings = Settings(wiring=self.wiring, layout=layout, attention=self.attention.kind, masks=masks)
        cells = tuple(inputs.x_gates)
        g_KNG, speaker_KFNP = ManualRecurrence.apply(  # type: ignore[no-untyped-call]
            settings, cells, inputs.query, *inputs.x_gates.values(), *self.cells().weights
        )
        return LoopStates(g_KNG, speaker_KFNP)

    def autograd_loop(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks) -> LoopStates:
        """Compute the loop with operations that autograd follows."""
        cells, n_z = self.cells(), self.n_directions * len(self.wiring.planes)
        z = torch.arange(n_z, device=layout.turn_of_row.device)[:, None]
        g, state_table = self.initial_global.expand(-1, layout.n_dialogues, -1), cells.weights.start_party
        history: RunningMean | list[Tensor] | None = None
        g_steps, speaker_steps = [], []
        for step, masks_of_turn in zip(layout.steps, _masks_by_step(masks, layout), strict=True):
            of_turn = TurnInputs(
                {cell: gates[:, step.rows] for cell, gates in inputs.x_gates.items()},
                None if inputs.query is None else inputs.query[:, step.rows],
            )
            # The layout counts flat rows in the complete state table. Here the table has the rows so far only.
            rows = step.states_before.view(n_z, -1) - z * (layout.n_states - state_table.shape[1])
            before = state_table.flatten(0, 1)[rows.flatten()].view(n_z, -1, self.party_dim)
            speaker, listener = before[:, : step.n_active], before[:, step.n_active :]
            # The layout counts flat turns among all turns, but `turn` gets those of this step only. A row that only
            # fills the table would point before them. It may read any turn, because nothing uses its state.
            turn_of_listener = step.turn_of_listener.view(n_z, -1) - z * (layout.n_rows - step.n_active)
            turn_of_listener = (turn_of_listener - step.rows.start).clamp_min(z * step.n_active).flatten()
            g_before = g[:, : step.n_active]
            after = turn(cells, of_turn, g_before, history, speaker, listener, turn_of_listener, masks_of_turn)
            g, history = after.g, after.history
            state_table = torch.cat([state_table, after.speaker, after.listener], dim=1)
            g_steps.append(g)
            speaker_steps.append(after.speaker.view(self.n_directions, -1, *after.speaker.shape[1:]))
        speaker_KJNP = torch.cat(speaker_steps, dim=2)
        # The planes are taken one by one, because a Python list as index would make a GPU wait.
        speaker_KFNP = torch.stack([speaker_KJNP[:, j] for j in self.wiring.emotion_planes], dim=1)
        return LoopStates(torch.cat(g_steps, dim=1), speaker_KFNP)

    def emotion_gates(self, x_KND: Tensor, g_KNG: Tensor, speaker_KFNP: Tensor) -> Tensor:
        """Return ``[n|r|z]`` of (7) from its inputs, bias included ``[K, N, 3E]``."""
        gates = self.emotion_bias[:, None, : 3 * self.emotion_dim]
        planes = [self.wiring.planes[j].name for j in self.wiring.emotion_planes]
        inputs = {"x": x_KND, "g": g_KNG, **dict(zip(planes, speaker_KFNP.unbind(1), strict=True))}
        for cell_input, weight in self.emotion_from.items():
            gates = torch.baddbmm(gates, inputs[cell_input], weight)
        return gates

    def emotion_state_gates(self, e_KNE: Tensor) -> Tensor:
        """Return ``[r|z|m]`` of (7) from the emotion state, bias of m included ``[K, N, 3E]``."""
        bias_m = nn.functional.pad(self.emotion_bias[:, 3 * self.emotion_dim :], (2 * self.emotion_dim, 0))
        return torch.baddbmm(bias_m[:, None], e_KNE, self.from_emotion)

    def emotion_states(self, x_KND: Tensor, states: LoopStates, layout: PackedLayout, masks: DropoutMasks) -> Tensor:
        """Return the emotion states (7) of all packed turns, dropout included ``[K, N, E]``."""
        gates = self.emotion_gates(x_KND, *states)
        bias_m = self.emotion_bias[:, 3 * self.emotion_dim :]
        mask = masks.emotion_KNE
        mask_inside = mask if self.wiring.feeds_dropped_emotion else None
        if self.engine == "autograd":
            rows_per_step = layout.rows_per_step
            e_KNE = autograd_chain(gates, self.from_emotion, bias_m, self.initial_emotion, mask_inside, rows_per_step)
        else:
            weights = (self.from_emotion, bias_m, self.initial_emotion)
            e_KNE = run_chain(layout.rows_per_step, layout.previous_row, gates, *weights, mask=mask_inside)
        return e_KNE if mask is None or mask_inside is not None else e_KNE * mask


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _masks_by_step(masks: DropoutMasks, layout: PackedLayout) -> Iterator[TurnMasks]:
    rows_per_step = layout.rows_per_step
    listeners_per_step = [step.n_listeners for step in layout.steps]
    yield from map(
        TurnMasks,
        split_by_step(masks.global_KNG, rows_per_step),
        split_by_step(masks.speaker_ZNP, rows_per_step),
        split_by_step(masks.listener_ZLP, listeners_per_step),
    )
