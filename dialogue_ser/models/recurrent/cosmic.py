"""COSMIC (Ghosal et al., Findings of EMNLP 2020): states of every party that commonsense vectors drive."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.several import Combination, SeveralVectors
from dialogue_ser.encoders.turn import TurnVectors
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.models.modalities import by_kind, say_missing
from dialogue_ser.models.recurrent.base import AttentionOption
from dialogue_ser.nn.recurrence.commonsense import READERS, CommonsenseRecurrence, PartySizes
from dialogue_ser.nn.recurrence.stream import CommonsenseStream
from dialogue_ser.nn.recurrence.wiring import Listeners
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.nn.vectors.turn_norm import TurnNormKind
from dialogue_ser.options import check_fields

_logger = logging.getLogger(__name__)

#: The vectors of knowledge that the vector of the turn can stand in for. The external states read the turn anyway.
STOOD_IN = ("self_effect", "self_intent", "other_effect")
OF_LISTENERS = ("other_effect", "other_react")


@dataclass(frozen=True, kw_only=True, slots=True)
class CosmicConfig:
    """Options of COSMIC; the defaults are the published settings for MELD.

    Args:
        combine: how several text vectors become one: concat = side by side; first-two = the first two side by side;
            mean; one = a single one; weighted = a learned weighted sum.
        text_vector: with combine one, the number of the text vector, from 1.
        norm: of each text vector. none; layer = layer norm; dialogue = layer norm without parameters over all turns of
            the dialogue together; batch = batch norm over all turns of the batch.
        stand_in: what a state reads in place of a vector of knowledge that the run lacks. none = nothing, as if the
            published system were given zeros; turn = the vector of the turn.
        attention: kind of attention over the past global states (docs/equations.md); matching is the same as general.
            The published simple is simple-linear here, and the published general2 is general2-tanh.
        attention_dim: number of units inside the attention concat; null = that of the global state.
        global_dim: number of units of the global state g.
        internal_dim: number of units of the internal state q of a party.
        external_dim: number of units of the external state r of a party.
        intent_dim: number of units of the intent i of a party.
        emotion_dim: number of units of the emotion state e, per direction.
        hidden_dim: number of units of the vector u of a turn, and of the head's hidden layer.
        listeners: update = a turn also changes the internal and external states of the listeners, with separate cells;
            hold = it does not.
        emotion_attention: kind of attention of each turn over the emotion states of all turns (of the turns so far if
            causal). The published one is general2-tanh; none = no such attention.
        residual: add u to the head's hidden layer.
        dropout: dropout rate on the head's hidden layer.
        recurrent_dropout: dropout rate on the states inside the recurrence and on its emotion states.
        causal: read forwards only: the label of a turn then depends only on this turn and earlier ones. Not with norm
            dialogue.
    """

    combine: Combination = "mean"
    text_vector: int = 1
    norm: TurnNormKind = "none"
    stand_in: Literal["none", "turn"] = "none"
    attention: AttentionOption = "simple-linear"
    attention_dim: int | None = None
    global_dim: int = 150
    internal_dim: int = 150
    external_dim: int = 150
    intent_dim: int = 150
    emotion_dim: int = 450
    hidden_dim: int = 100
    listeners: Listeners = "update"
    emotion_attention: Literal["none", "general2", "general2-tanh"] = "none"
    residual: bool = False
    dropout: float = 0.5
    recurrent_dropout: float = 0.3
    causal: bool = False

    def __post_init__(self) -> None:
        where = "model cosmic: model.options"
        check_fields(where, self)
        problems = []
        if self.text_vector < 1:
            problems.append(f"{where}.text_vector: found {self.text_vector}, expected at least 1")
        if self.causal and self.norm == "dialogue":
            problems.append(
                f"{where}.norm: found dialogue, which reads later turns, but causal is true; choose layer or none"
            )
        if self.attention == "dot" and self.global_dim != self.hidden_dim:
            problems.append(
                f"{where}.global_dim: found {self.global_dim}, but attention dot compares g with the vector of a turn, "
                f"so it must be hidden_dim ({self.hidden_dim}); or choose attention general"
            )
        if problems:
            raise ConfigError(*problems)


class Cosmic(DialogueSystem):
    """Every party has an internal state q, an external state r and an intent i; vectors of knowledge drive them.

    Text vectors → a vector u per turn → recurrence → attention over all emotion states (an option) → two linear layers.

    Five inputs are vectors of knowledge about a turn (COMET's commonsense inferences), if the run has them. Their names
    are ``self_effect``, ``self_react`` and ``self_intent`` (of the speaker), ``other_effect`` and ``other_react`` (of
    those who listen). This is what drives each state with them, and without them:

    ======================  =========================  ====================  ============================
    state                   with all of them           without               without, ``stand_in: turn``
    ======================  =========================  ====================  ============================
    external, speaker       turn, self_react, context  turn, context         turn, context
    internal, speaker       self_effect, context       context               turn, context
    intent, speaker         self_intent, new internal  new internal          turn, new internal
    external, listener      turn, other_react,         turn, new external    turn, new external of the
                            new external of speaker    of the speaker        speaker
    internal, listener      other_effect,              new internal of the   turn, new internal of the
                            new internal of speaker    speaker               speaker
    ======================  =========================  ====================  ============================

    Every vector is optional by itself. Without it the numbers are those of the published system with zeros there.

    Source: Ghosal et al., COSMIC, Findings of EMNLP 2020, and its published implementation for MELD. Departures:

    - Any number of text vectors is possible, not four, and other inputs (sound, pictures) are put beside them.
    - The sizes of the states are free. The published cells of listeners need one size for g, q and r.
    - Dropout acts on the states that a turn changes. The published code drops held states again at every turn.
    - All parties that have not spoken yet share one state and its dropout.
    - ``norm: dialogue`` and ``norm: batch`` never read padding, which the published ones do.
    - The published ``sense_gru``, whose output nothing uses, does not exist here.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.

    Raises:
        ConfigError: there are only vectors of knowledge, or options do not fit the inputs.
    """

    name = "cosmic"
    Config = CosmicConfig
    speaker_aware = True
    speaker_equivariant = True

    def __init__(self, config: CosmicConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config, self.causal = config, config.causal
        self.bidirectional_recurrence = not config.causal
        of_turns = {name: spec for name, spec in inputs.items() if name not in READERS}
        if not of_turns:
            raise ConfigError(
                f"model cosmic: {', '.join(inputs)}: these are vectors of knowledge alone; add text features"
            )
        say_missing(self.name, ("text",), of_turns, "the others take its place")
        self._say_missing_knowledge(inputs)
        self.vectors = SeveralVectors(
            of_turns,
            by_kind(of_turns).get("text", []),
            combine=config.combine,
            vector=config.text_vector,
            norm=config.norm,
            owner="model cosmic: model.options",
        )
        read = [name for name in READERS if config.listeners == "update" or name not in OF_LISTENERS]
        self.knowledge = TurnVectors({name: inputs[name] for name in read if name in inputs})
        stood_in = STOOD_IN if config.stand_in == "turn" else ()
        self.stood_in = [name for name in read if name in stood_in and name not in inputs]
        self.turn = nn.Linear(self.vectors.out_dim, config.hidden_dim)
        self.recurrence = CommonsenseRecurrence(
            config.hidden_dim,
            {**self.knowledge.dims, **dict.fromkeys(self.stood_in, config.hidden_dim)},
            PartySizes(
                config.global_dim, config.internal_dim, config.external_dim, config.intent_dim, config.emotion_dim
            ),
            attention=config.attention,
            attention_dim=config.attention_dim,
            listeners=config.listeners == "update",
            dropout=config.recurrent_dropout,
            bidirectional=not config.causal,
        )
        size = self.recurrence.output_dim
        self.emotion_dropout = nn.Dropout(config.recurrent_dropout)
        self.emotion_attention = (
            None
            if config.emotion_attention == "none"
            else SequenceAttention(config.emotion_attention, size, causal=config.causal)
        )
        self.head = nn.Sequential(
            nn.Linear(size, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, n_scores),
        )

    def _say_missing_knowledge(self, inputs: Mapping[str, InputSpec]) -> None:
        """Warn of vectors of knowledge that the run lacks."""
        missing = [name for name in READERS if name not in inputs]
        if missing:
            instead = "nothing stands in for them" if self.config.stand_in == "none" else "the turn stands in for them"
            _logger.warning("model cosmic: the run has no vectors of knowledge %s, so %s", ", ".join(missing), instead)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn.

        With ``return_attention`` the output has the attention weights ``forward`` and ``backward`` over past g, and
        ``emotion`` over all e if there is such an attention, each ``[B, T, T]``.
        """
        u_BTD, knowledge = self._given(batch)
        e_BTH, attention = self.recurrence(
            u_BTD, knowledge, batch.speaker_host, batch.n_turns_host, return_attention=return_attention
        )
        e_BTH = self.emotion_dropout(e_BTH)
        if self.emotion_attention is not None:
            if return_attention:
                attention = {**attention, "emotion": self.emotion_attention.weights(e_BTH, batch.n_turns)}
            e_BTH = self.emotion_attention(e_BTH, batch.n_turns)
        return Output(self._scores(e_BTH, u_BTD), attention)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs O(1) with simple attention and O(turns so far) with matching.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        recurrence = CommonsenseStream(self.recurrence)
        emotions: list[Tensor] = []

        def score_turn(batch: DialogueBatch) -> Tensor:
            u_BTD, knowledge = self._given(batch)
            given = {name: vector_BTD[0, 0] for name, vector_BTD in {"u": u_BTD, **knowledge}.items()}
            e_H = recurrence.step(given, int(batch.speaker[0, 0]))
            if self.emotion_attention is not None:
                emotions.append(e_H)
                e_H = self.emotion_attention.newest(torch.stack(emotions))
            return self._scores(e_H, given["u"])

        return score_turn

    def _given(self, batch: DialogueBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The vectors u of the turns, and the vectors of knowledge; u where it stands in for one."""
        u_BTD = self.turn(self.vectors(batch))
        return u_BTD, {**self.knowledge.vectors(batch), **dict.fromkeys(self.stood_in, u_BTD)}

    def _scores(self, e_H: Tensor, u_D: Tensor) -> Tensor:
        """The head, with the shortcut from u to its hidden layer if the options ask for it."""
        hidden, relu, dropout, out = self.head
        h = dropout(relu(hidden(e_H)))
        return out(h + u_D if self.config.residual else h)  # type: ignore[no-any-return]
