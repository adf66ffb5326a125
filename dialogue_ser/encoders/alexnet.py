"""AlexNet over mel images of three channels, with random or torchvision's weights: the acoustic branch of E4."""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.errors import CheckpointError, ConfigError, MissingDataError
from dialogue_ser.nn.resize import resize_weights

_CHANNELS = 3
_LEAST_SIZE = 63  # a smaller image has no pixel left after the last pooling
_POOLED = 6
#: Layers that start with torchvision's weights, from the lowest to the highest.
PRETRAINED = ("features.0", "features.3", "features.6", "features.8", "features.10", "classifier.1", "classifier.4")
_UNUSED = "classifier.6"  # torchvision's last layer, for 1000 classes of pictures
_HOW_TO_CONVERT = (
    "convert torchvision's file once, with safetensors.torch.save_file(torch.load('alexnet-owt-7be5be79.pth', "
    "weights_only=True), 'alexnet.safetensors')"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlexNetConfig:
    """Options of AlexNet.

    Args:
        size: height and width to which images are resized. Torchvision's weights were trained with 224. With 64, the
            convolutions take a twelfth of the time.
        width: share of torchvision's channels and of its 4096 units that the network has. A value below 1 makes
            training on a CPU possible.
        dropout: dropout rate before the first and the second linear layer (as torchvision; the document has none).
        out_dim: add a third linear layer that gives vectors of this size; None = the output of the second layer (4096).
        weights: safetensors file of torchvision's AlexNet; None = random weights (He et al.).
        pretrained: start with ``weights``. It is false in saved models, which have their own weights.
    """

    size: int = 224
    width: float = 1.0
    dropout: float = 0.5
    out_dim: int | None = None
    weights: str | None = None
    pretrained: bool = True

    def __post_init__(self) -> None:
        problems = size_problems(_LEAST_SIZE, size=self.size)
        if not 0 < self.width <= 1:
            problems.append(f"width {self.width} must be above 0 and at most 1")
        problems += rate_problems(dropout=self.dropout) + size_problems(out_dim=self.out_dim)
        raise_problems("alexnet", problems)


class AlexNet(TrainedEncoder):
    """Five convolutions and linear layers, with the parameter names of torchvision's AlexNet (docs/equations.md, E4).

    The third linear layer is the head of the dialogue model. With the model ``utterance`` the whole system is therefore
    softmax(fc(ReLU(fc(ReLU(fc(features)))))), as in the document. The document's fusion is one linear layer over these
    features and the features of the text.

    The valid frames of every utterance are resized to an image of ``size`` × ``size`` (own choice). The height is the
    bands, the width is the time. Without resizing, the five strided layers would leave nothing of an utterance below
    1.5 s. Also, the pretrained filters were trained with images of this size, and every utterance costs the same. The
    tempo of a long utterance is lost, because its image is compressed.

    Args:
        config: options.
        dim: D, the number of features of a frame: three channels one after another, each with all its bands
            (``logmel3``, ``mel-delta``).

    Raises:
        ConfigError: ``dim`` is not a multiple of three.
        MissingDataError: the file of weights does not exist.
        CheckpointError: the file has other weights, or it is not a safetensors file.
    """

    name = "alexnet"
    description = "AlexNet over mel images of three channels (options frames, frames_options), torchvision's weights"
    front_end = "frames"
    Config = AlexNetConfig

    def __init__(self, config: AlexNetConfig, dim: int) -> None:
        super().__init__()
        if dim % _CHANNELS:
            raise ConfigError(
                f"alexnet: {dim} features cannot be divided into {_CHANNELS} channels of equal size; choose frames of "
                "logmel3 or mel-delta"
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
            self._load_pretrained(Path(config.weights).expanduser())
        elif config.weights is None:
            for name in PRETRAINED:
                nn.init.kaiming_normal_(self.get_parameter(f"{name}.weight"), nonlinearity="relu")

    def depths(self) -> dict[str, int]:
        """For each parameter that started with torchvision's weights, the number of layers above it."""
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
        """The images that the network reads; frames beyond the length of a row are not used."""
        size, n_frames = self.config.size, values_NL.shape[1]
        x_NLF = values_NL.masked_fill(~is_valid(lengths_N, n_frames)[..., None], 0.0)
        x_NWF = resize_weights(lengths_N, n_frames, size, x_NLF.dtype) @ x_NLF
        x_NWKF = x_NWF.view(*x_NWF.shape[:2], _CHANNELS, -1)
        n_bands_1 = torch.full((1,), x_NWKF.shape[3], device=x_NLF.device)
        bands_HF = resize_weights(n_bands_1, x_NWKF.shape[3], size, x_NLF.dtype)[0]
        return (x_NWKF @ bands_HF.T).permute(0, 2, 3, 1)

    def _load_pretrained(self, path: Path) -> None:
        """Load all layers but the last one from a file of torchvision's weights."""
        tensors = _read_weights(path)
        own = {name: value for name, value in self.state_dict().items() if not name.startswith(_UNUSED)}
        problems = [f"{name} is missing" for name in own if name not in tensors]
        problems += [
            f"{name} is not a parameter of AlexNet"
            for name in tensors
            if name not in own and not name.startswith(_UNUSED)
        ]
        problems += [
            f"{name} has shape {tuple(tensors[name].shape)}, but with width {self.config.width} it must be "
            f"{tuple(own[name].shape)}"
            for name in own
            if name in tensors and tensors[name].shape != own[name].shape
        ]
        if problems:
            hint = f"the file does not hold the weights of torchvision's AlexNet, which has width 1; {_HOW_TO_CONVERT}"
            raise CheckpointError(*(f"alexnet: {path}: {problem}" for problem in problems), f"alexnet: {path}: {hint}")
        self.load_state_dict({name: tensors[name] for name in own}, strict=False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, by name.

    Raises:
        MissingDataError: the file does not exist.
        CheckpointError: it is not a safetensors file, but for example a pickle.
    """
    if not path.is_file():
        raise MissingDataError(
            f"alexnet: weights: there is no file {path}; leave weights out to start with random ones, or "
            f"{_HOW_TO_CONVERT}"
        )
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"alexnet: {path}: cannot be read as safetensors ({error}); a .pth file is a pickle, which this "
            f"program never opens; {_HOW_TO_CONVERT}"
        ) from error
