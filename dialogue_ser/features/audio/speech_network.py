"""wav2vec2-like networks and Whisper's encoder: what they are fed, how many frames come out, which of them count."""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.pretrained.loading import PretrainedModel

#: Networks on the raw waveform that share the front end of wav2vec2: convolutions, then a transformer.
WAVEFORM_NETWORKS = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "data2vec-audio",
    "unispeech",
    "unispeech-sat",
    "wav2vec2-conformer",
)
# Those whose masked, padded forward pass was shown to equal the unpadded one (tests/features/audio/test_hf_audio.py).
_MASKABLE = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


class SpeechNetwork(Protocol):
    """A pretrained network that turns sound into frames.

    Attributes:
        sample_rate_hz: of the sound it was trained on.
        least_samples: below this many samples it has no frame.
        needs_equal_lengths: True if padding would change its frames, so that only clips of one length share a batch.
        n_hidden_states: the transformer's layers, and what enters the first one.
    """

    sample_rate_hz: int
    least_samples: int
    needs_equal_lengths: bool
    n_hidden_states: int

    def n_frames(self, n_samples: int) -> int:
        """Frames of a clip."""
        ...

    def pieces(self, samples: Array, seconds: float) -> list[Array]:
        """The clip as the network takes it, cut into pieces of at most so many seconds; no frame is lost or doubled."""
        ...

    def hidden_states(self, pieces: Sequence[Array], device: Any, dtype: Any) -> Any:
        """Hidden states (first … last) of pieces, each ``[N, L, D]``; the first ``n_frames`` of a row are its own."""
        ...


def load_network(source: PretrainedModel, highest: int | None) -> SpeechNetwork:
    """The network of a folder or hub name, on the CPU.

    Args:
        source: where it is.
        highest: hidden state above which nothing is computed; None = all are wanted.

    Raises:
        FeatureError: it cannot be loaded, is no speech network, or lacks its feature extractor's settings.
    """
    from transformers import AutoConfig, AutoFeatureExtractor

    config = source.part(AutoConfig)
    if config.model_type not in (*WAVEFORM_NETWORKS, "whisper"):
        raise FeatureError(
            f"{source.who}: {source.model!r} is a model of type {config.model_type!r}; expected one of "
            f"{', '.join(WAVEFORM_NETWORKS)}, whisper; give a speech network (texts are read by hf-text)"
        )
    extractor = source.part(AutoFeatureExtractor)
    wanted = "WhisperFeatureExtractor" if config.model_type == "whisper" else "Wav2Vec2FeatureExtractor"
    if type(extractor).__name__ != wanted:
        raise FeatureError(
            f"{source.who}: {source.model!r} has settings of a {type(extractor).__name__}; a "
            f"{config.model_type} model needs those of a {wanted}: save the model's own feature extractor beside it"
        )
    kind = WhisperNetwork if config.model_type == "whisper" else WaveformNetwork
    return kind(source.load().eval(), extractor, highest)


class WaveformNetwork:
    """wav2vec2, HuBERT, WavLM and their kin.

    A clip is normalised as a whole, as the feature extractor does it. Batches are padded and masked only where the
    model was trained with masks (layer-norm front end and ``return_attention_mask``): a group norm averages over
    time, padding included, and such models are run on clips of equal length.

    Args:
        model: AutoModel.
        extractor: Wav2Vec2FeatureExtractor.
        highest: hidden state above which nothing is computed; None = all are wanted.
    """

    def __init__(self, model: Any, extractor: Any, highest: int | None) -> None:
        config = model.config
        self.sample_rate_hz = int(extractor.sampling_rate)
        self.n_hidden_states = config.num_hidden_layers + 1
        self.needs_equal_lengths = not (
            config.model_type in _MASKABLE
            and config.feat_extract_norm == "layer"
            and extractor.return_attention_mask
            and not getattr(config, "conv_pos_batch_norm", False)
        )
        self._kernels, self._strides = tuple(config.conv_kernel), tuple(config.conv_stride)
        self._hop = math.prod(self._strides)
        self.least_samples = 1 + sum(
            (kernel - 1) * math.prod(self._strides[:i]) for i, kernel in enumerate(self._kernels)
        )
        if highest is not None:
            model.encoder.layers = _needed(model.encoder.layers, highest)
        self._model, self._extractor = model, extractor

    def n_frames(self, n_samples: int) -> int:
        """Frames that the convolutions leave of a clip; none below ``least_samples``."""
        for kernel, stride in zip(self._kernels, self._strides, strict=True):
            n_samples = (n_samples - kernel) // stride + 1 if n_samples >= kernel else 0
        return n_samples

    def pieces(self, samples: Array, seconds: float) -> list[Array]:
        """Normalised pieces; neighbours overlap by what a frame sees beyond its hop, so frames are those of the whole.

        Only the transformer's view ends at a piece's border.
        """
        given = self._extractor(samples, sampling_rate=self.sample_rate_hz, return_attention_mask=False)
        wave = np.asarray(given["input_values"][0], dtype=np.float32)
        most = max(self.n_frames(int(seconds * self.sample_rate_hz)), 1)
        bounds = _even_bounds(self.n_frames(len(wave)), most)
        starts = [first * self._hop for first in bounds[:-1]]
        stops = [(last - 1) * self._hop + self.least_samples for last in bounds[1:-1]] + [len(wave)]
        return [wave[start:stop] for start, stop in zip(starts, stops, strict=True)]

    def hidden_states(self, pieces: Sequence[Array], device: Any, dtype: Any) -> Any:
        """Hidden states of a padded batch, or of pieces of one length."""
        import torch

        lengths_N = torch.tensor([len(piece) for piece in pieces])
        longest = int(lengths_N.max())
        x_NS = torch.from_numpy(np.stack([np.pad(piece, (0, longest - len(piece))) for piece in pieces]))
        is_sound_NS = torch.arange(longest) < lengths_N[:, None]
        mask_NS = None if self.needs_equal_lengths else is_sound_NS.long().to(device)
        model = self._model.to(device=device, dtype=dtype)
        with warnings.catch_warnings():  # WavLM adds a float position bias to a boolean mask, as it always has
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            output = model(x_NS.to(device=device, dtype=dtype), attention_mask=mask_NS, output_hidden_states=True)
        return output.hidden_states


class WhisperNetwork:
    """The encoder of Whisper: every input is padded with silence to its window (30 s), the clip's own frames count.

    Args:
        encoder: of AutoModel.
        extractor: WhisperFeatureExtractor.
        highest: hidden state above which nothing is computed; None = all are wanted.

    Raises:
        FeatureError: extractor and model do not belong together.
    """

    needs_equal_lengths = False
    least_samples = 1

    def __init__(self, encoder: Any, extractor: Any, highest: int | None) -> None:
        config = encoder.config
        if extractor.feature_size != config.num_mel_bins:
            raise FeatureError(
                f"hf-audio: the feature extractor makes {extractor.feature_size} mel bands, the model reads "
                f"{config.num_mel_bins}; save the model's own feature extractor beside it"
            )
        self.sample_rate_hz = int(extractor.sampling_rate)
        self.n_hidden_states = config.encoder_layers + 1
        self._hop = 2 * int(extractor.hop_length)  # the second convolution halves the mel frames
        self._n_window = config.max_source_positions
        if highest is not None:
            encoder.layers = _needed(encoder.layers, highest)
        self._encoder, self._extractor = encoder, extractor

    def n_frames(self, n_samples: int) -> int:
        """Frames whose centre lies inside the clip (one every 20 ms, the first at 0)."""
        return -(-n_samples // self._hop)

    def pieces(self, samples: Array, seconds: float) -> list[Array]:
        """Raw pieces of at most a window; the log-mel of each is scaled on its own, as Whisper does it."""
        most = max(min(int(seconds * self.sample_rate_hz) // self._hop, self._n_window), 1)
        bounds = [frame * self._hop for frame in _even_bounds(self.n_frames(len(samples)), most)]
        return [samples[start:stop] for start, stop in pairwise(bounds)]

    def hidden_states(self, pieces: Sequence[Array], device: Any, dtype: Any) -> Any:
        """Hidden states of whole windows."""
        given = self._extractor(
            list(pieces),
            sampling_rate=self.sample_rate_hz,
            padding="max_length",
            max_length=self._n_window * self._hop,
            return_tensors="pt",
        )
        mel_NFM = given["input_features"].to(device=device, dtype=dtype)
        return self._encoder.to(device=device, dtype=dtype)(mel_NFM, output_hidden_states=True).hidden_states


def _needed(layers: Any, highest: int) -> Any:
    """One layer more than the highest wanted state: the last state of a model may be normalised once more."""
    return layers[: highest + 1]


def _even_bounds(n_frames: int, most: int) -> list[int]:
    """First frames of as few pieces as possible, of nearly equal length, and the end.

    >>> _even_bounds(10, 4)
    [0, 3, 6, 10]
    """
    n_pieces = max(-(-n_frames // most), 1)
    return [piece * n_frames // n_pieces for piece in range(n_pieces + 1)]
