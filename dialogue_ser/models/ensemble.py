"""Several trained systems of one kind that answer together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.models.api import DialogueSystem, Output, TurnReader
from dialogue_ser.tasks.classification import Classification


class Ensemble(DialogueSystem):
    """The mean of its members' class probabilities or values, and of their attention weights.

    No system that can be asked for by name: training makes it (``training.ensemble``), a model folder of several
    members loads as it.

    Args:
        members: systems of one name, with the same options, inputs and task; at least one. Without a task (they were
            not made by ``build_model``) they tell classes apart.
    """

    name = "ensemble"

    def __init__(self, members: Sequence[DialogueSystem]) -> None:
        first = members[0]
        super().__init__(first.inputs, first.n_scores)
        self.task = first.task
        self.members = nn.ModuleList(members)
        self.speaker_aware, self.speaker_equivariant = first.speaker_aware, first.speaker_equivariant
        self.causal, self.bidirectional_recurrence = first.causal, first.bidirectional_recurrence

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Log of the mean probabilities of every turn, or scores of its mean values."""
        outputs: list[Output] = [member(batch, return_attention=return_attention) for member in self.members]
        attention = {
            name: torch.stack([output.attention[name] for output in outputs]).mean(0) for name in outputs[0].attention
        }
        return Output(self._together([output.scores_BTS for output in outputs]), attention)

    def stream(self) -> TurnReader:
        """Every member reads the dialogue turn by turn.

        Raises:
            ConfigError: they cannot label a turn before they know the later ones.
        """
        readers = [member.stream() for member in self.members]  # type: ignore[operator]

        def read(batch: DialogueBatch) -> Tensor:
            return self._together([reader(batch) for reader in readers])

        return read

    def _together(self, scores: Sequence[Tensor]) -> Tensor:
        task = self.task or Classification(LabelSet("classes", tuple(map(str, range(self.n_scores)))))
        return task.mean_scores(torch.stack(list(scores)))
