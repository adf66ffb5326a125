"""AlexNet over mel images of three channels, from random or from torchvision's weights: the acoustic branch of E4."""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.errors import CheckpointError, ConfigError, MissingDataError
from dialogue_ser.nn.resize import resize_weights

_CHANNELS = 3
_LEAST_SIZE = 63  # below it nothing is left behind the last pooling
_POOLED = 6
#: Layers that torchvision's weights are taken over for, from below; its last one tells 1000 kinds of things apart.
PRETRAINED = ("features.0", "features.3", "features.6", "features.8", "features.10", "classifier.1", "classifier.4")
_REPLACED = "classifier.6"
_HOW_TO_CONVERT = (
    "convert torchvision's file once, with safetensors.torch.save_file(torch.load('alexnet-owt-7be5be79.pth', "
    "weights_only=True), 'alexnet.safetensors')"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlexNetConfig:
    """Options of AlexNet.

    Args:
        size: height and width to which images are resized; 224 as torchvision's weights saw them; 64 takes
            a twelfth of the convolutions' time.
        width: share of torchvision's channels and of its 4096 units; below 1 for a CPU.
        dropout: before the first and the second linear layer (torchvision's; the document's formula has none).
        out_dim: a third linear layer to vectors of this size; None = the vector behind the second (4096).
        weights: safetensors file of torchvision's AlexNet; None = random (He et al.'s).
        pretrained: read ``weights``; saved models say no, because their own follow.
    """

    size: int = 224
    width: float = 1.0
    dropout: float = 0.5
    out_dim: int | None = None
    weights: str | None = None
    pretrained: bool = True

    def __post_init__(self) -> None:
        problems = []
        if self.size < _LEAST_SIZE:
            problems.append(f"size {self.size} must be at least {_LEAST_SIZE}")
        if not 0 < self.width <= 1:
            problems.append(f"width {self.width} must be above 0 and at most 1")
        if not 0 <= self.dropout < 1:
            problems.append(f"dropout {self.dropout} must be at least 0 and below 1")
        if self.out_dim is not None and self.out_dim < 1:
            problems.append(f"out_dim {self.out_dim} must be at least 1")
        if problems:
            raise ConfigError(*(f"alexnet: {problem}" for problem in problems))


class AlexNet(TrainedEncoder):
    """Five convolutions and the linear layers of torchvision's AlexNet, under its parameter names (docs/equations.md).

    The third linear layer is the head of the model above, so that under ``utterance`` this is the document's
    softmax(fc(ReLU(fc(ReLU(fc(features)))))), and its fusion is one linear layer over these features and the text's.

    Every image is resized to ``size`` × ``size`` over its own valid frames (own choice, against pooling what is there):
    five strided layers leave nothing of clips below 1.5 s, pretrained filters expect such pictures, and each costs the
    same. A long utterance is squeezed, so tempo is lost. Height is the bands, width the time.

    Args:
        config: options.
        dim: D of the frames: three channels behind one another, each with its bands (``logmel3``, ``mel-delta``).

    Raises:
        ConfigError: frames that are not of three channels.
        MissingDataError: no file of weights there.
        CheckpointError: a file of other weights, or none of safetensors.
    """

    name = "alexnet"
    description = "AlexNet over mel images of three channels (options frames, frames_options), torchvision's weights"
    front_end = "frames"
    Config = AlexNetConfig

    def __init__(self, config: AlexNetConfig, dim: int) -> None:
        super().__init__()
        if dim % _CHANNELS:
            raise ConfigError(
                f"alexnet: {dim} features are not {_CHANNELS} channels of equally many; read frames of logmel3 or "
                "mel-delta"
            )
        self.config = config
        a, b, c, d, units = (max(1, round(config.width * n)) for n in (64, 192, 384, 256, 4096))
        self.features = nn.Sequential(
            nn.Conv2d(_CHANNELS, a, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(a, b, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(b, c, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c, d, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(d, d, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(_POOLED)
        linear = [nn.Linear(d * _POOLED**2, units), nn.Linear(units, units)]
        last = [] if config.out_dim is None else [nn.Linear(units, config.out_dim)]
        dropouts = [nn.Dropout(config.dropout) for _ in linear]
        self.classifier = nn.Sequential(dropouts[0], linear[0], nn.ReLU(), dropouts[1], linear[1], nn.ReLU(), *last)
        self.out_dim = config.out_dim or units
        if config.weights is not None and config.pretrained:
            self._take_over(Path(config.weights).expanduser())
        elif config.weights is None:
            for name in PRETRAINED:
                nn.init.kaiming_normal_(self.get_parameter(f"{name}.weight"), nonlinearity="relu")

    def depths(self) -> dict[str, int]:
        """Parameter → layers above it, if it began with torchvision's weights."""
        if self.config.weights is None:
            return {}
        layers = PRETRAINED[::-1]
        return {f"{name}.{part}": depth for depth, name in enumerate(layers) for part in ("weight", "bias")}

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per image."""
        pooled_NKHW = self.avgpool(self.features(self.resized(values_NL, lengths_N)))
        out_ND: Tensor = self.classifier(pooled_NKHW.flatten(1))
        return out_ND

    def resized(
        self, values_NL: Float[Tensor, "row length feature"], lengths_N: Int[Tensor, " row"]
    ) -> Float[Tensor, "row channel height width"]:
        """The images the network sees; what stands beyond a row's length is not read."""
        size, n_frames = self.config.size, values_NL.shape[1]
        x_NLF = values_NL.masked_fill(~is_valid(lengths_N, n_frames)[..., None], 0.0)
        x_NWF = resize_weights(lengths_N, n_frames, size, x_NLF.dtype) @ x_NLF
        x_NWKF = x_NWF.view(*x_NWF.shape[:2], _CHANNELS, -1)
        n_bands_1 = torch.full((1,), x_NWKF.shape[3], device=x_NLF.device)
        bands_HF = resize_weights(n_bands_1, x_NWKF.shape[3], size, x_NLF.dtype)[0]
        return (x_NWKF @ bands_HF.T).permute(0, 2, 3, 1)

    def _take_over(self, path: Path) -> None:
        """Every layer but the last from torchvision's file."""
        found = _read_weights(path)
        own = {name: value for name, value in self.state_dict().items() if not name.startswith(_REPLACED)}
        problems = [f"{name} is missing" for name in own if name not in found]
        problems += [
            f"{name} is none of AlexNet's" for name in found if name not in own and not name.startswith(_REPLACED)
        ]
        problems += [
            f"{name} has shape {tuple(found[name].shape)}, of width {self.config.width} it is {tuple(own[name].shape)}"
            for name in own
            if name in found and found[name].shape != own[name].shape
        ]
        if problems:
            hint = f"they are not torchvision's AlexNet, which has width 1; {_HOW_TO_CONVERT}"
            raise CheckpointError(*(f"alexnet: {path}: {problem}" for problem in problems), f"alexnet: {path}: {hint}")
        self.load_state_dict({name: found[name] for name in own}, strict=False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        MissingDataError: no such file.
        CheckpointError: no safetensors file, a pickle for instance.
    """
    if not path.is_file():
        raise MissingDataError(f"alexnet: weights: no file {path}; leave it away for random ones, or {_HOW_TO_CONVERT}")
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"alexnet: {path}: cannot be read as safetensors ({error}); a .pth file is a pickle, which nothing here "
            f"opens: {_HOW_TO_CONVERT}"
        ) from error
