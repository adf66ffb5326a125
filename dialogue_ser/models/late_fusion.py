"""Late fusion of single utterances: each modality decides for itself, then their decisions are weighed (system E2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnReader, log_probabilities
from dialogue_ser.options import check_fields


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
    """Σ_m (W_m softmax(V_m x_m + c_m) + b_m) over the modalities that are there → log-softmax (EQUATIONS.md E2).

    Any number of modalities, one too. One that is absent adds nothing, its bias b_m included; a turn without any gets
    equal probabilities. No turn knows of another.

    The document trains text and audio apart, then both together: ``training.begin_from`` names the two runs, without it
    all is trained at once, from each encoder's own beginning. Every W_m begins as C times the identity (own choice).
    From random W_m the branches' classes mean nothing to begin with: trained at once on MELD it never left the majority
    class, and from the plain identity it was slow.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_classes: C.
    """

    name = "late-fusion"
    Config = LateFusionConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False

    def __init__(self, config: LateFusionConfig, inputs: Mapping[str, InputSpec], n_classes: int) -> None:
        super().__init__(inputs, n_classes)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.dropout)
        dims = self.turns.fusion.dims
        self.heads = nn.ModuleDict({name: nn.Linear(size, n_classes) for name, size in dims.items()})
        self.weighings = nn.ModuleDict({name: nn.Linear(n_classes, n_classes) for name in dims})
        with torch.no_grad():
            for name in dims:
                self.get_parameter(f"weighings.{name}.weight").copy_(n_classes * torch.eye(n_classes))
                self.get_parameter(f"weighings.{name}.bias").zero_()

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Log-probabilities of every turn; it has no attention to show."""
        vectors = self.turns(batch).split(list(self.turns.fusion.dims.values()), dim=-1)
        sum_BTC: Tensor | float = 0.0
        for (name, head), x_BTD in zip(self.heads.items(), vectors, strict=True):
            p_BTC = log_probabilities(head(x_BTD)).exp()
            is_absent_BT1 = ~batch.is_present[name][..., None]
            sum_BTC = sum_BTC + self.weighings[name](p_BTC).masked_fill(is_absent_BT1, 0.0)
        assert isinstance(sum_BTC, Tensor)
        return Output(log_probabilities(sum_BTC), {})

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
            return self(batch).log_probs_BTC[0, 0]  # type: ignore[no-any-return]

        return read
