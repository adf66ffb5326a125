"""The packed layout of a batch of dialogues: which turns and which party states every step needs.

The dialogues are sorted by length, longest first. The dialogues that have a turn at step t are then the first
``n_active`` of them, and padding is never computed. Direction 0 reads every dialogue forwards. Direction 1 reads the
real turns of every dialogue in reverse order, so padding never comes first. Both directions have the same lengths, and
one batched product serves both.

Every state that a party ever has is one row of the *state table*. Row 0 is the first state, which all parties share.
Each step appends the new states of its ``n_active`` speakers, then those of its listeners.
:mod:`dialogue_ser.nn.recurrence.state_plan` decides which listeners get a row. No state is moved from step to step: a
party that keeps its state keeps its row, and a step looks the row up. At most two later updates use a row other than
row 0, so backward can fetch a row's gradients from the rows that used it and needs no scatter.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dialogue_ser.nn.recurrence.state_plan import Flags, Indices, StatePlan, plan_states
from dialogue_ser.nn.transfer import send


class Step(NamedTuple):
    """What happens at one step, in all directions and planes.

    A *flat* index counts over the first two axes together: flat state rows index the state table as ``[Z·R]``, and flat
    turns index the packed turns as ``[Z·N]``.

    Args:
        rows: packed turns of the step.
        n_active: number of dialogues that have a turn.
        n_listeners: number of listeners that are updated, of the direction that has more of them. The other direction
            has additional rows that fill the table; they are computed and never used.
        states_before: flat state rows of the speakers and then the listeners, before this step
            ``[Z·(n_active + n_listeners)]``.
        turn_of_listener: for each listener, the flat turn that it listens to ``[Z·n_listeners]``.
        first_use: for each state that the step writes, the flat state row of the first update that uses it. Row 0 if no
            update uses it.
        used_twice: positions in ``first_use`` of the states that a second update uses too.
        second_use: flat state rows of these second updates.
    """

    rows: slice
    n_active: int
    n_listeners: int
    states_before: Int[Tensor, " row"]
    turn_of_listener: Int[Tensor, " listener"]
    first_use: Int[Tensor, " row"]
    used_twice: Int[Tensor, " shared"]
    second_use: Int[Tensor, " shared"]


@dataclass(frozen=True, kw_only=True)
class PackedLayout:
    """The packed turns of a batch, its state table, and its steps.

    Args:
        turn_of_row: for each direction, the position of every packed turn in the flattened ``[B·T]`` ``[K, N]``.
        previous_row: packed turn before each packed turn, without those of the first step.
        dialogue_and_step: dialogue (in sorted order) and step of every packed turn ``[2, N]``.
        steps: one step per turn of the longest dialogue.
        n_states: number of rows of the state table, the first state included.
        n_listener_updates: number of listener rows of all steps.
        speaker_states_before: flat state rows of all speakers before their turns ``[Z·N]``.
        speaker_states_after: flat state rows of all speakers after their turns ``[Z·N]``.
        listener_states_before: flat state rows of all listeners before their updates ``[Z·n_listener_updates]``.
        is_from_start: for each direction, whether the update that wrote a state row used the first state ``[K, R]``.
    """

    turn_of_row: Int[Tensor, "direction row"]
    previous_row: Int[Tensor, " later"]
    dialogue_and_step: Int[Tensor, "2 row"]
    steps: tuple[Step, ...]
    n_states: int
    n_listener_updates: int
    speaker_states_before: Int[Tensor, " state"]
    speaker_states_after: Int[Tensor, " state"]
    listener_states_before: Int[Tensor, " listener"]
    is_from_start: Bool[Tensor, "direction table_row"]

    @property
    def n_rows(self) -> int:
        """Number of packed turns, N: the real turns of the batch."""
        return int(self.turn_of_row.shape[1])

    @property
    def n_dialogues(self) -> int:
        """Number of dialogues, B."""
        return self.steps[0].n_active

    @property
    def rows_per_step(self) -> list[int]:
        """Number of packed turns of each step."""
        return [step.n_active for step in self.steps]

    def unpacked(self, rows_KNH: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return rows of packed turns in the order of the dialogues ``[K, B, T, H]``; 0 on padding.

        Args:
            rows_KNH: one row per packed turn of each direction.
            shape: (B, T) of the batch.
        """
        n_directions, n_turns = len(self.turn_of_row), shape[0] * shape[1]
        direction = torch.arange(n_directions, device=rows_KNH.device)[:, None]
        turns = (self.turn_of_row + direction * n_turns).flatten()
        padded = rows_KNH.new_zeros(n_directions * n_turns, rows_KNH.shape[-1])
        return padded.index_copy(0, turns, rows_KNH.flatten(0, 1)).view(n_directions, *shape, -1)


def build_layout(
    speaker_BT: Int[Tensor, "batch turn"],
    n_turns_B: Int[Tensor, " batch"],
    *,
    bidirectional: bool,
    n_planes: int = 1,
    updates_listeners: bool = True,
    device: torch.device | None = None,
) -> PackedLayout:
    """Plan the recurrence over a batch. The plan is computed on the host.

    Args:
        speaker_BT: party number of each turn, counted within its dialogue, ≥ 0. Values on padding are ignored.
        n_turns_B: number of real turns of each dialogue, ≥ 1.
        bidirectional: True: also plan the reversed dialogues.
        n_planes: number of states per party, J. Z = directions · J, with the planes of a direction side by side.
        updates_listeners: True: listeners get new states. False: they keep their states.
        device: device of the indices; None means the device of ``speaker_BT``.
    """
    packed = pack_turns(n_turns_B, n_padded=speaker_BT.shape[1], n_directions=2 if bidirectional else 1)
    speaker_turns = speaker_BT.detach().cpu().numpy().reshape(-1)[packed.turn_KBT]
    party_KBT = np.unique(speaker_turns, return_inverse=True)[1].reshape(speaker_turns.shape)
    plan = plan_states(party_KBT, packed.is_real_BT, looks_ahead=bidirectional, updates_listeners=updates_listeners)

    of_batch, of_steps = packed.indices() | plan.indices_of_batch(n_planes), plan.indices_of_steps(n_planes)
    # All indices are sent as one tensor: a GPU then needs one copy per batch instead of five per step.
    arrays = [*of_batch.values(), *(np.concatenate(pieces) for pieces in of_steps.values())]
    tensors = dict(zip([*of_batch, *of_steps], send(arrays, device or speaker_BT.device), strict=True))
    n_directions = len(party_KBT)
    by_step = {name: torch.split(tensors[name], [len(piece) for piece in of_steps[name]]) for name in of_steps}
    return PackedLayout(
        turn_of_row=tensors["turn_of_row"].view(n_directions, -1),
        previous_row=tensors["previous_row"],
        dialogue_and_step=tensors["dialogue_and_step"].view(2, -1),
        steps=_build_steps(plan, by_step),
        n_states=plan.n_states,
        n_listener_updates=int(plan.n_listeners_T.sum()),
        speaker_states_before=tensors["speaker_states_before"],
        speaker_states_after=tensors["speaker_states_after"],
        listener_states_before=tensors["listener_states_before"],
        is_from_start=tensors["is_from_start"].view(n_directions, -1).bool(),
    )


def _build_steps(plan: StatePlan, indices: dict[str, tuple[Tensor, ...]]) -> tuple[Step, ...]:
    """Return the steps. ``indices`` has one tensor per step for each field of :class:`Step` that holds indices."""
    steps, first_row = [], 0
    sizes = zip(plan.n_active_T.tolist(), plan.n_listeners_T.tolist(), strict=True)
    for t, (n_active, n_listeners) in enumerate(sizes):
        rows = slice(first_row, first_row + n_active)
        of_step = {field: tensors[t] for field, tensors in indices.items()}
        steps.append(Step(rows=rows, n_active=n_active, n_listeners=n_listeners, **of_step))
        first_row += n_active
    return tuple(steps)


@dataclass(frozen=True, kw_only=True)
class PackedTurns:
    """The turns of a batch, dialogues sorted by length, and their packed order: step by step."""

    is_real_BT: Flags
    turn_KBT: Indices  # position in the flattened batch of the turn that a direction reads at a step
    dialogue_N: Indices
    step_N: Indices

    def indices(self) -> dict[str, Indices]:
        """Return the indices of the packed turns; the keys are fields of :class:`PackedLayout`."""
        n_active = self.is_real_BT.sum(0)
        return {
            "turn_of_row": self.turn_KBT[:, self.dialogue_N, self.step_N],
            "previous_row": np.arange(n_active[0], len(self.step_N)) - np.repeat(n_active[:-1], n_active[1:]),
            "dialogue_and_step": np.stack([self.dialogue_N, self.step_N]),
        }


def pack_turns(n_turns_B: Tensor, *, n_padded: int, n_directions: int) -> PackedTurns:
    """Sort the dialogues by length and number their real turns step by step."""
    n_turns = n_turns_B.detach().cpu().numpy().astype(np.int64)
    order_B = np.argsort(-n_turns, kind="stable")
    lengths_B1 = n_turns[order_B][:, None]
    forwards_T = np.arange(int(lengths_B1[0, 0]))
    is_real_BT = lengths_B1 > forwards_T
    turn_KBT = np.stack([np.where(is_real_BT, forwards_T, 0), np.where(is_real_BT, lengths_B1 - 1 - forwards_T, 0)])
    dialogue, step = np.nonzero(is_real_BT)
    by_step = np.argsort(step, kind="stable")
    return PackedTurns(
        is_real_BT=is_real_BT,
        turn_KBT=order_B[:, None] * n_padded + turn_KBT[:n_directions],
        dialogue_N=dialogue[by_step],
        step_N=step[by_step],
    )
