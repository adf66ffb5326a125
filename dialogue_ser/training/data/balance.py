"""Downsampling of train: afterwards every class has the same number of labelled turns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CorpusError


@dataclass(frozen=True, kw_only=True)
class Downsampled:
    """The training dialogues after downsampling, and counts.

    Args:
        dialogues: dialogues that still have a labelled turn.
        before: class → number of labelled turns before.
        after: class → number of labelled turns after; it is the same for all classes.
        n_dropped: number of dialogues that were dropped because they have no labelled turn any more.
    """

    dialogues: tuple[Dialogue, ...]
    before: dict[str, int]
    after: dict[str, int]
    n_dropped: int

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {"before": self.before, "after": self.after, "dropped_dialogues": self.n_dropped}


def downsample(dialogues: Sequence[Dialogue], seed: int) -> Downsampled:
    """Keep as many labelled turns of every class as the rarest class has; the seed decides which turns.

    Every other turn loses its label and its votes, but it stays in its dialogue, so that the turns around it keep their
    context. Turns whose votes tie lose their votes too. A dialogue without any labelled turn is dropped. A class
    without any turn does not count as the rarest class.

    Args:
        dialogues: dialogues of train.
        seed: seed of the draw.

    Raises:
        CorpusError: no turn has a label.
    """
    turns = list(utterances(dialogues))
    before = dict(sorted(Counter(turn.label for turn in turns if turn.label is not None).items()))
    if not before:
        raise CorpusError(
            "training.balance: no training turn has a label, so classes cannot be balanced; set it to none"
        )
    n_kept = min(before.values())
    draw = np.random.default_rng(seed)
    kept: set[str] = set()
    for label in before:
        ids = [turn.id for turn in turns if turn.label == label]
        kept.update(ids[index] for index in draw.permutation(len(ids))[:n_kept])
    relabelled = [
        Dialogue(
            dialogue.id, tuple(turn if turn.id in kept else replace(turn, label=None, votes=None) for turn in dialogue)
        )
        for dialogue in dialogues
    ]
    remaining = tuple(dialogue for dialogue in relabelled if any(turn.label is not None for turn in dialogue))
    return Downsampled(
        dialogues=remaining,
        before=before,
        after=dict.fromkeys(before, n_kept),
        n_dropped=len(relabelled) - len(remaining),
    )
