"""The first part of most systems: the encoders of all modalities, and the fusion to one vector per turn."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders import build_input
from dialogue_ser.encoders.base import TrainedEncoder
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.nn.fusion import ConcatFusion
from dialogue_ser.tensors import FeaturesBTD


class TurnVectors(nn.Module):
    """From a batch to one vector per turn and modality: frozen vectors, and outputs of trained encoders.

    Args:
        inputs: modality → shape of its features.

    Attributes:
        dims: modality → number of features of its vector.
    """

    def __init__(self, inputs: Mapping[str, InputSpec]) -> None:
        super().__init__()
        built: dict[str, Any] = {name: build_input(spec) for name, spec in inputs.items()}
        self.encoders = nn.ModuleDict(built)
        self.dims = {name: int(encoder.out_dim) for name, encoder in built.items()}

    def vectors(self, batch: DialogueBatch) -> dict[str, FeaturesBTD]:
        """Modality → vectors of all turns; exactly 0 where the turn lacks the modality, and on padding."""
        return {
            name: self._vector(name, batch).masked_fill(~batch.is_present[name][..., None], 0.0)
            for name in self.encoders
        }

    def _vector(self, name: str, batch: DialogueBatch) -> FeaturesBTD:
        """The vectors of one modality; a trained encoder gets the lengths and the presence on the CPU."""
        encoder, lengths_BT, is_present_BT = self.encoders[name], batch.lengths.get(name), batch.is_present[name]
        if isinstance(encoder, TrainedEncoder):
            is_present_BT = batch.on_host(is_present_BT)
            lengths_BT = None if lengths_BT is None else batch.on_host(lengths_BT)
        vector_BTD: Tensor = encoder(batch.features[name], lengths_BT, is_present_BT)
        return vector_BTD


class TurnEncoder(TurnVectors):
    """From a batch to one vector per turn: frozen vectors and outputs of trained encoders, concatenated.

    Args:
        inputs: modality → shape of its features, in the order of concatenation.
        projection: modality → size of a linear layer with tanh before the concatenation; a modality that is not named
            has no such layer.
        dropout: dropout rate on the vector of each modality.

    Raises:
        ConfigError: ``projection`` names a modality that is not in ``inputs``.
    """

    def __init__(
        self, inputs: Mapping[str, InputSpec], *, projection: Mapping[str, int] | None = None, dropout: float = 0.0
    ) -> None:
        for name in projection or {}:
            if name not in inputs:
                raise ConfigError(f"model.options.projection: {unknown_name('modality', name, inputs)}")
        super().__init__(inputs)
        self.fusion = ConcatFusion(self.dims, projection=projection, dropout=dropout)

    @property
    def out_dim(self) -> int:
        """D, the number of features of the fused vector x."""
        return self.fusion.out_dim

    def forward(self, batch: DialogueBatch) -> FeaturesBTD:
        """The fused vector x of every turn; the part of a modality is 0 where it is absent and on padding."""
        vectors = {name: self._vector(name, batch) for name in self.encoders}
        x_BTD: Tensor = self.fusion(vectors, batch.is_present)
        return x_BTD
