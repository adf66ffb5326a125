"""Late fusion of single utterances: each modality is classified alone, then the results are combined (E2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream, stream_of_single_turns
from dialogue_ser.options import check_fields
from dialogue_ser.tasks.base import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class LateFusionConfig:
    """Options of late fusion.

    Args:
        dropout: dropout rate on the vector of each modality, before the linear layer that gives its class scores.
        projection: modality → size of a linear layer with tanh before that linear layer (not in the document); a
            modality that is not named has no projection.
    """

    dropout: float = 0.1
    projection: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields("model late-fusion: model.options", self)


class LateFusion(DialogueSystem):
    """Each turn alone: every modality is classified separately, and the results are added with learned weights (E2).

    scores = Σ_m (W_m softmax(V_m x_m + c_m) + b_m) over the modalities that the turn has (docs/equations.md, E2).

    There may be any number of modalities, also one. A modality that is absent adds nothing, not even its bias b_m. A
    turn without any modality gets equal probabilities. No turn knows its neighbours.

    In a regression there is no softmax: a modality gives the values V_m x_m + c_m. Every W_m then starts as the
    identity divided by the number of modalities (own choice), so the sum starts as the mean of the values.

    The document trains text and audio separately, and then both together. ``training.begin_from`` names the two
    separate runs. Without it, everything is trained at once, and each encoder starts from its usual weights. In a
    classification every W_m starts as C times the identity (own choice). With random W_m, the classes of the branches
    have no meaning at the start: on MELD, such a model always predicted the majority class. With the plain identity,
    training was slow.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "late-fusion"
    Config = LateFusionConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False
    branch_model = "utterance"

    def __init__(self, config: LateFusionConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.dropout)
        dims = self.turns.fusion.dims
        self.heads = nn.ModuleDict({name: nn.Linear(size, n_scores) for name, size in dims.items()})
        self.weighings = nn.ModuleDict({name: nn.Linear(n_scores, n_scores) for name in dims})
        self._is_regression = False
        self._set_weighings(float(n_scores))

    def take_task(self, task: Task) -> None:
        """Set the task; for a regression, leave out the softmax and start with the mean of the modalities."""
        super().take_task(task)
        self._is_regression = not task.gives_probabilities
        if self._is_regression:
            self._set_weighings(1.0 / len(self.weighings))

    @torch.no_grad()
    def _set_weighings(self, weight: float) -> None:
        """Set every W_m to ``weight`` times the identity, and every b_m to 0."""
        for name in self.weighings:
            self.get_parameter(f"weighings.{name}.weight").copy_(weight * torch.eye(self.n_scores))
            self.get_parameter(f"weighings.{name}.bias").zero_()

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; this system has no attention."""
        vectors = self.turns(batch).split(list(self.turns.fusion.dims.values()), dim=-1)
        sum_BTS: Tensor | float = 0.0
        for (name, head), x_BTD in zip(self.heads.items(), vectors, strict=True):
            decision_BTS = head(x_BTD)
            if not self._is_regression:
                # exp(log_softmax) instead of softmax: runs of earlier versions then give the same numbers to the last
                # bit.
                precision = torch.promote_types(decision_BTS.dtype, torch.float32)
                decision_BTS = decision_BTS.log_softmax(-1, dtype=precision).exp()
            is_absent_BT1 = ~batch.is_present[name][..., None]
            sum_BTS = sum_BTS + self.weighings[name](decision_BTS).masked_fill(is_absent_BT1, 0.0)
        assert isinstance(sum_BTS, Tensor)
        return Output(sum_BTS, {})

    @property
    def has_branches(self) -> bool:
        """Every modality has a branch."""
        return True

    def take_branch(self, modality: str, weights: Mapping[str, Tensor]) -> None:
        """Load the encoder and the class layer of one modality from a trained ``utterance`` system.

        Args:
            modality: the only modality of the ``utterance`` system.
            weights: the ``state_dict`` of the ``utterance`` system.

        Raises:
            RuntimeError: weights are missing, unknown or of another shape.
        """
        expected = {
            name for name in self.state_dict() if modality in name.split(".") and not name.startswith("weighings.")
        }
        branch = {
            f"heads.{modality}.{name.removeprefix('head.')}" if name.startswith("head.") else name: value
            for name, value in weights.items()
        }
        if expected != branch.keys():
            raise RuntimeError(
                f"weights are missing: {sorted(expected - branch.keys())}; unknown: {sorted(branch.keys() - expected)}"
            )
        self.load_state_dict(branch, strict=False)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; it keeps nothing of the earlier turns."""
        return stream_of_single_turns(self)
