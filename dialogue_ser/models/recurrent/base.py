"""The part that EmotionRNN and DialogueRNN share: common options, utterance vectors and the dialogue recurrence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.parameters import Engine
from dialogue_ser.nn.recurrence.wiring import Listeners, Wiring
from dialogue_ser.tensors import HiddenBTH

AttentionOption = Literal[
    "simple", "matching", "simple-linear", "dot", "general", "general2", "general2-tanh", "concat"
]
InitialState = Literal["learned", "zeros"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrentConfig:
    """Options that EmotionRNN and DialogueRNN have in common.

    Each of the two adds its own options after these. The options ``causal``, ``initial_state`` and ``engine`` are
    common too and described here. But each system declares their fields itself, because they come between its own
    options in config.yaml, and the order there is the order of the fields.

    Args:
        attention: kind of attention over the past global states (docs/equations.md); matching is the same as general.
            The kinds simple and simple-linear ignore the present turn and cost less in long dialogues.
        global_dim: number of units of the global state g.
        party_dim: number of units of each state of a party.
        emotion_dim: number of units of the emotion state e, per direction.
        hidden_dim: number of units of the head's hidden layer.
        dropout: dropout rate inside the recurrence and in the head.
        input_dropout: dropout rate on the vector of each modality before fusion (the document has none).
        projection: modality → size of a linear layer with tanh before the concatenation. Use it if one modality has
            many more features than another. A modality that is not named has no such layer.
        listeners: update = a turn also changes the states of the listeners, with separate cells; hold = a turn leaves
            the states of the listeners as they are.
        causal: read forwards only: the label of a turn then depends only on this turn and earlier ones. Set it to label
            a dialogue that is still going on.
        initial_state: states before the first turn. learned = drawn at random and then trained; zeros = always zero.
        engine: how the recurrence is computed; the numbers are the same. manual = one autograd node with a backward
            pass written by hand, which is fast; autograd = a plain loop, which is easy to read; auto = manual where the
            attention supports it, else autograd.
    """

    attention: AttentionOption = "general"
    global_dim: int = 150
    party_dim: int = 150
    emotion_dim: int = 100
    hidden_dim: int = 100
    dropout: float = 0.1
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)
    listeners: Listeners = "hold"


class RecurrentSystem(DialogueSystem):
    """Utterance vectors → dialogue recurrence; a subclass adds the layers after it.

    Args:
        config: common options.
        wiring: which cell reads what.
        inputs: modality → shape of its features; their order fixes the order of concatenation.
        n_scores: S.
        causal: read forwards only.
        initial_state: whether the initial states are learned.
        engine: how the recurrence is computed.
        attention_dim: number of units inside the attention concat; None = ``global_dim``.
        recurrent_dropout: dropout rate inside the recurrence; None = ``dropout``.

    Raises:
        ConfigError: dot attention whose global states have another size than the utterance vectors.
    """

    speaker_aware = True
    speaker_equivariant = True

    def __init__(
        self,
        config: RecurrentConfig,
        wiring: Wiring,
        inputs: Mapping[str, InputSpec],
        n_scores: int,
        *,
        causal: bool,
        initial_state: InitialState,
        engine: Engine,
        attention_dim: int | None = None,
        recurrent_dropout: float | None = None,
    ) -> None:
        super().__init__(inputs, n_scores)
        self.causal = causal
        self.bidirectional_recurrence = not causal
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        if config.attention == "dot" and config.global_dim != self.turns.out_dim:
            raise ConfigError(
                f"model {self.name}: model.options.global_dim: found {config.global_dim}, but attention dot compares "
                f"g with a turn's vector, so it must be {self.turns.out_dim}; or choose attention general"
            )
        self.recurrence = DialogueRecurrence(
            self.turns.out_dim,
            wiring,
            global_dim=config.global_dim,
            party_dim=config.party_dim,
            emotion_dim=config.emotion_dim,
            attention=config.attention,
            attention_dim=attention_dim,
            dropout=config.dropout if recurrent_dropout is None else recurrent_dropout,
            bidirectional=not causal,
            initial_state=initial_state,
            engine=engine,
        )

    def emotion_states(
        self, x_BTD: Float[Tensor, "batch turn feature"], batch: DialogueBatch, *, return_attention: bool
    ) -> tuple[HiddenBTH, Mapping[str, Tensor]]:
        """The emotion states of all turns, and the attention ``forward`` and ``backward`` ``[B, T, T]`` on request."""
        e_BTH, attention = self.recurrence(
            x_BTD, batch.speaker_host, batch.n_turns_host, return_attention=return_attention
        )
        return e_BTH, attention
