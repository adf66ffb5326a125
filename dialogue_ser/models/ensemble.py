"""Several trained systems of one kind, whose predictions are averaged."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.tasks.classification import Classification


class Ensemble(DialogueSystem):
    """The mean of its members' class probabilities or values, and of their attention weights.

    It is not in MODELS, so no run can choose it by name. Training builds it if ``training.ensemble`` is set, and
    loading a model folder with several members builds it again.

    Args:
        members: one or more systems of one name, with the same options, inputs and task. Members without a task were
            not built by ``build_model``; their scores are taken as scores of classes.
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
        """For every turn, the logarithm of the mean probabilities, or the scores of the mean values."""
        outputs: list[Output] = [member(batch, return_attention=return_attention) for member in self.members]
        attention = {
            name: torch.stack([output.attention[name] for output in outputs]).mean(0) for name in outputs[0].attention
        }
        return Output(self._mean_scores([output.scores_BTS for output in outputs]), attention)

    def stream(self) -> TurnStream:
        """A stream that feeds every turn to a stream of each member.

        Raises:
            ConfigError: the members are not causal.
        """
        streams = [member.stream() for member in self.members]  # type: ignore[operator]

        def score_turn(batch: DialogueBatch) -> Tensor:
            return self._mean_scores([stream(batch) for stream in streams])

        return score_turn

    def _mean_scores(self, scores: Sequence[Tensor]) -> Tensor:
        """The mean of the scores of all members; the task decides how they are averaged."""
        task = self.task or Classification(LabelSet("classes", tuple(map(str, range(self.n_scores)))))
        return task.mean_scores(torch.stack(list(scores)))
