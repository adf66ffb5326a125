"""Several trained systems whose predictions are averaged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.tasks.classification import Classification


class Ensemble(DialogueSystem):
    """The mean of its members' class probabilities or values, and of the attention weights that all of them have.

    It is not in MODELS, so no run can choose it by name. Training builds it if ``training.ensemble`` is set, the
    command ``ensemble`` builds it from finished runs, and loading a model folder with several members builds it again.

    Args:
        members: one or more systems of one task. Members without a task were not built by ``build_model``; their
            scores are taken as scores of classes.
        names: for each member: its name of an input → the name of this input in the batch. So members can read
            different features of one modality. None = every member reads the inputs under its own names.
    """

    name = "ensemble"

    def __init__(self, members: Sequence[DialogueSystem], names: Sequence[Mapping[str, str]] | None = None) -> None:
        self.names = tuple(dict(one) for one in names or [{name: name for name in one.inputs} for one in members])
        inputs: dict[str, InputSpec] = {}
        for member, names_of_member in zip(members, self.names, strict=True):
            inputs |= {names_of_member[name]: spec for name, spec in member.inputs.items()}
        super().__init__(inputs, members[0].n_scores)
        self.task = members[0].task
        self.members = nn.ModuleList(members)
        self.speaker_aware = any(one.speaker_aware for one in members)
        self.speaker_equivariant = all(one.speaker_equivariant for one in members)
        self.causal = all(one.causal for one in members)
        self.bidirectional_recurrence = any(one.bidirectional_recurrence for one in members)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """For every turn, the logarithm of the mean probabilities, or the scores of the mean values."""
        outputs: list[Output] = [
            member(_with_names(batch, names), return_attention=return_attention)
            for member, names in zip(self.members, self.names, strict=True)
        ]
        return Output(self._mean_scores([output.scores_BTS for output in outputs]), _mean_attention(outputs))

    def stream(self) -> TurnStream:
        """A stream that feeds every turn to a stream of each member.

        Raises:
            ConfigError: a member is not causal.
        """
        streams = [member.stream() for member in self.members]  # type: ignore[operator]

        def score_turn(batch: DialogueBatch) -> Tensor:
            return self._mean_scores(
                [stream(_with_names(batch, names)) for stream, names in zip(streams, self.names, strict=True)]
            )

        return score_turn

    def _mean_scores(self, scores: Sequence[Tensor]) -> Tensor:
        """The mean of the scores of all members; the task decides how they are averaged."""
        task = self.task or Classification(LabelSet("classes", tuple(map(str, range(self.n_scores)))))
        return task.mean_scores(torch.stack(list(scores)))


def _with_names(batch: DialogueBatch, names: Mapping[str, str]) -> DialogueBatch:
    """The batch with the inputs of one member, under the member's names."""
    return replace(
        batch,
        features={own: batch.features[shared] for own, shared in names.items() if shared in batch.features},
        is_present={own: batch.is_present[shared] for own, shared in names.items() if shared in batch.is_present},
        lengths={own: batch.lengths[shared] for own, shared in names.items() if shared in batch.lengths},
    )


def _mean_attention(outputs: Sequence[Output]) -> dict[str, Tensor]:
    """The mean of every kind of attention that all members give in one shape."""
    shapes = [{name: weights.shape for name, weights in output.attention.items()} for output in outputs]
    shared = [name for name, shape in shapes[0].items() if all(one.get(name) == shape for one in shapes)]
    return {name: torch.stack([output.attention[name] for output in outputs]).mean(0) for name in shared}
