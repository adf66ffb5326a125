"""Divide the dialogues of an epoch into steps, batches and processes.

The order depends on the seed and on the number of the epoch only, so that any step can be found again after a resume.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.sampler import batches, bucketed, shuffled
from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.training.config.run_config import Sampling

Collate = Callable[[Sequence[Dialogue]], DialogueBatch]
Vary = Callable[[Sequence[Dialogue], int, int], Sequence[Dialogue]]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How one process makes its batches from dialogues.

    Args:
        collate: makes a padded batch from dialogues.
        batch_size: number of dialogues in a batch, over all processes together.
        accumulate: number of batches per optimizer step.
        rank: number of this process, from 0.
        n_ranks: number of processes.
        workers: number of worker processes of the DataLoader.
        pin_memory: whether to put batches into page-locked memory, which a GPU reads faster.
        sampling: which dialogues share a batch.
        n_ahead: number of batches that a thread makes in advance while a GPU computes; 0 = none. It is used only
            without worker processes.
        vary: from dialogues, seed and epoch to the dialogues of this epoch, e.g. with augmented turns. They must have
            the same lengths and the same order. None = do not change them. Evaluation never uses it.
    """

    collate: Collate
    batch_size: int
    accumulate: int = 1
    rank: int = 0
    n_ranks: int = 1
    workers: int = 0
    pin_memory: bool = False
    sampling: Sampling = "shuffled"
    n_ahead: int = 0
    vary: Vary | None = None

    def n_steps(self, n_dialogues: int) -> int:
        """Return the number of optimizer steps in an epoch; the last step may have fewer dialogues."""
        return -(-n_dialogues // (self.batch_size * self.accumulate))

    def steps(
        self, dialogues: Sequence[Dialogue], seed: int, epoch: int, first_step: int = 0
    ) -> Iterator[list[DialogueBatch]]:
        """Yield the batches of this process for each optimizer step, starting with ``first_step``.

        Over all processes, each dialogue comes exactly once in an epoch. If the last batch has fewer dialogues than
        there are processes, some processes get no batch there.
        """
        order = self.order(dialogues, seed, epoch)
        dialogues = dialogues if self.vary is None else self.vary(dialogues, seed, epoch)
        plan = [self.shares(step) for step in batches(order, self.batch_size * self.accumulate)][first_step:]
        loaded = self.load(dialogues, [share for step in plan for share in step])
        for step in plan:
            yield [next(loaded) for _ in step]

    def order(self, dialogues: Sequence[Dialogue], seed: int, epoch: int) -> list[int]:
        """Return the indices of all dialogues in the order of the epoch, the same in every process.

        Each ``batch_size`` of them in a row are one batch.
        """
        if self.sampling == "bucketed":
            return bucketed([len(dialogue) for dialogue in dialogues], self.batch_size, seed, epoch)
        return shuffled(len(dialogues), seed, epoch)

    def shares(self, order: Sequence[int]) -> list[list[int]]:
        """Cut an order into batches and return the part of this process in each; empty parts are left out."""
        whole = batches(order, self.batch_size)
        return [share for batch in whole if (share := batch[self.rank :: self.n_ranks])]

    def load(self, dialogues: Sequence[Dialogue], shares: Sequence[Sequence[int]]) -> Iterator[DialogueBatch]:
        """Yield the padded batch of each list of indices, in order; worker processes make them if there are any."""
        # A DataLoader draws a random number when it starts. It gets its own generator because a resumed run starts
        # more loaders, and the global generator must give the same numbers as without the resume.
        loader: DataLoader[DialogueBatch] = DataLoader(
            dialogues,  # type: ignore[arg-type]  # any sequence is a map-style dataset
            batch_sampler=[list(share) for share in shares],
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
        )
        return _made_ahead(iter(loader), self.n_ahead) if self.n_ahead and not self.workers else iter(loader)


def _made_ahead(batches: Iterator[DialogueBatch], n_ahead: int) -> Iterator[DialogueBatch]:
    """Yield the same batches in the same order; a thread makes the next ones while the caller uses the current one."""
    with ThreadPoolExecutor(1) as thread:

        def make_next() -> "Future[DialogueBatch | None]":
            return thread.submit(next, batches, None)

        waiting = deque(make_next() for _ in range(n_ahead))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(make_next())
            yield batch
