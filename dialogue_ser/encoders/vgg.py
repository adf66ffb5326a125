"""A VGG-like CNN over log-mel images, the acoustic branch of E2 (docs/equations.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems
from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm
from dialogue_ser.nn.frames.token_rows import group_by_length


@dataclass(frozen=True, kw_only=True, slots=True)
class VGGConfig:
    """Options of VGG. The document gives the dropout and the number of layers; the other defaults are own choices.

    Args:
        channels: number of channels of the image: 1 for ``logmel``, 3 for ``logmel3`` and ``mel-delta``.
        widths: number of output channels of each convolution. A max-pool after each convolution halves the numbers of
            frames and bands.
        linear_dims: sizes of the linear layers; the last one is the size of the utterance vector.
        dropout: dropout rate after each linear layer.
        negative_slope: slope of LeakyReLU below 0 (default as in torch).
        batch_norm: add batch norm after each pooling; the document has none.
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
        problems += rate_problems(dropout=self.dropout, negative_slope=self.negative_slope)
        raise_problems("vgg", problems)


class VGG(TrainedEncoder):
    """5 × (Conv 3×3 → max-pool 2 → LeakyReLU) → mean over time → 2 × (linear → LeakyReLU → dropout) (E2).

    The linear layer to the classes and the softmax belong to the model. The preset counts this layer as the second of
    the document's two linear layers, so it has one linear layer here (``linear_dims: [256]``).

    Own choices: the sizes; filters of 3×3 as in VGG; initial weights of He et al., because there is no normalisation
    between the layers; the mean over time, which works for images of any length and keeps the bands separate. A pooling
    window that reaches beyond the end of an image uses the pixels inside. LeakyReLU never falls, so it gives the same
    result after the pooling as before it, with a quarter of the work.

    The result of an image does not depend on the other images: beyond its end, a convolution reads zeros and a pooling
    reads nothing. Images of similar lengths share a pass, so that little padding is computed.

    Args:
        config: options.
        dim: D, the number of features of a frame: the channels one after another, each with all its bands.

    Raises:
        ConfigError: ``dim`` is not a multiple of ``channels``.
    """

    name = "vgg"
    description = "VGG-like CNN over log-mel images of any length (options frames, frames_options)"
    front_end = "frames"
    Config = VGGConfig

    def __init__(self, config: VGGConfig, dim: int) -> None:
        super().__init__()
        if dim % config.channels:
            raise ConfigError(
                f"vgg: {dim} features cannot be divided into {config.channels} channels of equal size; set channels to "
                "the number of channels of the frames"
            )
        self.config = config
        widths = [config.channels, *config.widths]
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)]
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(FrameBatchNorm(width) for width in config.widths if config.batch_norm)
        n_bands = dim // config.channels
        for convolution in convolutions:
            n_bands = -(-n_bands // 2)
            nn.init.kaiming_normal_(convolution.weight, a=config.negative_slope)
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
        order, ends = group_by_length(host_lengths_N.tolist())
        order_N = torch.tensor(order).to(values_NL.device)
        values_NL, lengths_N = values_NL.index_select(0, order_N), lengths_N.index_select(0, order_N)
        passes = []
        for start, stop in pairwise([0, *ends]):
            host_lengths = host_lengths_N[order[start:stop]].clamp_min(1).tolist()
            x_NLF = values_NL[start:stop, : host_lengths[0]]
            passes.append(_Images.of(x_NLF, lengths_N[start:stop], host_lengths, self.config.channels))
        for i, convolution in enumerate(self.convolutions):
            passes = [images.with_map(convolution(images.x_NKLF)).halved() for images in passes]
            if self.norms:
                passes = _normalise(passes, self.norms[i])
            passes = [images.rectified(self.config.negative_slope) for images in passes]
        out_ND: Tensor = self.linear(torch.cat([images.mean() for images in passes]))
        return torch.zeros_like(out_ND).index_copy(0, order_N, out_ND)


@dataclass(frozen=True)
class _Images:
    """Images, or feature maps of images, that share a pass; the longest comes first.

    Args:
        x_NKLF: the maps, with the axes row, channel, frame, band.
        lengths_N: number of frames per row, at least 1.
        host_lengths: the same numbers on the CPU.
    """

    x_NKLF: Float[Tensor, "row channel length band"]
    lengths_N: Int[Tensor, " row"]
    host_lengths: list[int]

    @classmethod
    def of(
        cls, x_NLF: Float[Tensor, "row length feature"], lengths_N: Tensor, host_lengths: list[int], channels: int
    ) -> "_Images":
        """Build images from frames, whose channels come one after another; 0 beyond the end of each row."""
        x_NLF = x_NLF.masked_fill(~is_valid(lengths_N, x_NLF.shape[1])[..., None], 0.0)
        x_NKLF = x_NLF.view(*x_NLF.shape[:2], channels, -1).transpose(1, 2)
        # In this memory format a CPU needs half the time.
        return cls(x_NKLF.to(memory_format=torch.channels_last), lengths_N.clamp_min(1), host_lengths)

    @property
    def is_frame_NL(self) -> Bool[Tensor, "row length"]:
        """True on valid frames, False beyond the end of each row."""
        return is_valid(self.lengths_N, self.x_NKLF.shape[2])

    def with_map(self, x_NKLF: Tensor) -> "_Images":
        """The same images with another map."""
        return replace(self, x_NKLF=x_NKLF)

    def halved(self) -> "_Images":
        """The maps after max-pooling by 2; a window that reaches beyond the end of a row uses the frames inside."""
        x_NKLF, n_rows = self.x_NKLF, len(self.host_lengths)
        n_whole = self.host_lengths.count(x_NKLF.shape[2])
        rows_N = torch.arange(n_whole, n_rows, device=x_NKLF.device)
        x_NKLF[rows_N, :, self.lengths_N[n_whole:]] = -torch.inf  # windows with a valid frame read at most one more
        x_NKLF = nn.functional.max_pool2d(x_NKLF, 2, ceil_mode=True)
        return _Images(x_NKLF, (self.lengths_N + 1) // 2, [(length + 1) // 2 for length in self.host_lengths])

    def rectified(self, slope: float) -> "_Images":
        """The maps after LeakyReLU; 0 beyond the end of each row."""
        x_NKLF = nn.functional.leaky_relu(self.x_NKLF, slope)
        return self.with_map(x_NKLF.masked_fill(~self.is_frame_NL[:, None, :, None], 0.0))

    def mean(self) -> Float[Tensor, "row pooled"]:
        """The mean over time; the maps must be 0 beyond the end of each row."""
        return (self.x_NKLF.sum(2) / self.lengths_N[:, None, None]).flatten(1)


def _normalise(passes: list[_Images], norm: nn.Module) -> list[_Images]:
    """Batch norm per channel over the valid pixels of all passes."""
    maps = [images.x_NKLF.permute(0, 2, 3, 1) for images in passes]
    is_valid_1V = torch.cat(
        [images.is_frame_NL.repeat_interleave(x.shape[2]) for images, x in zip(passes, maps, strict=True)]
    )[None]
    normal_1VK: Tensor = norm(torch.cat([x.flatten(0, 2) for x in maps])[None], is_valid_1V)
    parts = torch.split(normal_1VK[0], [x[..., 0].numel() for x in maps])
    return [
        images.with_map(part.view(x.shape).permute(0, 3, 1, 2))
        for images, part, x in zip(passes, parts, maps, strict=True)
    ]
