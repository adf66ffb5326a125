"""A GRU over the turns that does not know the speakers (docs/equations.md, "Speaker-blind GRU").

A model that knows the speakers should score higher than this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.nn.context import make_rnn, read_dialogues
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class BiGRUConfig:
    """Options of the speaker-blind GRU.

    Args:
        hidden_dim: number of units of the state, per direction.
        dropout: dropout rate on the states and on the head's hidden layer.
        input_dropout: dropout rate on the vector of each modality before fusion.
        projection: modality → size of a linear layer with tanh before the concatenation. Use it if one modality has
            many more features than another. A modality that is not named has no such layer.
        causal: read forwards only: the label of a turn then depends only on this turn and earlier ones. Set it to label
            a dialogue that is still going on.
    """

    hidden_dim: int = 150
    dropout: float = 0.2
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)
    causal: bool = False

    def __post_init__(self) -> None:
        check_fields("model bigru: model.options", self)


class BiGRU(DialogueSystem):
    """One GRU per direction over the turns; it never sees who speaks, so it is a floor for the other models.

    Utterance vectors → one GRU per direction → two linear layers.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "bigru"
    Config = BiGRUConfig
    speaker_aware = False
    speaker_equivariant = True

    def __init__(self, config: BiGRUConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.causal = config.causal
        self.bidirectional_recurrence = not config.causal
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.gru = make_rnn("gru", self.turns.out_dim, config.hidden_dim, bidirectional=not config.causal)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Sequential(
            nn.Linear(config.hidden_dim * (1 if config.causal else 2), config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, n_scores),
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; this system has no attention."""
        h_BTH = read_dialogues(self.gru, self.turns(batch), batch.n_turns_host)
        return Output(self.head(self.dropout(h_BTH)), {})

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs O(1).

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        state: Tensor | None = None

        def score_turn(batch: DialogueBatch) -> Tensor:
            nonlocal state
            h_BTH, state = self.gru(self.turns(batch), state)
            return self.head(self.dropout(h_BTH[0, 0]))  # type: ignore[no-any-return]

        return score_turn
