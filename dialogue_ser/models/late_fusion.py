"""Late fusion of single utterances: each modality decides for itself, then their decisions are weighed (system E2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnReader
from dialogue_ser.options import check_fields
from dialogue_ser.tasks.base import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class LateFusionConfig:
    """Options of late fusion.

    Args:
        dropout: on each modality's vector, in front of its classes.
        projection: modality → size of a Linear + tanh in front of that (not in the document).
    """

    dropout: float = 0.1
    projection: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields("model late-fusion: model.options", self)


class LateFusion(DialogueSystem):
    """Σ_m (W_m softmax(V_m x_m + c_m) + b_m) over the modalities that are there (docs/equations.md, E2).

    In a regression each modality decides by its values V_m x_m + c_m, without the softmax, and every W_m begins as the
    identity divided by the number of modalities (own choice): their mean.

    Any number of modalities, one too. One that is absent adds nothing, its bias b_m included; a turn without any gets
    equal probabilities. No turn knows of another.

    The document trains text and audio apart, then both together: ``training.begin_from`` names the two runs, without it
    all is trained at once, from each encoder's own beginning. Every W_m begins as C times the identity (own choice).
    From random W_m the branches' classes mean nothing to begin with: trained at once on MELD it never left the majority
    class, and from the plain identity it was slow.

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

    def __init__(self, config: LateFusionConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.dropout)
        dims = self.turns.fusion.dims
        self.heads = nn.ModuleDict({name: nn.Linear(size, n_scores) for name, size in dims.items()})
        self.weighings = nn.ModuleDict({name: nn.Linear(n_scores, n_scores) for name in dims})
        self._decides_by_values = False
        self._begin_with(float(n_scores))

    def take_task(self, task: Task) -> None:
        """Values of a regression are not squeezed through a softmax."""
        super().take_task(task)
        self._decides_by_values = not task.gives_probabilities
        if self._decides_by_values:
            self._begin_with(1.0 / len(self.weighings))

    @torch.no_grad()
    def _begin_with(self, weight: float) -> None:
        """Every W_m that many times the identity."""
        for name in self.weighings:
            self.get_parameter(f"weighings.{name}.weight").copy_(weight * torch.eye(self.n_scores))
            self.get_parameter(f"weighings.{name}.bias").zero_()

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; it has no attention to show."""
        vectors = self.turns(batch).split(list(self.turns.fusion.dims.values()), dim=-1)
        sum_BTS: Tensor | float = 0.0
        for (name, head), x_BTD in zip(self.heads.items(), vectors, strict=True):
            decision_BTS = head(x_BTD)
            if not self._decides_by_values:
                # through the logarithm, so that runs of earlier versions repeat to the last bit
                precision = torch.promote_types(decision_BTS.dtype, torch.float32)
                decision_BTS = decision_BTS.log_softmax(-1, dtype=precision).exp()
            is_absent_BT1 = ~batch.is_present[name][..., None]
            sum_BTS = sum_BTS + self.weighings[name](decision_BTS).masked_fill(is_absent_BT1, 0.0)
        assert isinstance(sum_BTS, Tensor)
        return Output(sum_BTS, {})

    def take_branch(self, modality: str, weights: Mapping[str, Tensor]) -> None:
        """The encoder and the classes of one modality from a trained ``utterance`` system over it alone.

        Raises:
            RuntimeError: weights that are missing, too many or of another shape.
        """
        own = {name: value for name, value in self.state_dict().items() if modality in name.split(".")}
        taken = {
            f"heads.{modality}.{name.removeprefix('head.')}" if name.startswith("head.") else name: value
            for name, value in weights.items()
        }
        own = {name: value for name, value in own.items() if not name.startswith("weighings.")}
        if own.keys() != taken.keys():
            raise RuntimeError(f"it lacks {sorted(own.keys() - taken)} and has {sorted(taken.keys() - own)}")
        self.load_state_dict(taken, strict=False)

    def stream(self) -> TurnReader:
        """A reader of one dialogue, turn by turn; it keeps nothing of the earlier ones."""

        def read(batch: DialogueBatch) -> Tensor:
            return self(batch).scores_BTS[0, 0]  # type: ignore[no-any-return]

        return read
