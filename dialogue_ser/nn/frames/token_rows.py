"""Group rows of token ids into forward passes. A row is one sequence, or the rows of a dialogue are joined."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dialogue_ser.nn.transfer import send

#: The shortest row of a forward pass has at least this share of the tokens of the longest row.
LEAST_FILLED = 0.85
#: Largest number of tokens of a forward pass, padding included. It limits the memory that long rows need.
MOST_TOKENS = 8192


@dataclass(frozen=True)
class ForwardPass:
    """The sequences of one forward pass.

    Args:
        ids_NL: token ids, ``padding_id`` beyond the end of a sequence.
        is_own_NL: True for tokens of the turn itself, which pooling uses; False for special tokens and neighbours.
        is_token_NL: False on padding; None = there is no padding.
    """

    ids_NL: Int[Tensor, "row length"]
    is_own_NL: Bool[Tensor, "row length"]
    is_token_NL: Bool[Tensor, "row length"] | None

    @classmethod
    def of(
        cls, values_NL: Int[Tensor, "row length"], is_token_NL: Bool[Tensor, "row length"] | None, padding_id: int
    ) -> "ForwardPass":
        """Build it from numbers ``2 · id + is_own``; the numbers on padding are not used."""
        ids_NL, is_own_NL = values_NL >> 1, (values_NL & 1).bool()
        if is_token_NL is not None:
            ids_NL = ids_NL.masked_fill(~is_token_NL, padding_id)
            is_own_NL = is_own_NL & is_token_NL
        return cls(ids_NL, is_own_NL, is_token_NL)


def group_by_length(
    lengths: Sequence[int], least_filled: float = LEAST_FILLED, most_tokens: int = MOST_TOKENS
) -> tuple[list[int], list[int]]:
    """Sort rows from long to short, and cut this order into groups of similar lengths, one per forward pass.

    Args:
        lengths: number of tokens per row.
        least_filled: the shortest row of a group has at least this share of the tokens of the longest row.
        most_tokens: largest number of tokens of a group, padding included; a group of one row may have more.

    Returns:
        The rows in their order, and the ends of the groups in this order.

    >>> group_by_length([3, 40, 39, 3])
    ([1, 2, 0, 3], [2, 4])
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    ends: list[int] = []
    start = 0
    for i, row in enumerate(order):
        longest = lengths[order[start]]
        is_full = (i + 1 - start) * longest > most_tokens
        if i > start and (is_full or lengths[row] < least_filled * longest):
            ends.append(i)
            start = i
    return order, [*ends, len(order)]


class JoinedRows:
    """The turns of each dialogue joined to one sequence, or to a few sequences if the dialogue is long.

    Args:
        lengths_BT: number of tokens of each turn, on the CPU; 0 = the turn is absent.
        most_tokens: a dialogue with more tokens is cut between turns into sequences of about equal length.
    """

    def __init__(self, lengths_BT: Int[Tensor, "group row"], most_tokens: int) -> None:
        self.n_rows = lengths_BT.numel()
        sequences = []
        for first, lengths in zip(range(0, self.n_rows, lengths_BT.shape[1]), lengths_BT.tolist(), strict=True):
            rows = [(first + t, n) for t, n in enumerate(lengths) if n]
            sequences += cut_evenly(rows, most_tokens) if rows else []
        order, ends = group_by_length([sum(n for _, n in sequence) for sequence in sequences])
        groups = [[sequences[i] for i in order[start:stop]] for start, stop in pairwise([0, *ends])]
        #: For each pass, the row of every token and its position in this row; −1 on padding.
        self._rows = [_token_table(group, lambda row, n: np.full(n, row)) for group in groups]
        self._positions = [_token_table(group, lambda _row, n: np.arange(n)) for group in groups]

    def passes(self, values_ML: Int[Tensor, "row length"], padding_id: int) -> list[ForwardPass]:
        """The forward passes.

        Args:
            values_ML: numbers ``2 · id + is_own``; numbers beyond the end of a row are not used.
            padding_id: id of the padding token.
        """
        passes = []
        for row_NL, position_NL in zip(self._rows, self._positions, strict=True):
            [index_V] = send([row_NL * values_ML.shape[1] + position_NL], values_ML.device)
            values_NL = values_ML.flatten()[index_V.clamp_min(0)].view(row_NL.shape)
            is_token_NL = (index_V >= 0).view(row_NL.shape) if (row_NL < 0).any() else None
            passes.append(ForwardPass.of(values_NL, is_token_NL, padding_id))
        return passes

    def pool(
        self, x_VD: Float[Tensor, "token dim"], passes: Sequence[ForwardPass], *, first_only: bool
    ) -> Float[Tensor, "row dim"]:
        """The mean over each row's own tokens, or the state of its first token; 0 for a row without tokens.

        Args:
            x_VD: states of the tokens of all passes, flattened.
            passes: the result of :meth:`passes`.
            first_only: take the first token of each row instead of the mean.
        """
        flat = [np.concatenate([table_NL.ravel() for table_NL in tables]) for tables in (self._positions, self._rows)]
        position_V, row_V = send(flat, x_VD.device)
        is_used_V = position_V == 0 if first_only else torch.cat([one.is_own_NL.flatten() for one in passes])
        is_used_V1 = is_used_V[:, None].to(x_VD.dtype)
        row_V = row_V.clamp_min(0)  # padding has row −1, but it is not used
        sum_MD = x_VD.new_zeros(self.n_rows, x_VD.shape[1]).index_add(0, row_V, x_VD * is_used_V1)
        count_M1 = x_VD.new_zeros(self.n_rows, 1).index_add(0, row_V, is_used_V1)
        return sum_MD / count_M1.clamp_min(1.0)


def _token_table(
    sequences: Sequence[Sequence[tuple[int, int]]], values_of: Callable[[int, int], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """A table with one number per token, one sequence per line; −1 on padding. The first sequence is the longest."""
    table_NL = np.full((len(sequences), sum(n for _, n in sequences[0])), -1)
    for i, sequence in enumerate(sequences):
        values = np.concatenate([values_of(row, n) for row, n in sequence])
        table_NL[i, : len(values)] = values
    return table_NL


def cut_evenly(rows: Sequence[tuple[int, int]], most_tokens: int) -> list[list[tuple[int, int]]]:
    """Distribute rows over as few sequences as possible, of about equal lengths; a row is never cut.

    Args:
        rows: pairs of the number of a row and its number of tokens.
        most_tokens: largest number of tokens of a sequence, unless a single row has more.

    >>> cut_evenly([(0, 4), (1, 4), (2, 4), (3, 4)], 12)
    [[(0, 4), (1, 4)], [(2, 4), (3, 4)]]
    """
    total = sum(n for _, n in rows)
    mean_length = total / ceil(total / most_tokens)
    sequences: list[list[tuple[int, int]]] = [[]]
    n_tokens = 0
    for row, n in rows:
        # A row joins the sequence in which more than half of it lies, unless the sequence would become too long.
        is_beyond_mean = n_tokens + n / 2 > mean_length and len(sequences) * mean_length < total
        if sequences[-1] and (is_beyond_mean or n_tokens + n > most_tokens):
            sequences.append([])
            n_tokens = 0
        sequences[-1].append((row, n))
        n_tokens += n
    return sequences
