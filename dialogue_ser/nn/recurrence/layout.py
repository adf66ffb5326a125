"""Packed layout of a batch of dialogues: which turns and which party states are alive at every step.

Dialogues are sorted by length, longest first, so that those still running at step t are the first ``n_active`` of it.
Direction 0 reads every dialogue forwards, direction 1 reads its true reversal (not the reversal of the padded row);
both have the same lengths, so that one batched product steps both. Padding is never computed.

Every state a party ever has is one row of a pool. Row 0 is where everybody starts; each step appends the new states of
its ``n_active`` speakers, then those of its listeners. Nothing is moved from step to step: a state that is held just
stays where it was written, and who needs it is told its row. Listener rows exist only where somebody will read them:

- a party that has spoken and will speak again listens; once it has spoken for the last time nobody reads it;
- all parties that have not spoken yet have listened to the same turns from the same start, so they share ONE row, the
  bystander, for as long as somebody is still to speak for the first time.

One direction alone (a causal model) does not look ahead: it updates everybody who has spoken and the bystander, as a
stream would have to, so that not even the rounding of a turn depends on what comes after it.

A row is therefore read by at most two later updates (a bystander's by the next bystander and by whoever speaks for the
first time), row 0 apart. So gradients can be fetched by the rows that need them instead of being scattered.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from dialogue_ser.nn.transfer import send

Indices = NDArray[np.int64]


class Step(NamedTuple):
    """What happens at one step, for all directions and planes; flat rows index the flattened ``[Z·R]`` of a pool.

    Args:
        rows: packed turns of the step.
        states: pool rows that the step writes: speakers, then listeners.
        drawn: listener updates of the step among all of the batch.
        n_active: dialogues that have a turn.
        n_listeners: listener rows, padded to the larger direction (the extra ones are computed and never read).
        source: flat pool rows the speakers and listeners come from ``[Z·(n_active + n_listeners)]``.
        heard: flat packed turns (of ``[Z·N]``) that the listeners hear ``[Z·n_listeners]``.
        reader: flat pool row of the first update that reads each state written here, row 0 where nobody does.
        read_twice: positions among ``source`` that a second update reads too.
        second_reader: flat pool rows of those updates.
    """

    rows: slice
    states: slice
    drawn: slice
    n_active: int
    n_listeners: int
    source: Int[Tensor, " row"]
    heard: Int[Tensor, " listener"]
    reader: Int[Tensor, " row"]
    read_twice: Int[Tensor, " shared"]
    second_reader: Int[Tensor, " shared"]


@dataclass(frozen=True, kw_only=True)
class PackedLayout:
    """The plan of a batch: packed rows and the steps over them.

    Args:
        turn_of_row: for each direction, position in the flattened ``[B·T]`` of every packed row ``[directions, N]``.
        previous_row: packed row of the turn before, for all rows but those of the first step.
        place_of_row: dialogue (in sorted order) and step of every packed row ``[2, N]``.
        steps: one per turn of the longest dialogue.
        n_states: rows of the pool, the start included.
        n_listener_updates: listener rows over all steps.
        speaker_source: flat pool rows of all speakers before their turns ``[Z·N]``.
        speaker_state: flat pool rows of all speakers after their turns ``[Z·N]``.
        listener_source: flat pool rows of all listeners before the turns they hear ``[Z·n_listener_updates]``.
        is_start: for each direction, pool rows that come straight from the start ``[directions, R]``.
    """

    turn_of_row: Int[Tensor, "direction row"]
    previous_row: Int[Tensor, " later"]
    place_of_row: Int[Tensor, "2 row"]
    steps: tuple[Step, ...]
    n_states: int
    n_listener_updates: int
    speaker_source: Int[Tensor, " state"]
    speaker_state: Int[Tensor, " state"]
    listener_source: Int[Tensor, " listener"]
    is_start: Bool[Tensor, "direction pool"]

    @property
    def n_rows(self) -> int:
        """N: real turns of the batch."""
        return int(self.turn_of_row.shape[1])

    @property
    def n_dialogues(self) -> int:
        """B."""
        return self.steps[0].n_active


def build_layout(
    speaker_BT: Int[Tensor, "batch turn"],
    n_turns_B: Int[Tensor, " batch"],
    *,
    bidirectional: bool,
    n_planes: int = 1,
    updates_listeners: bool = True,
    device: torch.device | None = None,
) -> PackedLayout:
    """Plan the recurrence over a batch, on the host.

    Args:
        speaker_BT: dialogue-local party ids ≥ 0 on real turns; whatever stands on padding is not read.
        n_turns_B: real turns per dialogue, ≥ 1.
        bidirectional: also plan the reversed dialogues.
        n_planes: J, states per party; Z = directions · J, planes of a direction side by side.
        updates_listeners: plan updates of those who listen.
        device: where the indices are wanted; that of ``speaker_BT`` if None.
    """
    n_turns = n_turns_B.detach().cpu().numpy().astype(np.int64)
    order = np.argsort(-n_turns, kind="stable")
    lengths, n_directions = n_turns[order], 2 if bidirectional else 1
    is_real = lengths[:, None] > np.arange(int(lengths[0]))  # [B, T]
    n_active = is_real.sum(0)
    turn_of_cell = _reading_order(order, lengths, is_real, speaker_BT.shape[1], n_directions)
    dialogue, step = np.nonzero(is_real)
    by_step = np.argsort(step, kind="stable")
    dialogue, step = dialogue[by_step], step[by_step]
    turn_of_row = turn_of_cell[:, dialogue, step]

    spoken = np.unique(speaker_BT.detach().cpu().numpy().reshape(-1)[turn_of_cell], return_inverse=True)[1]
    speaker = spoken.reshape(turn_of_cell.shape)
    pool = _plan_states(speaker, is_real, looks_ahead=bidirectional, updates_listeners=updates_listeners)
    pieces, sizes = pool.flatten(n_planes, n_active)
    previous_row = np.arange(n_active[0], len(step)) - np.repeat(n_active[:-1], n_active[1:])
    # one tensor for all indices: on CUDA one copy, not five a step
    indices = [turn_of_row, previous_row, np.stack([dialogue, step]), *pieces]
    tensors = send(indices, device or speaker_BT.device)
    first_row = np.concatenate([[0], np.cumsum(n_active)]).tolist()
    split = [torch.split(tensor, size) for tensor, size in zip(tensors[3:8], sizes, strict=True)]
    steps = []
    for t, (n, n_listeners) in enumerate(zip(n_active.tolist(), pool.n_listeners.tolist(), strict=True)):
        start, heard_before = int(pool.first_state[t]), int(pool.first_listener[t])
        steps.append(
            Step(
                rows=slice(first_row[t], first_row[t] + n),
                states=slice(start, start + n + n_listeners),
                drawn=slice(heard_before, heard_before + n_listeners),
                n_active=n,
                n_listeners=n_listeners,
                source=split[0][t],
                heard=split[1][t],
                reader=split[2][t],
                read_twice=split[3][t],
                second_reader=split[4][t],
            )
        )
    return PackedLayout(
        turn_of_row=tensors[0].view(n_directions, -1),
        previous_row=tensors[1],
        place_of_row=tensors[2].view(2, -1),
        steps=tuple(steps),
        n_states=pool.source.shape[1],
        n_listener_updates=int(pool.n_listeners.sum()),
        speaker_source=tensors[8],
        speaker_state=tensors[9],
        listener_source=tensors[10],
        is_start=tensors[11].view(n_directions, -1).bool(),
    )


def _reading_order(
    order: Indices, lengths: Indices, is_real: NDArray[np.bool_], n_padded: int, n_directions: int
) -> Indices:
    """Position in the flattened batch of what each direction reads at each step ``[K, B, T]``."""
    forwards = np.broadcast_to(np.arange(is_real.shape[1]), is_real.shape)
    backwards = np.where(is_real, lengths[:, None] - 1 - forwards, 0)
    positions = np.stack([np.where(is_real, forwards, 0), backwards][:n_directions])
    turns: Indices = order[:, None] * n_padded + positions
    return turns


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """Where every state comes from, per direction; see :class:`Step` for the meaning of the lists."""

    n_listeners: Indices  # [T]
    first_state: Indices  # [T], pool row of the first speaker of a step
    first_listener: Indices  # [T]
    source: Indices  # [K, R]
    is_update: NDArray[np.bool_]  # [K, R]: not the start, no filler
    heard: Indices  # [K, R], packed turn; meaningless for speakers

    def flatten(self, n_planes: int, n_active: Indices) -> tuple[list[Indices], list[list[int]]]:
        """Flat index lists, step by step, and their sizes; then speakers' and listeners' rows of the whole batch."""
        n_directions, n_rows = self.source.shape
        n_turns = int(n_active.sum())
        z = np.arange(n_directions * n_planes)[:, None]
        source = np.repeat(self.source, n_planes, axis=0) + z * n_rows
        heard = np.repeat(self.heard, n_planes, axis=0) + z * n_turns
        first, second = self._readers()
        reader = np.repeat(first, n_planes, axis=0) + z * n_rows
        twice = np.repeat(second, n_planes, axis=0)
        lists: list[list[Indices]] = [[], [], [], [], []]
        for start, n, n_listeners in zip(self.first_state, n_active, self.n_listeners, strict=True):
            end = start + n + n_listeners
            lists[0].append(source[:, start:end].reshape(-1))
            lists[1].append(heard[:, start + n : end].reshape(-1))
            lists[2].append(reader[:, start:end].reshape(-1))
            own = twice[:, start:end]
            lists[3].append(np.flatnonzero(own))
            lists[4].append((own + z * n_rows).reshape(-1)[lists[3][-1]])
        speakers = np.concatenate([np.arange(s, s + n) for s, n in zip(self.first_state, n_active, strict=True)])
        is_listener = np.ones(n_rows, dtype=np.bool_)
        is_listener[speakers], is_listener[0] = False, False
        starts = (self.source == 0) & self.is_update
        whole = [source[:, speakers], speakers[None] + z * n_rows, source[:, is_listener], starts.astype(np.int64)]
        sizes = [[len(piece) for piece in pieces] for pieces in lists]
        return [*(np.concatenate(pieces) for pieces in lists), *(part.reshape(-1) for part in whole)], sizes

    def _readers(self) -> tuple[Indices, Indices]:
        """For every row, the first and the second update that reads it; 0 where there is none."""
        first, second = np.zeros_like(self.source), np.zeros_like(self.source)
        for k, (source, is_update) in enumerate(zip(self.source, self.is_update, strict=True)):
            updates = np.flatnonzero(is_update & (source > 0))
            first[k, source[updates[::-1]]] = updates[::-1]
            others = updates[first[k, source[updates]] != updates]
            second[k, source[others]] = others
        return first, second


def _plan_states(speaker: Indices, is_real: NDArray[np.bool_], *, looks_ahead: bool, updates_listeners: bool) -> _Pool:
    """Number every state that is ever needed and find where it comes from.

    Args:
        speaker: ``[K, B, T]`` sorted by length, in reading order, numbered from 0.
        is_real: ``[B, T]``.
        looks_ahead: leave out states nobody will read again.
        updates_listeners: False = nobody but the speaker moves.
    """
    n_directions, n_dialogues, n_steps = speaker.shape
    n_active = is_real.sum(0)
    # one slot per party, the last is the bystander's; steps before dialogues, so that rows are numbered step by step
    real = is_real.T[None, :, :, None]
    says = (speaker.transpose(0, 2, 1)[..., None] == np.arange(int(speaker.max()) + 1)) & real  # [K, T, B, P]
    never, t = n_steps + 1, np.arange(n_steps)[None, :, None, None]
    has_voice = says.any(1, keepdims=True)
    first = np.where(has_voice, says.argmax(1)[:, None], never)
    last = np.where(has_voice, n_steps - 1 - says[:, ::-1].argmax(1)[:, None], -1)
    if not looks_ahead:
        last = np.full_like(last, never)
    last_entry = np.where(first == never, -1, first).max(-1, keepdims=True) if looks_ahead else never
    listens = np.concatenate([(first < t) & (t < last) & ~says & real, (t < last_entry) & real], axis=-1)
    if not updates_listeners:
        listens[:] = False

    of_direction = listens.sum((2, 3))  # [K, T]
    n_listeners = of_direction.max(0)
    first_listener = np.cumsum(n_listeners) - n_listeners
    first_state = 1 + np.cumsum(n_active) - n_active + first_listener
    n_rows = 1 + int(n_active.sum() + n_listeners.sum())
    rank = listens.reshape(n_directions, n_steps, -1).cumsum(-1).reshape(listens.shape) - 1
    written = np.where(listens, (first_state + n_active)[None, :, None, None] + rank, 0)
    written[..., :-1] += np.where(says, first_state[None, :, None, None] + np.arange(n_dialogues)[:, None], 0)
    # rows grow with the steps, so the newest state of a slot is the largest row so far; before its first turn a party
    # is the bystander
    before = np.zeros_like(written)
    before[:, 1:] = np.maximum.accumulate(written, axis=1)[:, :-1]
    before[..., :-1] = np.where(first >= t, before[..., -1:], before[..., :-1])

    source, heard = np.zeros((n_directions, n_rows), np.int64), np.zeros((n_directions, n_rows), np.int64)
    is_update = np.zeros((n_directions, n_rows), np.bool_)
    first_row = np.cumsum(n_active) - n_active
    k, step, dialogue, slot = np.nonzero(written)
    row = written[k, step, dialogue, slot]
    source[k, row] = before[k, step, dialogue, slot]
    heard[k, row] = first_row[step] + dialogue
    is_update[k, row] = True
    return _Pool(
        n_listeners=n_listeners,
        first_state=first_state,
        first_listener=first_listener,
        source=source,
        is_update=is_update,
        heard=heard,
    )
