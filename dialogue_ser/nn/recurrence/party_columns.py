"""The states of all parties as one tensor ``[K, n, columns, H]``: which column a speaker reads and writes at each step.

Column 0 is the bystander: the state that all parties share that have not spoken yet. A party takes the next free column
when it first speaks. So a turn only depends on turns before it, and parties without turns cost nothing.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from dialogue_ser.nn.recurrence.layout import pack_turns
from dialogue_ser.nn.recurrence.state_plan import Flags, Indices
from dialogue_ser.nn.transfer import send


class ColumnStep(NamedTuple):
    """The columns of one step. A *flat* index counts over ``[K, n, columns]``.

    Args:
        n_active: number n of dialogues that have a turn; they are the longest ones.
        n_columns: number of columns before the step.
        n_columns_after: number of columns after it.
        read: flat index of the speakers' states before the step ``[K · n]``.
        write: flat index of the same parties after the step.
    """

    n_active: int
    n_columns: int
    n_columns_after: int
    read: Int[Tensor, " row"]
    write: Int[Tensor, " row"]


def plan_columns(
    speaker_BT: Tensor, n_turns_B: Tensor, *, bidirectional: bool, device: torch.device
) -> tuple[ColumnStep, ...]:
    """One step per turn of the longest dialogue, planned on the CPU.

    Args:
        speaker_BT: party number of each turn, on the CPU. Only who equals whom matters. Padding is ignored.
        n_turns_B: number of real turns per dialogue, on the CPU.
        bidirectional: also plan the reversed dialogues.
        device: device of the indices.
    """
    packed = pack_turns(n_turns_B, n_padded=speaker_BT.shape[1], n_directions=2 if bidirectional else 1)
    is_real_KBT = np.broadcast_to(packed.is_real_BT, packed.turn_KBT.shape)
    column_KBT, is_first_KBT = _columns(speaker_BT.numpy().reshape(-1)[packed.turn_KBT], is_real_KBT)
    spoken_T = is_first_KBT.cumsum(-1).max((0, 1))  # parties that have spoken, of the dialogue that has most
    after_T = 1 + spoken_T
    before_T = np.concatenate([[1], after_T[:-1]])
    step_N, direction_N, dialogue_N = np.nonzero(is_real_KBT.transpose(2, 0, 1))
    active_T = packed.is_real_BT.sum(0)
    place_N = direction_N * active_T[step_N] + dialogue_N
    column_N = column_KBT[direction_N, dialogue_N, step_N]
    before_N = np.where(is_first_KBT[direction_N, dialogue_N, step_N], 0, column_N)
    sizes = (active_T * len(column_KBT)).tolist()
    read, write = (
        torch.split(tensor, sizes)
        for tensor in send(
            [place_N * before_T[step_N] + before_N, place_N * after_T[step_N] + column_N],
            device,
        )
    )
    numbers = (active_T.tolist(), before_T.tolist(), after_T.tolist())
    return tuple(map(ColumnStep, *numbers, read, write))


def _columns(party_KBT: Indices, is_real_KBT: Flags) -> tuple[Indices, Flags]:
    """The column of every real turn's speaker, from 1 in the order of first speaking; whether it speaks first there."""
    direction_N, dialogue_N, _ = real_N = np.nonzero(is_real_KBT)
    row_N = direction_N * is_real_KBT.shape[1] + dialogue_N
    party_N = party_KBT[real_N]
    n_parties = int(party_N.max()) + 1
    _, first_U, own_N = np.unique(row_N * n_parties + party_N, return_index=True, return_inverse=True)
    by_first_U = np.argsort(first_U)
    row_U = row_N[first_U[by_first_U]]
    column_U = np.empty_like(first_U)
    column_U[by_first_U] = 1 + np.arange(len(row_U)) - np.searchsorted(row_U, row_U)
    column_KBT, is_first_KBT = np.zeros(is_real_KBT.shape, dtype=np.int64), np.zeros(is_real_KBT.shape, dtype=bool)
    column_KBT[real_N] = column_U[own_N]
    is_first_KBT[real_N] = first_U[own_N] == np.arange(len(row_N))
    return column_KBT, is_first_KBT
