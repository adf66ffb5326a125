"""Rows of token ids grouped into forward passes, each for itself or the rows of a group joined into one sequence."""

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

#: A forward pass takes rows of like length: the shortest has at least this share of the longest one's tokens.
LEAST_FILLED = 0.85
#: Tokens of a forward pass, padding included, so that long rows of a batch do not meet in one.
MOST_TOKENS = 8192


@dataclass(frozen=True)
class Piece:
    """Sequences of one forward pass.

    Args:
        ids_NL: token ids, ``padding_id`` beyond a sequence's end.
        is_own_NL: whether pooling reads the token.
        is_token_NL: False on padding; None = nothing is padded.
    """

    ids_NL: Int[Tensor, "row length"]
    is_own_NL: Bool[Tensor, "row length"]
    is_token_NL: Bool[Tensor, "row length"] | None

    @classmethod
    def of(
        cls, values_NL: Int[Tensor, "row length"], is_token_NL: Bool[Tensor, "row length"] | None, padding_id: int
    ) -> "Piece":
        """From ``2 · id + is_own``; what stands on padding may be anything."""
        ids_NL, is_own_NL = values_NL >> 1, (values_NL & 1).bool()
        if is_token_NL is not None:
            ids_NL = ids_NL.masked_fill(~is_token_NL, padding_id)
            is_own_NL = is_own_NL & is_token_NL
        return cls(ids_NL, is_own_NL, is_token_NL)


def forward_passes(
    lengths: Sequence[int], least_filled: float = LEAST_FILLED, most_tokens: int = MOST_TOKENS
) -> tuple[list[int], list[int]]:
    """Rows from long to short, and the ends of the pieces that share a forward pass.

    >>> forward_passes([3, 40, 39, 3])
    ([1, 2, 0, 3], [2, 4])
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    ends: list[int] = []
    start = 0
    for place, row in enumerate(order):
        longest = lengths[order[start]]
        is_full = (place + 1 - start) * longest > most_tokens
        if place > start and (is_full or lengths[row] < least_filled * longest):
            ends.append(place)
            start = place
    return order, [*ends, len(order)]


class JoinedRows:
    """Rows of a group (the turns of a dialogue) one after another in one sequence, or in few where they are long.

    Args:
        lengths_BT: tokens per row of each group, on the CPU; 0 = absent.
        most_tokens: groups of more are cut between rows, about equally.
    """

    def __init__(self, lengths_BT: Int[Tensor, "group row"], most_tokens: int) -> None:
        self.n_rows = lengths_BT.numel()
        sequences = []
        for first, lengths in zip(range(0, self.n_rows, lengths_BT.shape[1]), lengths_BT.tolist(), strict=True):
            rows = [(first + t, n) for t, n in enumerate(lengths) if n]
            sequences += cut_evenly(rows, most_tokens) if rows else []
        order, ends = forward_passes([sum(n for _, n in sequence) for sequence in sequences])
        groups = [[sequences[i] for i in order[start:stop]] for start, stop in pairwise([0, *ends])]
        #: Per pass, which row a token belongs to and its place there; −1 on padding.
        self._owners = [_laid_out(group, lambda row, n: np.full(n, row)) for group in groups]
        self._places = [_laid_out(group, lambda _row, n: np.arange(n)) for group in groups]

    def pieces(self, values_ML: Int[Tensor, "row length"], padding_id: int) -> list[Piece]:
        """The passes; ``values_ML`` holds ``2 · id + is_own``, anything beyond a row's end."""
        found = []
        for owner_NL, place_NL in zip(self._owners, self._places, strict=True):
            [at_V] = send([owner_NL * values_ML.shape[1] + place_NL], values_ML.device)
            values_NL = values_ML.flatten()[at_V.clamp_min(0)].view(owner_NL.shape)
            is_token_NL = (at_V >= 0).view(owner_NL.shape) if (owner_NL < 0).any() else None
            found.append(Piece.of(values_NL, is_token_NL, padding_id))
        return found

    def pool(
        self, x_VD: Float[Tensor, "token dim"], pieces: Sequence[Piece], *, first_only: bool
    ) -> Float[Tensor, "row dim"]:
        """Mean over each row's own tokens, or its first token; 0 for rows without one.

        Args:
            x_VD: states of all pieces' tokens, flattened.
            pieces: as :meth:`pieces` gave them.
            first_only: read each row's first token.
        """
        flat = [np.concatenate([one_NL.ravel() for one_NL in laid_out]) for laid_out in (self._places, self._owners)]
        place_V, owner_V = send(flat, x_VD.device)
        is_read_V = place_V == 0 if first_only else torch.cat([piece.is_own_NL.flatten() for piece in pieces])
        is_read_V1 = is_read_V[:, None].to(x_VD.dtype)
        owner_V = owner_V.clamp_min(0)  # padding is not read
        sum_MD = x_VD.new_zeros(self.n_rows, x_VD.shape[1]).index_add(0, owner_V, x_VD * is_read_V1)
        count_M1 = x_VD.new_zeros(self.n_rows, 1).index_add(0, owner_V, is_read_V1)
        return sum_MD / count_M1.clamp_min(1.0)


def _laid_out(
    sequences: Sequence[Sequence[tuple[int, int]]], values_of: Callable[[int, int], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """A value per token, one sequence a row, the longest first; −1 on padding."""
    laid_NL = np.full((len(sequences), sum(n for _, n in sequences[0])), -1)
    for i, sequence in enumerate(sequences):
        values = np.concatenate([values_of(row, n) for row, n in sequence])
        laid_NL[i, : len(values)] = values
    return laid_NL


def cut_evenly(rows: Sequence[tuple[int, int]], most_tokens: int) -> list[list[tuple[int, int]]]:
    """Rows ``(name, tokens)`` in as few sequences as can be, of about equal length; a row is never cut.

    >>> cut_evenly([(0, 4), (1, 4), (2, 4), (3, 4)], 12)
    [[(0, 4), (1, 4)], [(2, 4), (3, 4)]]
    """
    total = sum(n for _, n in rows)
    aim = total / ceil(total / most_tokens)
    sequences: list[list[tuple[int, int]]] = [[]]
    n_tokens = 0
    for row, n in rows:
        # A row goes where more than half of it lies, unless the sequence would grow beyond the limit.
        is_beyond_aim = n_tokens + n / 2 > aim and len(sequences) * aim < total
        if sequences[-1] and (is_beyond_aim or n_tokens + n > most_tokens):
            sequences.append([])
            n_tokens = 0
        sequences[-1].append((row, n))
        n_tokens += n
    return sequences
