"""Packed layout of a batch of dialogues: which turns and which speaker states are alive at every step.

Dialogues are sorted by length, longest first, so that those still running at step t are the first ``n_active[t]``.
Direction 0 reads every dialogue forwards, direction 1 reads its true reversal (not the reversal of the padded row);
both have the same lengths, so that one batched product steps both.

Speaker states live in a pool of rows. A row exists exactly as long as somebody will read it again:

- a party that has spoken and will speak again keeps a row; once it has spoken for the last time nobody reads it;
- all parties that have not spoken yet have listened to the same turns from the same initial state, so they share ONE
  row, the bystander, for as long as somebody is still to speak for the first time.

One direction alone (a causal model) does not look ahead: it keeps the row of everybody who has spoken and the
bystander's, as a stream would have to, so that not even the rounding of a turn depends on what comes after it.

The pool after step t holds the states of the ``n_active[t]`` speakers followed by those of the listeners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens at one step of the recurrence, for all directions.

    Args:
        n_active: dialogues that have a turn at this step.
        first_row: packed row of the first of them.
        source: for each direction, pool rows (of the previous step) of the speakers, then of the listeners
            ``[directions, n_active + n_listeners]``.
        heard: for each direction, which active dialogue a listener hears ``[directions, n_listeners]``.
        first_listener: position of the first listener among all listener updates of the batch (for dropout masks).
    """

    n_active: int
    first_row: int
    source: Int[Tensor, "direction row"]
    heard: Int[Tensor, "direction listener"]
    first_listener: int

    @property
    def n_listeners(self) -> int:
        """Listener rows updated at this step, padded to the larger direction."""
        return int(self.heard.shape[1])


@dataclass(frozen=True, kw_only=True)
class PackedLayout:
    """The plan of a batch: packed rows and the steps over them.

    Args:
        turn_of_row: for each direction, position in the flattened ``[B·T]`` of every packed row ``[directions, N]``.
        row_of_turn: for each direction, packed row of every turn ``[directions, B·T]``; 0 on padding.
        batch_sizes: dialogues active at each step, as ``torch.nn.utils.rnn.PackedSequence`` wants them (on CPU).
        sorted_dialogues: dialogue of each active position ``[B]``.
        steps: one per turn of the longest dialogue.
        n_listener_updates: listener rows over all steps.
    """

    turn_of_row: Int[Tensor, "direction row"]
    row_of_turn: Int[Tensor, "direction turn"]
    batch_sizes: Int[Tensor, " step"]
    sorted_dialogues: Int[Tensor, " batch"]
    steps: tuple[Step, ...]
    n_listener_updates: int

    @property
    def n_rows(self) -> int:
        """N: real turns of the batch."""
        return int(self.turn_of_row.shape[1])


def build_layout(
    speaker_BT: Int[Tensor, "batch turn"],
    n_turns_B: Int[Tensor, " batch"],
    *,
    bidirectional: bool,
) -> PackedLayout:
    """Plan the recurrence over a batch.

    Args:
        speaker_BT: dialogue-local party ids ≥ 0 on real turns; whatever stands on padding is not read.
        n_turns_B: real turns per dialogue, ≥ 1.
        bidirectional: also plan the reversed dialogues.
    """
    speaker = speaker_BT.detach().cpu().numpy().astype(np.int64)
    n_turns = n_turns_B.detach().cpu().numpy().astype(np.int64)
    order = np.argsort(-n_turns, kind="stable")
    n_steps = int(n_turns.max())
    n_padded = speaker.shape[1]
    lengths = n_turns[order]
    batch_sizes = (lengths[None, :] > np.arange(n_steps)[:, None]).sum(1)
    first_row = np.concatenate([[0], np.cumsum(batch_sizes)])
    is_real = lengths[:, None] > np.arange(n_steps)[None, :]

    turn_of_row, row_of_turn, plans = [], [], []
    for direction in range(2 if bidirectional else 1):
        position = np.arange(n_steps)[None, :].repeat(len(order), 0)
        if direction == 1:
            position = np.where(is_real, lengths[:, None] - 1 - position, 0)
        turn = order[:, None] * n_padded + position
        turns = np.concatenate([turn[:size, t] for t, size in enumerate(batch_sizes)])
        rows = np.zeros(speaker.size, dtype=np.int64)
        rows[turns] = np.arange(len(turns))
        turn_of_row.append(turns)
        row_of_turn.append(rows)
        plans.append(_plan_states(speaker.reshape(-1)[turn], is_real, looks_ahead=bidirectional))

    device = speaker_BT.device
    steps, first_listener = [], 0
    for t in range(n_steps):
        n_active = int(batch_sizes[t])
        n_listeners = max(len(plan[t][1]) for plan in plans)
        source = np.stack([_pad(plan[t][0], n_active + n_listeners) for plan in plans])
        heard = np.stack([_pad(plan[t][1], n_listeners) for plan in plans])
        steps.append(
            Step(
                n_active=n_active,
                first_row=int(first_row[t]),
                source=torch.from_numpy(source).to(device),
                heard=torch.from_numpy(heard).to(device),
                first_listener=first_listener,
            )
        )
        first_listener += n_listeners
    return PackedLayout(
        turn_of_row=torch.from_numpy(np.stack(turn_of_row)).to(device),
        row_of_turn=torch.from_numpy(np.stack(row_of_turn)).to(device),
        batch_sizes=torch.from_numpy(batch_sizes.astype(np.int64)),
        sorted_dialogues=torch.from_numpy(order.astype(np.int64)).to(device),
        steps=tuple(steps),
        n_listener_updates=first_listener,
    )


def _pad(rows: Indices, length: int) -> Indices:
    """Repeat row 0 up to a length: the extra rows are computed and never read."""
    return np.concatenate([rows, np.zeros(length - len(rows), dtype=np.int64)])


def _plan_states(
    speaker: Indices, is_real: NDArray[np.bool_], *, looks_ahead: bool
) -> Sequence[tuple[Indices, Indices]]:
    """Per step: pool rows to take (speakers, then listeners) and the dialogue each listener hears, in one direction.

    Args:
        speaker: ``[B, T]`` sorted by length, in reading order.
        is_real: ``[B, T]``.
        looks_ahead: drop states nobody will read again.
    """
    n_dialogues, n_steps = speaker.shape
    speaker = np.where(is_real, speaker, 0)
    n_parties = int(speaker.max()) + 1
    says = (speaker[:, :, None] == np.arange(n_parties)) & is_real[:, :, None]  # [B, T, P]
    never = n_steps + 1
    first = np.where(says.any(1), says.argmax(1), never)  # [B, P]
    last = np.where(says.any(1), n_steps - 1 - says[:, ::-1].argmax(1), -1)
    last_entry = np.where(first == never, -1, first).max(1)  # [B]: when the last new voice joins
    if not looks_ahead:
        last, last_entry = np.full_like(last, never), np.full_like(last_entry, never)

    dialogue = np.arange(n_dialogues)
    plan = []
    # where a state lies in the pool of the previous step: parties, then the bystander; before step 0 all are row 0
    where = np.zeros((n_dialogues, n_parties + 1), dtype=np.int64)
    for t in range(n_steps):
        n_active = int(is_real[:, t].sum())
        active, speaking = dialogue[:n_active], speaker[:n_active, t]
        enters = first[active, speaking] == t
        speakers_from = np.where(enters, where[active, n_parties], where[active, speaking])
        listens = (first[:n_active] < t) & (last[:n_active] > t)
        listens[active, speaking] = False
        listens = np.concatenate([listens, (last_entry[:n_active] > t)[:, None]], axis=1)
        heard, slot = np.nonzero(listens)
        plan.append((np.concatenate([speakers_from, where[heard, slot]]), heard.astype(np.int64)))
        where[active, speaking] = active
        where[heard, slot] = n_active + np.arange(len(heard))
    return plan
