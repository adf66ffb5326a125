"""The recurrence under every dialogue RNN: global, party and emotion GRUs over packed dialogues (docs/equations.md).

One engine carries EmotionRNN and DialogueRNN; :mod:`dialogue_ser.nn.recurrence.wiring` says which cell reads what.
Departures from writing the equations down turn by turn and party by party, all exact:

- products with x are one product per cell before the loop, for both directions and all turns;
- both directions step together, as a batch of products (direction K first in every tensor);
- padding is never computed: dialogues are sorted by length and the active batch shrinks;
- what a listener's cell reads is computed once per turn, not once per party;
- silent parties share one state; states nobody will read again are not updated; a held state is not even moved;
- matrices that multiply the same state are stored joined, so that a state is multiplied once a turn;
- the emotion GRU, which feeds nothing back, runs after the loop.

Two engines compute the loop: :mod:`dialogue_ser.nn.recurrence.manual` (one autograd node, backward by hand) and
:meth:`DialogueRecurrence.loop`, which autograd follows and people can read.
"""

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.attention import Running
from dialogue_ser.nn.gru.cells import DropoutMasks, draw_mask, split_by_step
from dialogue_ser.nn.recurrence.chain import Chain, read_chain
from dialogue_ser.nn.recurrence.layout import PackedLayout, build_layout
from dialogue_ser.nn.recurrence.manual import ManualRecurrence, Settings
from dialogue_ser.nn.recurrence.parameters import RecurrenceParameters, key
from dialogue_ser.nn.recurrence.turn import TurnInputs, TurnMasks, turn
from dialogue_ser.tensors import FeaturesBTD, SpeakerBT, TurnsB

MANUAL_KINDS = ("simple", "simple-linear", "dot", "general", "general2", "general2-tanh")


Args = ParamSpec("Args")
Result = TypeVar("Result")


def _left_out_of_compile(forward: Callable[Args, Result]) -> Callable[Args, Result]:
    """As ``torch.compiler.disable``, which would import the compiler (over a second) for those who never compile."""

    @wraps(forward)
    def chosen(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        if not torch.compiler.is_compiling():
            return forward(*args, **kwargs)
        result: Result = torch.compiler.disable(forward)(*args, **kwargs)  # type: ignore[no-untyped-call]
        return result

    return chosen


class Recurred(NamedTuple):
    """What the loop leaves behind, packed rows per direction.

    Args:
        g_KNG: global states.
        felt_KFNP: the speaker's states after its own turn, of the planes that the emotion chain reads.
    """

    g_KNG: Tensor
    felt_KFNP: Tensor


class DialogueRecurrence(RecurrenceParameters):
    """x, who speaks → emotion states ē (equations (1) to (8) of docs/equations.md).

    Args: as :class:`RecurrenceParameters`.
    """

    @property
    def output_dim(self) -> int:
        """Size of ē: E per direction."""
        return self.n_directions * self.emotion_dim

    @_left_out_of_compile  # the plan of a batch is data: there is nothing to trace
    def forward(
        self, x_BTD: FeaturesBTD, speaker_BT: SpeakerBT, n_turns_B: TurnsB, *, return_attention: bool = False
    ) -> tuple[Float[Tensor, "batch turn hidden"], dict[str, Tensor]]:
        """ē of every turn (0 on padding), and per direction the attention ``[B, T, T]`` if asked for.

        Under autocast the products with x follow it; the recurrence itself stays in full precision: its products are
        small and its states are carried far.
        """
        layout = self.layout(speaker_BT, n_turns_B, x_BTD.device)
        x_KND = x_BTD.flatten(0, 1).index_select(0, layout.turn_of_row.flatten())
        x_KND = x_KND.view(self.n_directions, layout.n_rows, -1)
        inputs = self.inputs(x_KND)
        with torch.autocast(x_BTD.device.type, enabled=False):
            masks = self.draw_masks(layout)
            recurred = self.recur(inputs, layout, masks)
            e_KNE = self.read_emotions(x_KND.to(recurred.g_KNG.dtype), recurred, layout, masks)
        n_dialogues, n_turns = speaker_BT.shape
        direction = torch.arange(self.n_directions, device=x_BTD.device)[:, None]
        turns = (layout.turn_of_row + direction * (n_dialogues * n_turns)).flatten()

        def unpack(rows_KNH: Tensor) -> Tensor:
            padded = rows_KNH.new_zeros(self.n_directions * n_dialogues * n_turns, rows_KNH.shape[-1])
            padded = padded.index_copy(0, turns, rows_KNH.flatten(0, 1))
            return padded.view(self.n_directions, n_dialogues, n_turns, -1)

        e_BTE = torch.cat(unpack(e_KNE).unbind(0), dim=-1)  # (8)
        attention = (
            self._attention(unpack(recurred.g_KNG), x_BTD, n_turns_B.to(x_BTD.device)) if return_attention else {}
        )
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

    def draw_masks(self, layout: PackedLayout) -> DropoutMasks:
        """Fresh dropout multipliers for every turn and listener of the batch; none outside training."""
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
        """Every product with x, for all turns at once, in full precision whatever it was computed in."""
        biases = {"global": self.global_bias[:, None, : 3 * self.global_dim]}
        biases |= {cell: self._bias(cell)[:, None, : 3 * self.party_dim] for cell in self.wiring.cells}
        x_gates = {}
        for cell, bias in biases.items():
            if key(cell) in self.from_x:
                x_gates[cell] = _full(torch.baddbmm(bias, x_KND, self.from_x[key(cell)]))
            else:
                x_gates[cell] = bias.expand(-1, x_KND.shape[1], -1)
        queries = self.attention.queries(x_KND)
        return TurnInputs(x_gates, None if queries is None else _full(queries))

    def recur(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks) -> Recurred:
        """The loop, by the engine that was chosen."""
        return self.fused(inputs, layout, masks) if self.is_fused else self.loop(inputs, layout, masks)

    @property
    def is_fused(self) -> bool:
        """The backward is written by hand: wanted, and possible with this kind of attention."""
        return self.engine != "autograd" and self.attention.kind in MANUAL_KINDS

    def fused(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks) -> Recurred:
        """The loop as one autograd node, see :mod:`dialogue_ser.nn.recurrence.manual`."""
        settings = Settings(wiring=self.wiring, layout=layout, attention=self.attention.kind, masks=masks)
        cells = tuple(inputs.x_gates)
        g_KNG, felt_KFNP = ManualRecurrence.apply(  # type: ignore[no-untyped-call]
            settings, cells, inputs.query, *inputs.x_gates.values(), *self.cells().weights
        )
        return Recurred(g_KNG, felt_KFNP)

    def loop(self, inputs: TurnInputs, layout: PackedLayout, masks: DropoutMasks) -> Recurred:
        """The loop as autograd follows it."""
        cells, n_z = self.cells(), self.n_directions * len(self.wiring.planes)
        g, pool = self.initial_global.expand(-1, layout.n_dialogues, -1), cells.weights.start_party
        history: Running | list[Tensor] | None = None
        sizes, heard_sizes = [step.n_active for step in layout.steps], [step.n_listeners for step in layout.steps]
        masks_of = (
            split_by_step(masks.global_KNG, sizes),
            split_by_step(masks.speaker_ZNP, sizes),
            split_by_step(masks.listener_ZLP, heard_sizes),
        )
        g_steps, felt_steps = [], []
        for step, *own in zip(layout.steps, *masks_of, strict=True):
            given = TurnInputs(
                {cell: gates[:, step.rows] for cell, gates in inputs.x_gates.items()},
                None if inputs.query is None else inputs.query[:, step.rows],
            )
            # the plan counts rows in a whole batch's pool and turns; here both have grown up to this step only
            start, first_row = torch.arange(n_z, device=pool.device)[:, None], step.rows.start
            source = step.source.view(n_z, -1) - start * (layout.n_states - pool.shape[1])
            heard = step.heard.view(n_z, -1) - start * (layout.n_rows - step.n_active) - first_row
            taken = pool.flatten(0, 1)[source.flatten()].view(n_z, -1, self.party_dim)
            speaker, listener = taken[:, : step.n_active], taken[:, step.n_active :]
            heard = heard.clamp_min(start * step.n_active)  # fillers, which nobody reads, hear anything
            after = turn(
                cells, given, g[:, : step.n_active], history, speaker, listener, heard.flatten(), TurnMasks(*own)
            )
            g, history = after.g, after.history
            pool = torch.cat([pool, after.speaker, after.listener], dim=1)
            g_steps.append(g)
            felt_steps.append(after.speaker.view(self.n_directions, -1, *after.speaker.shape[1:]))
        felt = torch.cat(felt_steps, dim=2)
        felt = torch.stack([felt[:, j] for j in self.wiring.planes_felt], dim=1)  # a list as index would wait for a GPU
        return Recurred(torch.cat(g_steps, dim=1), felt)

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

    def read_emotions(self, x_KND: Tensor, recurred: Recurred, layout: PackedLayout, masks: DropoutMasks) -> Tensor:
        """(7) over the whole packed sequence, dropout included ``[K, N, E]``."""
        gates = self.emotion_gates(x_KND, *recurred)
        bias_m = self.emotion_bias[:, 3 * self.emotion_dim :]
        mask = masks.emotion_KNE
        inside = mask if self.wiring.feeds_dropped_emotion else None
        if self.engine == "autograd":
            e_KNE = read_chain(gates, self.from_emotion, bias_m, self.initial_emotion, inside, layout.steps)
        else:
            e_KNE = Chain.apply(layout, inside, gates, self.from_emotion, bias_m, self.initial_emotion)  # type: ignore[no-untyped-call]
        return e_KNE if mask is None or inside is not None else e_KNE * mask

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


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
