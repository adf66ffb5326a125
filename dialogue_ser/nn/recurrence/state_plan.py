"""Decide which party states a batch needs, number them, and find the state that each update uses.

:mod:`dialogue_ser.nn.recurrence.layout` describes the state table. A listener gets a new row there only if a later step
uses it:

- A party listens between its first and its last turn. After its last turn no step uses its state.
- The parties that have not spoken yet all have the same state, because they began with the same state and listened to
  the same turns. They share ONE row per step, called the bystander. It is updated until every party has spoken.

A forward-only (causal) model must not know the future. There, every party that has spoken is updated until the end, and
so is the bystander. Otherwise even the rounding of a turn could depend on later turns.

So at most two later updates use a row: a bystander is used by the next bystander and by a party that speaks for the
first time. Row 0, the first state of all parties, may be used more often.

The letters of array names are K direction, T step, B dialogue in sorted order, P party, and R row of the state table.
S is a slot: one per party, and a last one for the bystander. Z is a pair of direction and plane.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class StatePlan:
    """The state table of a batch: for every row, which state its update used and which turn that update belongs to."""

    n_active_T: Indices
    n_listeners_T: Indices
    first_state_T: Indices  # state row of the first speaker of a step
    state_before_KR: Indices
    turn_KR: Indices  # packed turn
    is_update_KR: Flags  # False for the first state and for rows that only fill the table

    @property
    def n_states(self) -> int:
        """Number of state rows, R."""
        return int(self.state_before_KR.shape[1])

    def _flat(self, index_KR: Indices, size: int, n_planes: int) -> Indices:
        """Return the flat index of every plane ``[Z, R]`` into a tensor ``[Z, size, …]``."""
        index_ZR = np.repeat(index_KR, n_planes, axis=0)
        flat: Indices = index_ZR + np.arange(len(index_ZR))[:, None] * size
        return flat

    def indices_of_batch(self, n_planes: int) -> dict[str, Indices]:
        """Return the state rows of all speakers and listeners. The keys are fields of ``PackedLayout``."""
        before_ZR = self._flat(self.state_before_KR, self.n_states, n_planes)
        parts = zip(self.first_state_T, self.n_active_T, strict=True)
        speakers = np.concatenate([np.arange(first, first + n) for first, n in parts])
        is_listener = np.ones(self.n_states, dtype=np.bool_)
        is_listener[speakers], is_listener[0] = False, False
        after_ZN = self._flat(np.broadcast_to(speakers, (len(self.turn_KR), len(speakers))), self.n_states, n_planes)
        return {
            "speaker_states_before": before_ZR[:, speakers],
            "speaker_states_after": after_ZN,
            "listener_states_before": before_ZR[:, is_listener],
            "is_from_start": ((self.state_before_KR == 0) & self.is_update_KR).astype(np.int64),
        }

    def indices_of_steps(self, n_planes: int) -> dict[str, list[Indices]]:
        """Return one array per step. The keys are the fields of ``Step`` that hold indices."""
        first_use_KR, second_use_KR = self._uses()
        before_ZR = self._flat(self.state_before_KR, self.n_states, n_planes)
        turn_ZR = self._flat(self.turn_KR, int(self.n_active_T.sum()), n_planes)
        first_use_ZR = self._flat(first_use_KR, self.n_states, n_planes)
        second_use_ZR = self._flat(second_use_KR, self.n_states, n_planes)
        is_used_twice_ZR = np.repeat(second_use_KR > 0, n_planes, axis=0)
        fields = ("states_before", "turn_of_listener", "first_use", "used_twice", "second_use")
        pieces: dict[str, list[Indices]] = {name: [] for name in fields}
        first_listener_T = self.first_state_T + self.n_active_T
        ends_T = first_listener_T + self.n_listeners_T
        for start, first_listener, end in zip(self.first_state_T, first_listener_T, ends_T, strict=True):
            used_twice = np.flatnonzero(is_used_twice_ZR[:, start:end])
            pieces["states_before"].append(before_ZR[:, start:end].reshape(-1))
            pieces["turn_of_listener"].append(turn_ZR[:, first_listener:end].reshape(-1))
            pieces["first_use"].append(first_use_ZR[:, start:end].reshape(-1))
            pieces["used_twice"].append(used_twice)
            pieces["second_use"].append(second_use_ZR[:, start:end].reshape(-1)[used_twice])
        return pieces

    def _uses(self) -> tuple[Indices, Indices]:
        """Return for every state row the rows of the first and the second update that use it, 0 if there is none."""
        first, second = np.zeros_like(self.state_before_KR), np.zeros_like(self.state_before_KR)
        for k, (before, is_update) in enumerate(zip(self.state_before_KR, self.is_update_KR, strict=True)):
            updates = np.flatnonzero(is_update & (before > 0))
            first[k, before[updates[::-1]]] = updates[::-1]  # the earliest update is written last and stays
            others = updates[first[k, before[updates]] != updates]
            second[k, before[others]] = others
        return first, second


def plan_states(party_KBT: Indices, is_real_BT: Flags, *, looks_ahead: bool, updates_listeners: bool) -> StatePlan:
    """Number all states that are needed and find the state that each update uses.

    Args:
        party_KBT: party that speaks at each step, numbered from 0; dialogues sorted by length.
        is_real_BT: False on padding.
        looks_ahead: True: leave out the states that no later step uses.
        updates_listeners: False: only the speaker's state changes.
    """
    n_active_T = is_real_BT.sum(0)
    # The axis of the steps comes before that of the dialogues, so that states are numbered step by step.
    is_real_TB1 = is_real_BT.T[:, :, None]
    speaks_KTBP = (party_KBT.transpose(0, 2, 1)[..., None] == np.arange(int(party_KBT.max()) + 1)) & is_real_TB1
    first_turn_K1BP = _first_turns(speaks_KTBP)
    listens_KTBS = _who_listens(speaks_KTBP, first_turn_K1BP, is_real_TB1, looks_ahead=looks_ahead)
    if not updates_listeners:
        listens_KTBS[:] = False
    n_listeners_T = listens_KTBS.sum((2, 3)).max(0)
    n_written_T = n_active_T + n_listeners_T
    first_state_T = 1 + np.cumsum(n_written_T) - n_written_T
    row_KTBS = _number_states(speaks_KTBP, listens_KTBS, first_state_T, first_state_T + n_active_T)
    before_KTBS = _states_before(row_KTBS, first_turn_K1BP)

    shape = (len(party_KBT), 1 + int(n_written_T.sum()))
    state_before_KR, turn_KR, is_update_KR = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, bool)
    k, step, dialogue, slot = np.nonzero(row_KTBS)
    row = row_KTBS[k, step, dialogue, slot]
    state_before_KR[k, row] = before_KTBS[k, step, dialogue, slot]
    turn_KR[k, row] = (np.cumsum(n_active_T) - n_active_T)[step] + dialogue
    is_update_KR[k, row] = True
    return StatePlan(
        n_active_T=n_active_T,
        n_listeners_T=n_listeners_T,
        first_state_T=first_state_T,
        state_before_KR=state_before_KR,
        turn_KR=turn_KR,
        is_update_KR=is_update_KR,
    )


def _first_turns(speaks_KTBP: Flags) -> Indices:
    """Return the step of each party's first turn; a step after the end if the party does not speak in a dialogue."""
    after_the_end = speaks_KTBP.shape[1] + 1
    first: Indices = np.where(speaks_KTBP.any(1), speaks_KTBP.argmax(1), after_the_end)[:, None]
    return first


def _who_listens(speaks_KTBP: Flags, first_turn_K1BP: Indices, is_real_TB1: Flags, *, looks_ahead: bool) -> Flags:
    """Return who gets a new state as a listener: one slot per party, and a last slot for the bystander."""
    n_steps = speaks_KTBP.shape[1]
    after_the_end, t = n_steps + 1, np.arange(n_steps)[:, None, None]
    has_spoken_KTBP = first_turn_K1BP < t
    if looks_ahead:
        speaks_at_all_K1BP = speaks_KTBP.any(1, keepdims=True)
        last_turn_K1BP = np.where(speaks_at_all_K1BP, n_steps - 1 - speaks_KTBP[:, ::-1].argmax(1)[:, None], -1)
        last_entry_K1B1 = np.where(speaks_at_all_K1BP, first_turn_K1BP, -1).max(-1, keepdims=True)
        party, bystander = has_spoken_KTBP & (t < last_turn_K1BP), t < last_entry_K1B1
    else:
        party, bystander = has_spoken_KTBP, np.broadcast_to(t < after_the_end, (len(speaks_KTBP), *is_real_TB1.shape))
    return np.concatenate([party & ~speaks_KTBP & is_real_TB1, bystander & is_real_TB1], axis=-1)


def _number_states(
    speaks_KTBP: Flags, listens_KTBS: Flags, first_state_T: Indices, first_listener_T: Indices
) -> Indices:
    """Return the state row that each slot writes at each step, 0 where it writes none."""
    n_directions, n_steps, n_dialogues, _ = listens_KTBS.shape
    rank = listens_KTBS.reshape(n_directions, n_steps, -1).cumsum(-1).reshape(listens_KTBS.shape) - 1
    row_KTBS: Indices = np.where(listens_KTBS, first_listener_T[:, None, None] + rank, 0)
    row_KTBS[..., :-1] += np.where(speaks_KTBP, first_state_T[:, None, None] + np.arange(n_dialogues)[:, None], 0)
    return row_KTBS


def _states_before(row_KTBS: Indices, first_turn_K1BP: Indices) -> Indices:
    """Return the state row that each slot has before each step."""
    before_KTBS = np.zeros_like(row_KTBS)
    # Rows grow with the steps, so the newest state of a slot is its largest row so far.
    before_KTBS[:, 1:] = np.maximum.accumulate(row_KTBS, axis=1)[:, :-1]
    has_not_spoken = first_turn_K1BP >= np.arange(row_KTBS.shape[1])[:, None, None]
    before_KTBS[..., :-1] = np.where(has_not_spoken, before_KTBS[..., -1:], before_KTBS[..., :-1])  # the bystander's
    return before_KTBS
