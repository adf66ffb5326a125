"""Each turn on its own: the identity as context model (single-utterance systems, fine-tuning, linear probes)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnReader
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class UtteranceConfig:
    """Options of the single-utterance classifier.

    Args:
        dropout: on the fused utterance vector, and behind each hidden layer.
        input_dropout: on each modality's vector before fusion.
        projection: modality → size of a Linear + tanh in front of the concatenation.
        hidden_dims: sizes of hidden layers (Linear, ReLU) between the fused vector and the classes.
    """

    dropout: float = 0.1
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)
    hidden_dims: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_fields("model utterance: model.options", self)


class UtteranceSystem(DialogueSystem):
    """Utterance vectors → dropout → hidden layers, if any → one linear layer; no turn knows of another.

    With a frozen encoder it is the linear probe that dialogue models must clear (docs/equations.md), with a trained one
    the usual fine-tuning on utterances. What an encoder itself reads of the neighbours is its own affair.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "utterance"
    Config = UtteranceConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False

    def __init__(self, config: UtteranceConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.dropout = nn.Dropout(config.dropout)
        sizes = [self.turns.out_dim, *config.hidden_dims]
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)) for a, b in pairwise(sizes))
        )
        self.head = nn.Linear(sizes[-1], n_scores)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; it has no attention to show."""
        fused_BTD = self.dropout(self.turns(batch))
        return Output(self.head(self.hidden(fused_BTD)), {})

    def stream(self) -> TurnReader:
        """A reader of one dialogue, turn by turn; it keeps nothing of the earlier ones."""

        def read(batch: DialogueBatch) -> Tensor:
            return self(batch).scores_BTS[0, 0]  # type: ignore[no-any-return]

        return read
