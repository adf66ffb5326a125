"""Which dialogues each step of an epoch takes: a pure function of (seed, epoch), cut over steps, batches and ranks."""

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
    """How dialogues become the batches of one process.

    Args:
        collate: dialogues → padded batch.
        batch_size: dialogues per batch, over all ranks.
        accumulate: batches per optimizer step.
        rank: this process.
        n_ranks: processes.
        workers: DataLoader worker processes.
        pin_memory: page-locked batches, for a GPU.
        sampling: which dialogues meet in a batch.
        n_ahead: without worker processes, batches that a thread makes in advance, while a GPU computes; 0 = none.
        vary: dialogues, seed and epoch → the dialogues that this epoch trains on, as long and in the same order
            (augmentation); None = as they are. Evaluation never asks it.
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
        """Optimizer steps in an epoch; the last one may be smaller."""
        return -(-n_dialogues // (self.batch_size * self.accumulate))

    def steps(
        self, dialogues: Sequence[Dialogue], seed: int, epoch: int, first_step: int = 0
    ) -> Iterator[list[DialogueBatch]]:
        """Per optimizer step this rank's batches, from ``first_step`` on.

        Over all ranks each dialogue comes exactly once an epoch. A rank with an empty share of a batch gets none there.
        """
        order = self.order(dialogues, seed, epoch)
        dialogues = dialogues if self.vary is None else self.vary(dialogues, seed, epoch)
        plan = [self.shares(step) for step in batches(order, self.batch_size * self.accumulate)][first_step:]
        loaded = self.load(dialogues, [share for step in plan for share in step])
        for step in plan:
            yield [next(loaded) for _ in step]

    def order(self, dialogues: Sequence[Dialogue], seed: int, epoch: int) -> list[int]:
        """All dialogues once, equal on every rank; consecutive pieces of ``batch_size`` are the batches."""
        if self.sampling == "bucketed":
            return bucketed([len(dialogue) for dialogue in dialogues], self.batch_size, seed, epoch)
        return shuffled(len(dialogues), seed, epoch)

    def shares(self, order: Sequence[int]) -> list[list[int]]:
        """Share of this rank in every batch the order is cut into, empty ones left out."""
        whole = batches(order, self.batch_size)
        return [share for batch in whole if (share := batch[self.rank :: self.n_ranks])]

    def load(self, dialogues: Sequence[Dialogue], shares: Sequence[Sequence[int]]) -> Iterator[DialogueBatch]:
        """Collated batches of the given indices, in order, by the workers if there are any."""
        # Own generator: a DataLoader's start would draw from the global one, and a resumed run starts more of them.
        loader: DataLoader[DialogueBatch] = DataLoader(
            dialogues,  # type: ignore[arg-type]  # any sequence is a map-style dataset
            batch_sampler=[list(share) for share in shares],
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
        )
        return _ahead(iter(loader), self.n_ahead) if self.n_ahead and not self.workers else iter(loader)


def _ahead(batches: Iterator[DialogueBatch], n_ahead: int) -> Iterator[DialogueBatch]:
    """The same batches in the same order, the next ones made by a thread while the caller has the present one."""
    with ThreadPoolExecutor(1) as thread:

        def ask() -> "Future[DialogueBatch | None]":
            return thread.submit(next, batches, None)

        waiting = deque(ask() for _ in range(n_ahead))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(ask())
            yield batch
