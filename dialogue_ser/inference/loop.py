"""The one loop that applies a system to batches of dialogues. Training, prediction and cross-fitting all use it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.tensors import ScoresBTS

#: Largest number of turns in a batch, padding included. It keeps batches of very long dialogues small, and lets many
#: short dialogues share a batch.
MAX_BATCH_TURNS = 4096


def model_outputs(
    system: DialogueSystem,
    batches: Iterable[tuple[Sequence[int], DialogueBatch]],
    *,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    with_attention: bool = False,
) -> Iterator[tuple[Sequence[int], DialogueBatch, Output]]:
    """Apply the system to every batch, in evaluation mode and without gradients.

    Args:
        system: the model. Afterwards it is in the mode (training or evaluation) in which it was before.
        batches: pairs (indices of the dialogues, their batch).
        device: device of the system.
        autocast: context in which the forward pass runs. It decides the precision.
        with_attention: whether the output contains attention weights.

    Yields:
        (indices of the dialogues, their batch on the device, output of the system).
    """
    was_training = system.training
    system.eval()
    try:
        for indices, loaded in batches:
            batch = loaded.to(device)
            with torch.no_grad(), autocast():  # around a yield, it would stay on in the code of the caller
                output = system(batch, return_attention=with_attention)
            yield indices, batch, output
    finally:
        system.train(was_training)


class TurnTable:
    """A table with one row of numbers per turn. It is filled batch by batch.

    Args:
        dialogues: dialogues whose turns are the rows, in this order.
        width: numbers per turn.
        device: device of the table. The table is moved to the host only once, at the end.
    """

    def __init__(self, dialogues: Sequence[Dialogue], width: int, device: torch.device) -> None:
        self._first_row = np.cumsum([0, *(len(dialogue) for dialogue in dialogues)])
        n_turns = int(self._first_row[-1])
        self.values_NS = torch.zeros(n_turns, width, dtype=torch.float64, device=device)
        self.n_seen_N = torch.zeros(n_turns, dtype=torch.int64, device=device)

    def put(self, indices: Sequence[int], batch: DialogueBatch, values_BTS: ScoresBTS) -> None:
        """Fill in the rows of the dialogues of one batch."""
        rows = torch.cat([torch.arange(self._first_row[i], self._first_row[i + 1]) for i in indices])
        rows = rows.to(self.values_NS.device)
        self.values_NS[rows] = values_BTS[batch.is_real_turn].double()
        self.n_seen_N[rows] += 1

    def check(self) -> Tensor:
        """Return the table, after a check that every row was filled exactly once."""
        assert bool((self.n_seen_N == 1).all()), "a turn was predicted never or twice"
        return self.values_NS


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield batches of dialogue indices. A batch has dialogues of similar length and at most MAX_BATCH_TURNS turns.

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
