"""THE loop that asks a system about dialogues: training, prediction, estimators and cross-fitting all go through it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.tensors import ScoresBTS

#: Padded turns a batch: few enough for 500-turn dialogues side by side, enough for short ones to share a step.
MAX_BATCH_TURNS = 4096


def model_outputs(
    system: DialogueSystem,
    batches: Iterable[tuple[Sequence[int], DialogueBatch]],
    *,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    with_attention: bool = False,
) -> Iterator[tuple[Sequence[int], DialogueBatch, Output]]:
    """Every batch through the system in eval mode, without gradients.

    Args:
        system: is put back into the mode it was in.
        batches: (which dialogues, their batch).
        device: where the system is.
        autocast: precision of the forward pass.
        with_attention: also ask for attention.

    Yields:
        (which dialogues, their batch on the device, what the system says of it).
    """
    was_training = system.training
    system.eval()
    try:
        for indices, loaded in batches:
            batch = loaded.to(device)
            with torch.no_grad(), autocast():  # never around a yield, which would leave it on for the caller
                output = system(batch, return_attention=with_attention)
            yield indices, batch, output
    finally:
        system.train(was_training)


class TurnTable:
    """One row of numbers per turn of some dialogues, filled batch by batch.

    Args:
        dialogues: whose turns the rows are, in order.
        width: numbers per turn.
        device: where it is kept; it is read once, at the end.
    """

    def __init__(self, dialogues: Sequence[Dialogue], width: int, device: torch.device) -> None:
        self._first_row = np.cumsum([0, *(len(dialogue) for dialogue in dialogues)])
        n_turns = int(self._first_row[-1])
        self.values_NS = torch.zeros(n_turns, width, dtype=torch.float64, device=device)
        self.n_seen_N = torch.zeros(n_turns, dtype=torch.int64, device=device)

    def put(self, indices: Sequence[int], batch: DialogueBatch, values_BTS: ScoresBTS) -> None:
        """The rows of a batch's dialogues."""
        rows = torch.cat([torch.arange(self._first_row[i], self._first_row[i + 1]) for i in indices])
        rows = rows.to(self.values_NS.device)
        self.values_NS[rows] = values_BTS[batch.is_real_turn].double()
        self.n_seen_N[rows] += 1

    def check(self) -> Tensor:
        """The table, in which every turn must stand exactly once."""
        assert bool((self.n_seen_N == 1).all()), "a turn was predicted never or twice"
        return self.values_NS


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices of dialogues of similar length, so that little is padded, within MAX_BATCH_TURNS.

    >>> list(batches_by_length([3000, 2, 2500, 1], batch_size=2))
    [[3, 1], [2], [0]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * lengths[index] > MAX_BATCH_TURNS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
