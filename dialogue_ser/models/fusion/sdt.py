"""SDT (Ma et al., IEEE Transactions on Multimedia 2023): attention between all modalities, and self-distillation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.turns import turn_index
from dialogue_ser.encoders.turn import TurnVectors
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, MainLoss, Output
from dialogue_ser.models.modalities import by_kind, say_missing
from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.nn.cross_modal import CrossModalEncoders, GroupedLinear, SeenTurns, sine_positions
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.transfer import send
from dialogue_ser.options import check_fields

PUBLISHED_KINDS = ("text", "audio", "visual")


@dataclass(frozen=True, kw_only=True, slots=True)
class SDTConfig:
    """Options of SDT; the defaults are the published settings for MELD.

    Args:
        hidden_dim: number of units of every layer, a multiple of ``n_heads``.
        n_heads: number of heads of every attention.
        dropout: dropout rate on queries and keys, on the weights of the attention, inside the layers and in the heads
            of single modalities.
        speakers: how the attention learns who speaks. same = every head adds a learned number to the score of two turns
            of one speaker; embedding = a vector for each party number is added to its turns (the published form; the
            scores then depend on the numbers of the parties); none = it does not.
        n_parties: with speakers embedding, the number of vectors; all parties with higher numbers share the last one.
        gates: identity = each result of an attention is multiplied by its own sigmoid (published for MELD); learned =
            by the sigmoid of a linear layer (published for IEMOCAP).
        unimodal_weight: weight of the loss of each modality's own head.
        distillation_weight: weight of the distance between each modality's own head and the fused head.
        temperature: the scores are divided by this number before the distance is computed.
        detach_target: True: the distance has no gradient into the fused head (the published form has one).
    """

    hidden_dim: int = 1024
    n_heads: int = 8
    dropout: float = 0.5
    speakers: Literal["same", "embedding", "none"] = "same"
    n_parties: int = 9
    gates: Literal["identity", "learned"] = "identity"
    unimodal_weight: float = 1.0
    distillation_weight: float = 1.0
    temperature: float = 8.0
    detach_target: bool = False

    def __post_init__(self) -> None:
        check_fields("model sdt: model.options", self)
        problems = []
        if self.hidden_dim % self.n_heads:
            problems.append(
                f"model sdt: model.options.hidden_dim: found {self.hidden_dim}, but it must be a multiple of n_heads "
                f"({self.n_heads})"
            )
        problems += [
            f"model sdt: model.options.{name}: found {value}; choose {advice}"
            for name, value, is_right, advice in (
                ("temperature", self.temperature, self.temperature > 0, "more than 0"),
                ("unimodal_weight", self.unimodal_weight, self.unimodal_weight >= 0, "0 or more"),
                ("distillation_weight", self.distillation_weight, self.distillation_weight >= 0, "0 or more"),
            )
            if not is_right
        ]
        if problems:
            raise ConfigError(*problems)

    @property
    def has_unimodal_heads(self) -> bool:
        """Whether an auxiliary loss needs the heads of single modalities."""
        return self.unimodal_weight > 0 or self.distillation_weight > 0


class SDT(DialogueSystem):
    """Every modality attends to itself and to every other modality; the results are fused by gates.

    Vectors of each modality → encoders of all ordered pairs of modalities → one vector per modality → fused head. In
    training, each modality also has a head of its own. It learns the labels, and it learns to agree with the fused head
    (self-distillation).

    Source: Ma et al., IEEE Transactions on Multimedia 2023, and its published implementation. Departures:

    - It works on any number M of modalities, with M² pairs. Several vectors of one modality are concatenated.
    - Speakers are known by their turns: a learned number is added to the score of two turns of one speaker. The
      published form adds a vector for the number of the party (``speakers: embedding``).
    - A turn that lacks a modality is not attended to there, and the modality has no part in the turn's fused vector.
    - The self-distillation reads real turns alone. With padding, the published loss is NaN in torch 1.13 and later.
    - Positions have no upper limit.
    - In a regression the distance between two heads is the mean square of their difference (own choice).

    The attention of every pair is complete, so the time grows with the square of a dialogue's length. The memory grows
    with the length, because the weights of long dialogues are computed in parts.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "sdt"
    Config = SDTConfig
    causal = False
    bidirectional_recurrence = False

    def __init__(self, config: SDTConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.speaker_aware = config.speakers != "none"
        self.speaker_equivariant = config.speakers != "embedding"
        say_missing(self.name, PUBLISHED_KINDS, inputs, "the encoders from and to them are left out")
        self.kinds, size, rate = by_kind(inputs), config.hidden_dim, config.dropout
        n_modalities = len(self.kinds)
        self.turns = TurnVectors(inputs)
        self.projections = nn.ModuleDict(
            {
                kind: nn.Linear(sum(self.turns.dims[name] for name in names), size, bias=False)
                for kind, names in self.kinds.items()
            }
        )
        self.speakers = nn.Embedding(config.n_parties, size) if config.speakers == "embedding" else None
        self.encoders = CrossModalEncoders(
            n_modalities,
            size,
            n_heads=config.n_heads,
            dropout=rate,
            learned_gates=config.gates == "learned",
            knows_speakers=config.speakers == "same",
        )
        self.reduce = GroupedLinear(n_modalities, n_modalities * size, size)
        self.fusion = nn.Linear(size, size, bias=False) if n_modalities > 1 else None
        self.dropout = nn.Dropout(rate)
        self.unimodal_heads = GroupedLinear(n_modalities, size, n_scores) if config.has_unimodal_heads else None
        self.head = nn.Linear(size, n_scores)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn.

        With ``return_attention`` the output has the weights of every pair, the mean over the heads, e.g. ``text from
        audio`` ``[B, T, T]``: a row is a turn of the text, a column is a turn of the audio. In training mode
        ``auxiliary`` has the scores of each modality's own head ``[B, T, S]``, by the name of the modality.
        """
        (row_N,) = send([turn_index(batch).row_N], batch.is_real_turn.device)
        is_present_MBT = torch.stack(
            [torch.stack([batch.is_present[name] for name in names]).any(0) for names in self.kinds.values()]
        ).logical_and(batch.is_real_turn)
        knows_speakers = self.config.speakers == "same"
        seen = SeenTurns(row_N, is_present_MBT, batch.speaker if knows_speakers else None)
        x_MNH = self._inputs(batch, row_N)
        u_MNH = self._modality_vectors(self.encoders(x_MNH, seen))
        fused_NH = self._fuse(u_MNH, is_present_MBT.flatten(1).index_select(1, row_N))
        shape = batch.is_real_turn.shape
        attention, auxiliary = {}, {}
        if return_attention:
            names = [f"{target} from {source}" for source in self.kinds for target in self.kinds]
            attention = dict(zip(names, self.encoders.weights(x_MNH, seen), strict=True))
        if self.training and self.unimodal_heads is not None:
            scores_MNS = self.unimodal_heads(self.dropout(torch.relu(u_MNH)))
            auxiliary = {
                kind: to_turns(scores_NS, row_N, *shape) for kind, scores_NS in zip(self.kinds, scores_MNS, strict=True)
            }
        return Output(to_turns(self.head(fused_NH), row_N, *shape), attention, auxiliary)

    def _inputs(self, batch: DialogueBatch, row_N: Tensor) -> Tensor:
        """The vectors of all real turns with their positions and their speakers ``[M, N, H]``."""
        vectors = self.turns.vectors(batch)
        x_MNH = torch.stack(
            [
                self.projections[kind](to_nodes(torch.cat([vectors[name] for name in names], dim=-1), row_N))
                for kind, names in self.kinds.items()
            ]
        )
        n_dialogues, n_turns = batch.is_real_turn.shape
        place_TH = sine_positions(n_turns, self.config.hidden_dim, self.head.weight)
        place_NH = place_TH.expand(n_dialogues, -1, -1).flatten(0, 1).index_select(0, row_N)
        if self.speakers is not None:
            party_N = batch.speaker.flatten().index_select(0, row_N).clamp_max(self.config.n_parties - 1)
            place_NH = place_NH + self.speakers(party_N)
        return x_MNH + place_NH

    def _modality_vectors(self, y_PNH: Tensor) -> Tensor:
        """One vector per modality and real turn ``[M, N, H]``, from the results of all pairs with this target."""
        n_modalities = len(self.kinds)
        by_target_MNH = y_PNH.view(n_modalities, n_modalities, *y_PNH.shape[1:]).permute(1, 2, 0, 3).flatten(2)
        u_MNH: Tensor = self.reduce(by_target_MNH)
        return u_MNH

    def _fuse(self, u_MNH: Tensor, is_present_MN: Tensor) -> Tensor:
        """Σ_m softmax_m(W u_m) ⊙ u_m, for every feature, over the modalities that the turn has."""
        logits_NHM = (u_MNH if self.fusion is None else self.fusion(u_MNH)).permute(1, 2, 0)
        weights_NHM = masked_softmax(logits_NHM, is_present_MN.T[:, None].expand_as(logits_NHM))
        return (weights_NHM * u_MNH.permute(1, 2, 0)).sum(-1)

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        """Weight of each auxiliary loss: ``text``, ``text_distilled``, …"""
        config, weights = self.config, {}
        for kind in self.kinds:
            weights[kind], weights[f"{kind}_distilled"] = config.unimodal_weight, config.distillation_weight
        return {name: weight for name, weight in weights.items() if weight > 0}

    def auxiliary_counts(self, batch: DialogueBatch) -> Mapping[str, float]:
        """The distances between heads are means over all real turns. The other losses count as the main loss does."""
        n_turns = float(batch.n_turns_host.sum())
        return {name: n_turns for name in self.auxiliary_weights if name.endswith("_distilled")}

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        """The losses of each modality's own head, and its distances to the fused head, summed over turns."""
        target = output.scores_BTS.detach() if self.config.detach_target else output.scores_BTS
        found = {}
        for kind, scores_BTS in output.auxiliary.items():
            found[kind] = loss(scores_BTS, batch)[0]
            distance_BT = self._distances(target, scores_BTS)
            found[f"{kind}_distilled"] = distance_BT.masked_fill(~batch.is_real_turn, 0.0).sum()
        return {name: value for name, value in found.items() if name in self.auxiliary_weights}

    def _distances(self, target_BTS: Tensor, scores_BTS: Tensor) -> Tensor:
        """KL(softmax(target / τ) ‖ softmax(scores / τ)) of every turn; in a regression the mean square difference."""
        if self.task is not None and not self.task.gives_probabilities:
            return (target_BTS - scores_BTS).square().mean(-1)
        log_p, log_q = (
            (scores.to(torch.promote_types(scores.dtype, torch.float32)) / self.config.temperature).log_softmax(-1)
            for scores in (target_BTS, scores_BTS)
        )
        return nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)
