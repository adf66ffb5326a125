"""DialogueCRN (Hu, Wei and Huai, ACL-IJCNLP 2021): two contexts of a turn, and several steps of reasoning over each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.turns import party_sequences, turn_index
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.nn.context import RnnKind, make_rnn, read_dialogues, read_sequences
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.sequence_attention import attend
from dialogue_ser.nn.transfer import send
from dialogue_ser.options import check_fields
from dialogue_ser.tensors import HiddenBTH, TurnsB


@dataclass(frozen=True, kw_only=True, slots=True)
class DialogueCRNConfig:
    """Options of DialogueCRN; the defaults are the published settings for MELD.

    Args:
        rnn: kind of the recurrences that make the two contexts: lstm or gru.
        context_dim: number of units of these recurrences, per direction.
        n_layers: number of their layers.
        situation_steps: number of steps of reasoning over the turns of the dialogue. 0 = one linear layer instead.
        party_steps: the same over the turns as their speakers see them.
        cognition: false = no reasoning and no linear layer before it: the head reads the two contexts themselves, as
            in SACL-LSTM. The numbers of steps then have no effect.
        party_padding: the recurrence over the turns of one speaker reads zeros behind them, as many as the dialogue has
            turns of others. The published weights were trained so. It never depends on other dialogues of the batch.
        dropout: dropout rate between the layers of the recurrences and on the vector that the head reads.
        input_dropout: dropout rate on the vector of each modality before fusion (the published system has none).
        projection: modality → size of a linear layer with tanh before the concatenation.
    """

    rnn: RnnKind = "lstm"
    context_dim: int = 100
    n_layers: int = 1
    situation_steps: int = 2
    party_steps: int = 0
    cognition: bool = True
    party_padding: bool = False
    dropout: float = 0.2
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = "model dialogue-crn: model.options"
        check_fields(where, self)
        steps = {"situation_steps": self.situation_steps, "party_steps": self.party_steps}
        problems = [f"{where}.{name}: found {n}, expected at least 0" for name, n in steps.items() if n < 0]
        if problems:
            raise ConfigError(*problems)


class Reasoning(nn.Module):
    """Several steps of reasoning over the turns of a dialogue, for every turn at once.

    h = c = 0 at first; each step is (h, c) = LSTM(q; h, c), a = softmax_k(h · X_k), q = [h; Σ_k a_k X_k], with k over
    the real turns of the dialogue.

    Args:
        dim: F, the number of features of a turn.
        n_steps: number of steps.
    """

    def __init__(self, dim: int, n_steps: int) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.lstm = nn.LSTMCell(2 * dim, dim)

    def forward(
        self,
        q_NQ: Float[Tensor, "node query"],
        bank_BTF: HiddenBTH,
        row_N: Int[Tensor, " node"],
        n_turns_B: TurnsB,
    ) -> Float[Tensor, "node query"]:
        """The q of all real turns after the last step.

        Args:
            q_NQ: the first q of all real turns.
            bank_BTF: X, exactly 0 on padding.
            row_N: place of every real turn in ``[B · T]``.
            n_turns_B: number of real turns per dialogue.
        """
        n_dialogues, n_turns, size = bank_BTF.shape
        h_NF = c_NF = q_NQ.new_zeros(len(q_NQ), size)
        for _ in range(self.n_steps):
            h_NF, c_NF = self.lstm(q_NQ, (h_NF, c_NF))
            read_BTF = attend(to_turns(h_NF, row_N, n_dialogues, n_turns), bank_BTF, n_turns_B)
            q_NQ = torch.cat([h_NF, to_nodes(read_BTF, row_N)], dim=-1)
        return q_NQ


class DialogueCRN(DialogueSystem):
    """Two contexts of every turn, and several steps of reasoning over each of them.

    Utterance vectors → a recurrence over the dialogue (situation) and one over the turns of each speaker (party), both
    in both directions → for each of the two, steps of an LSTM that reads the dialogue again and again by attention →
    one linear layer over both.

    Source: Hu, Wei and Huai, "DialogueCRN: Contextual Reasoning Networks for Emotion Recognition in Conversations",
    ACL-IJCNLP 2021, in the form that its authors published (zerohd4869/DialogueCRN).
    Departures: both published recurrences read the padding of the batch in the backward direction; here padding is
    never read. The one over the turns of a speaker also reads zeros in place of the turns of others, even if a dialogue
    is run alone; this is the option ``party_padding``, which published weights need. The published attention adds 1e-16
    to the sum of its weights; here it does not. ``cognition: false`` is not an option of that implementation.

    The attention compares every turn with all turns of its dialogue. Time grows with the square of the turns of a
    dialogue, memory does not: the weights of long dialogues are computed in parts, and in backward again.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "dialogue-crn"
    Config = DialogueCRNConfig
    speaker_aware = True
    speaker_equivariant = True
    causal = False
    bidirectional_recurrence = True

    def __init__(self, config: DialogueCRNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.bidirectional_recurrence = not config.party_padding  # the zeros are behind the turns, whatever the order
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.situation_rnn, self.party_rnn = (
            make_rnn(
                config.rnn, self.turns.out_dim, config.context_dim, n_layers=config.n_layers, dropout=config.dropout
            )
            for _ in range(2)
        )
        size = 2 * config.context_dim
        self.query = nn.Linear(size, 2 * size) if config.cognition else None
        steps = (config.situation_steps, config.party_steps) if config.cognition else (0, 0)
        self.situation, self.party = (Reasoning(size, n) if n else None for n in steps)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Dropout(config.dropout), nn.Linear((4 if config.cognition else 2) * size, n_scores)
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; the attention of the steps is not shown."""
        x_BTD, turns = self.turns(batch), turn_index(batch)
        (row_N,) = send([turns.row_N], x_BTD.device)
        parties = party_sequences(turns, padded=self.config.party_padding)
        situation_BTF = read_dialogues(self.situation_rnn, x_BTD, batch.n_turns_host)
        party_NF = read_sequences(
            self.party_rnn, to_nodes(x_BTD, row_N), parties.sequence_N, parties.step_N, parties.length_R
        )
        q_NQ = torch.cat(
            [
                self._reason(self.party, party_NF, None, row_N, batch),
                self._reason(self.situation, to_nodes(situation_BTF, row_N), situation_BTF, row_N, batch),
            ],
            dim=-1,
        )
        return Output(to_turns(self.head(q_NQ), row_N, *situation_BTF.shape[:2]), {})

    def _reason(
        self, steps: nn.Module | None, bank_NF: Tensor, bank_BTF: Tensor | None, row_N: Tensor, batch: DialogueBatch
    ) -> Float[Tensor, "node query"]:
        """What the head reads of one of the two contexts, given per real turn and, if known, in padded form."""
        q_NQ: Tensor = bank_NF if self.query is None else self.query(bank_NF)
        if steps is None:
            return q_NQ
        if bank_BTF is None:
            bank_BTF = to_turns(bank_NF, row_N, *batch.is_real_turn.shape)
        reasoned_NQ: Tensor = steps(q_NQ, bank_BTF, row_N, batch.n_turns)
        return reasoned_NQ
