"""Which dialogues each step of an epoch takes: a pure function of (seed, epoch), cut over steps, batches and ranks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.sampler import batches, shuffled
from dialogue_ser.corpus.schema import Dialogue

Collate = Callable[[Sequence[Dialogue]], DialogueBatch]


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
    """

    collate: Collate
    batch_size: int
    accumulate: int = 1
    rank: int = 0
    n_ranks: int = 1
    workers: int = 0
    pin_memory: bool = False

    def n_steps(self, n_dialogues: int) -> int:
        """Optimizer steps in an epoch; the last one may be smaller."""
        return -(-n_dialogues // (self.batch_size * self.accumulate))

    def steps(
        self, dialogues: Sequence[Dialogue], seed: int, epoch: int, first_step: int = 0
    ) -> Iterator[list[DialogueBatch]]:
        """Per optimizer step this rank's batches, from ``first_step`` on.

        Over all ranks each dialogue comes exactly once an epoch. A rank with an empty share of a batch gets none there.
        """
        order = shuffled(len(dialogues), seed, epoch)
        plan = [self.shares(step) for step in batches(order, self.batch_size * self.accumulate)][first_step:]
        loaded = self.load(dialogues, [share for step in plan for share in step])
        for step in plan:
            yield [next(loaded) for _ in step]

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
        return iter(loader)
