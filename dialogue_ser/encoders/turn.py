"""From a batch to one vector per turn: every modality's encoder, then the fusion. All systems begin with it."""

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


class TurnEncoder(nn.Module):
    """x_BTD of a batch: frozen vectors as they are, tokens and frames through their trained encoder, then concatenated.

    Args:
        inputs: modality → shape of its features, in the order they are concatenated.
        projection: modality → size of a Linear + tanh before the concatenation.
        dropout: on each modality's vector.

    Raises:
        ConfigError: a projection of a modality that is not among the inputs.
    """

    def __init__(
        self, inputs: Mapping[str, InputSpec], *, projection: Mapping[str, int] | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        for name in projection or {}:
            if name not in inputs:
                raise ConfigError(f"model.options.projection: {unknown_name('modality', name, inputs)}")
        built: dict[str, Any] = {name: build_input(spec) for name, spec in inputs.items()}
        self.encoders = nn.ModuleDict(built)
        dims = {name: int(encoder.out_dim) for name, encoder in built.items()}
        self.fusion = ConcatFusion(dims, projection=projection, dropout=dropout)

    @property
    def out_dim(self) -> int:
        """D of x."""
        return self.fusion.out_dim

    def forward(self, batch: DialogueBatch) -> FeaturesBTD:
        """X of every turn; 0 where a modality is absent and on padding."""
        vectors = {name: self._vector(name, batch) for name in self.encoders}
        x_BTD: Tensor = self.fusion(vectors, batch.is_present)
        return x_BTD

    def _vector(self, name: str, batch: DialogueBatch) -> FeaturesBTD:
        """One modality; a trained encoder plans on the host which turns it computes."""
        encoder, lengths_BT, is_present_BT = self.encoders[name], batch.lengths.get(name), batch.is_present[name]
        if isinstance(encoder, TrainedEncoder):
            is_present_BT = batch.on_host(is_present_BT)
            lengths_BT = None if lengths_BT is None else batch.on_host(lengths_BT)
        vector_BTD: Tensor = encoder(batch.features[name], lengths_BT, is_present_BT)
        return vector_BTD
