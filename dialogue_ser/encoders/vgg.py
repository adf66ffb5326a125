"""A VGG-like CNN over log-mel images, trained with the model: the acoustic branch of system E2."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.frame_norm import FrameBatchNorm
from dialogue_ser.nn.token_rows import forward_passes


@dataclass(frozen=True, kw_only=True, slots=True)
class VGGConfig:
    """Options of VGG. The document gives the dropout and the number of layers; the other defaults are own choice.

    Args:
        channels: of the image: 1 of ``logmel``, 3 of ``logmel3`` and ``mel-delta``.
        widths: channels behind each convolution; each is followed by a max-pool, which halves time and bands.
        linear_dims: sizes of the linear layers, the last of which is the utterance vector.
        dropout: behind each linear layer.
        negative_slope: of LeakyReLU (torch's).
        batch_norm: between each convolution and its pooling; not in the document.
    """

    channels: int = 1
    widths: Sequence[int] = (16, 32, 64, 128, 128)
    linear_dims: Sequence[int] = (256, 128)
    dropout: float = 0.6
    negative_slope: float = 0.01
    batch_norm: bool = False

    def __post_init__(self) -> None:
        sizes = {"channels": [self.channels], "widths": self.widths, "linear_dims": self.linear_dims}
        problems = [
            f"{name} {list(values)} must be one or more sizes of at least 1"
            for name, values in sizes.items()
            if not values or min(values) < 1
        ]
        shares = {"dropout": self.dropout, "negative_slope": self.negative_slope}
        problems += [f"{name} {x} must be at least 0 and below 1" for name, x in shares.items() if not 0 <= x < 1]
        if problems:
            raise ConfigError(*(f"vgg: {problem}" for problem in problems))


class VGG(TrainedEncoder):
    """5 × (Conv 3×3 → max-pool 2 → LeakyReLU) → mean over time → 2 × (linear → LeakyReLU → dropout) (EQUATIONS.md E2).

    The softmax head with its layer to the classes is the model's. Own choices: the sizes; 3×3 filters as VGG has them
    (He et al.'s initial weights, because nothing normalises in between); the mean over time, which takes images of any
    length and keeps the bands apart; a pooling window that overhangs the image takes what there is. LeakyReLU rises, so
    it gives the same behind the pooling, for a quarter of the work.

    Each image gives what it would alone: beyond its end lie zeros for a convolution and nothing for a pooling. Images
    of like length share a pass, so that little padding is computed; batch norm wants them all in one while training.

    Args:
        config: options.
        dim: D of the frames: channel behind channel, each with its bands.

    Raises:
        ConfigError: ``dim`` is no multiple of the channels.
    """

    name = "vgg"
    description = "VGG-like CNN over log-mel images of any length (options frames, frames_options)"
    front_end = "frames"
    Config = VGGConfig

    def __init__(self, config: VGGConfig, dim: int) -> None:
        super().__init__()
        if dim % config.channels:
            raise ConfigError(f"vgg: {dim} features are not {config.channels} channels of equally many; set channels")
        self.config = config
        widths = [config.channels, *config.widths]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(FrameBatchNorm(width) for width in config.widths if config.batch_norm)
        n_bands = dim // config.channels
        for convolution in self.convolutions:
            n_bands = -(-n_bands // 2)
            nn.init.kaiming_normal_(convolution.weight, a=config.negative_slope)
            nn.init.zeros_(convolution.bias)
        dims = [widths[-1] * n_bands, *config.linear_dims]
        self.linear = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(config.negative_slope), nn.Dropout(config.dropout))
                for a, b in pairwise(dims)
            )
        )
        self.out_dim = dims[-1]

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per image."""
        order, ends = forward_passes(host_lengths_N.tolist())
        if self.norms and self.training:
            ends = [len(order)]
        order_N = torch.tensor(order).to(values_NL.device)
        values_NL, lengths_N = values_NL.index_select(0, order_N), lengths_N.index_select(0, order_N)
        pooled = []
        for start, stop in pairwise([0, *ends]):
            host_lengths = host_lengths_N[order[start:stop]].clamp_min(1).tolist()
            pooled.append(self._pooled(values_NL[start:stop, : host_lengths[0]], lengths_N[start:stop], host_lengths))
        out_ND: Tensor = self.linear(torch.cat(pooled))
        return torch.zeros_like(out_ND).index_copy(0, order_N, out_ND)

    def _pooled(
        self, values_NLF: Float[Tensor, "row length feature"], lengths_N: Int[Tensor, " row"], host_lengths: list[int]
    ) -> Float[Tensor, "row pooled"]:
        """What the convolutions see in images sorted from long to short, averaged over time."""
        channels, slope = self.config.channels, self.config.negative_slope
        x_NLF = values_NLF.masked_fill(~is_valid(lengths_N, values_NLF.shape[1])[..., None], 0.0)
        x_NKLF = x_NLF.unflatten(2, (channels, -1)).transpose(1, 2)
        x_NKLF = x_NKLF.to(memory_format=torch.channels_last)  # half the time on a CPU
        lengths_N = lengths_N.clamp_min(1)
        for i, convolution in enumerate(self.convolutions):
            x_NKLF = convolution(x_NKLF)
            if self.norms:
                x_NKLF = _normalised(x_NKLF, lengths_N, self.norms[i])
            x_NKLF = nn.functional.max_pool2d(_ended(x_NKLF, lengths_N, host_lengths), 2, ceil_mode=True)
            lengths_N, host_lengths = (lengths_N + 1) // 2, [(length + 1) // 2 for length in host_lengths]
            is_beyond_NL = ~is_valid(lengths_N, x_NKLF.shape[2])
            x_NKLF = nn.functional.leaky_relu(x_NKLF, slope).masked_fill(is_beyond_NL[:, None, :, None], 0.0)
        return (x_NKLF.sum(2) / lengths_N[:, None, None]).flatten(1)


def _ended(
    x_NKLF: Float[Tensor, "row channel length band"], lengths_N: Int[Tensor, " row"], host_lengths: list[int]
) -> Float[Tensor, "row channel length band"]:
    """The first frame beyond each image's end is −∞, so that a pooling window that reaches it takes the others."""
    n_whole = host_lengths.count(x_NKLF.shape[2])
    rows_N = torch.arange(n_whole, len(host_lengths), device=x_NKLF.device)
    x_NKLF[rows_N, :, lengths_N[n_whole:]] = -torch.inf
    return x_NKLF


def _normalised(
    x_NKLF: Float[Tensor, "row channel length band"], lengths_N: Int[Tensor, " row"], norm: nn.Module
) -> Float[Tensor, "row channel length band"]:
    """Batch norm per channel over the valid frames' bands."""
    x_NLFK = x_NKLF.permute(0, 2, 3, 1)
    is_valid_NL = is_valid(lengths_N, x_NLFK.shape[1]).repeat_interleave(x_NLFK.shape[2], dim=1)
    normal_NLK: Tensor = norm(x_NLFK.flatten(1, 2), is_valid_NL)
    return normal_NLK.view(x_NLFK.shape).permute(0, 3, 1, 2)
