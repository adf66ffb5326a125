"""A weighted mean of the layers of a frozen network, with learned weights, averaged over frames."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMixConfig:
    """Options of LayerMix.

    Args:
        n_layers: number of layers that the frozen encoder concatenates: 13 for base models (12 layers and the input of
            the first one), 25 for large models.
        normalise: scale every layer to mean 0 and variance 1 over its features before the layers are mixed. Use it if
            the values of some layers are much larger than those of others.
        dropout: dropout rate on the mixed vector.
    """

    n_layers: int = 13
    normalise: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        raise_problems("layer-mix", size_problems(n_layers=self.n_layers) + rate_problems(dropout=self.dropout))


class LayerMix(TrainedEncoder):
    """Σ softmax(w)_i · layer_i with one trained w per layer, then the mean over frames (as in SUPERB).

    The weights are equal at the start. The input is frames ``[L, n·D]``, or vectors ``[n·D]`` that were averaged over
    frames before. Both give the same result unless ``normalise`` is set, and vectors take about a hundredth of the
    space.

    Args:
        config: options.
        dim: n·D, the number of features of all n layers.

    Raises:
        ConfigError: ``dim`` is not a multiple of the number of layers.
    """

    name = "layer-mix"
    description = "learned weighting of a speech or text network's layers (options frames, frames_options, n_layers)"
    front_end = "frames"
    takes_vectors = True
    Config = LayerMixConfig

    def __init__(self, config: LayerMixConfig, dim: int) -> None:
        super().__init__()
        if dim % config.n_layers:
            raise ConfigError(
                f"layer-mix: {dim} features are not those of {config.n_layers} layers; set n_layers to the number of "
                "layers that the frozen encoder concatenates (layers: all gives 13 of a base, 25 of a large model)"
            )
        self.config = config
        self.out_dim = dim // config.n_layers
        self.scores_K = nn.Parameter(torch.zeros(config.n_layers))
        self.dropout = nn.Dropout(config.dropout)

    @property
    def layer_weights(self) -> Float[Tensor, " layer"]:
        """Weight of each layer; the weights sum to 1."""
        return torch.softmax(self.scores_K, dim=0)

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"] | None = None,
    ) -> Float[Tensor, "row out"]:
        """The mean of the mixed layers over the valid frames of each row."""
        is_padding_NL = ~is_valid(lengths_N, values_NL.shape[1])
        x_NLF = values_NL.masked_fill(is_padding_NL[..., None], 0.0)
        x_NLKD = x_NLF.reshape(*values_NL.shape[:2], self.config.n_layers, self.out_dim)
        if self.config.normalise:
            x_NLKD = nn.functional.layer_norm(x_NLKD, (self.out_dim,))  # padding stays 0
        mean_NKD = x_NLKD.sum(1) / lengths_N.clamp_min(1)[:, None, None]
        mixed_ND: Tensor = self.dropout(torch.einsum("k,nkd->nd", self.layer_weights, mean_NKD))
        return mixed_ND
