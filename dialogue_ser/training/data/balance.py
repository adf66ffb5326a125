"""Class-balanced downsampling: what a run learns from has as many turns of every class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CorpusError


@dataclass(frozen=True, kw_only=True)
class Downsampled:
    """What downsampling left.

    Args:
        dialogues: those of which something can still be learnt.
        before: class → labelled turns that there were.
        after: class → labelled turns that are left, the same number each.
        n_dropped: dialogues that are left out because no turn of theirs has a label any more.
    """

    dialogues: tuple[Dialogue, ...]
    before: dict[str, int]
    after: dict[str, int]
    n_dropped: int

    def to_dict(self) -> dict[str, Any]:
        """The counts, JSON-able."""
        return {"before": self.before, "after": self.after, "dropped_dialogues": self.n_dropped}


def downsample(dialogues: Sequence[Dialogue], seed: int) -> Downsampled:
    """As many labelled turns of every class as the rarest class has; which ones stay, the seed decides.

    A surplus turn loses its label, and its votes, but stays where it is: the turns around it keep their context. A
    dialogue of which nothing can be learnt any more is dropped; of single utterances those are the surplus ones. Votes
    of turns without a label (ties) go too. A class that no turn has is not counted.

    Args:
        dialogues: of the training split(s).
        seed: of the draw.

    Raises:
        CorpusError: no turn has a label.
    """
    turns = list(utterances(dialogues))
    before = dict(sorted(Counter(turn.label for turn in turns if turn.label is not None).items()))
    if not before:
        raise CorpusError("training.balance: no training turn has a label to balance by; set it to none")
    least = min(before.values())
    draw = np.random.default_rng(seed)
    kept: set[str] = set()
    for label in before:
        ids = [turn.id for turn in turns if turn.label == label]
        kept.update(ids[place] for place in draw.permutation(len(ids))[:least])
    relabelled = [
        Dialogue(one.id, tuple(turn if turn.id in kept else replace(turn, label=None, votes=None) for turn in one))
        for one in dialogues
    ]
    left = tuple(one for one in relabelled if any(turn.label is not None for turn in one))
    return Downsampled(
        dialogues=left, before=before, after=dict.fromkeys(before, least), n_dropped=len(relabelled) - len(left)
    )
