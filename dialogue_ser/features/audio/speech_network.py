"""wav2vec2, similar networks, and Whisper's encoder, with one interface.

The interface hides how the networks differ: how they prepare clips, how many frames they give, how clips are batched.
"""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.pretrained.loading import PretrainedModel

#: Networks on the raw waveform that are built like wav2vec2: convolutions, then a transformer.
WAVEFORM_NETWORKS = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "data2vec-audio",
    "unispeech",
    "unispeech-sat",
    "wav2vec2-conformer",
)
# Networks that give the same frames with padding and a mask as without. tests/features/audio/test_hf_audio.py shows it.
_MASKABLE = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


class SpeechNetwork(Protocol):
    """Interface of a pretrained network that turns sound into frames.

    Attributes:
        sample_rate_hz: sample rate of the sound that the network was trained on, in Hz.
        min_samples: smallest number of samples that gives a frame.
        needs_equal_lengths: True if padding changes the frames. A batch then holds only clips of one length.
        n_hidden_states: number of the transformer's layers, plus one for the input of the first layer.
    """

    sample_rate_hz: int
    min_samples: int
    needs_equal_lengths: bool
    n_hidden_states: int

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames that the network gives for a clip of ``n_samples`` samples."""
        ...

    def pieces(self, samples: Array, seconds: float) -> list[Array]:
        """Prepare a clip for the network and divide it into pieces of at most ``seconds`` seconds.

        The pieces together have the same frames as the whole clip.
        """
        ...

    def hidden_states(self, pieces: Sequence[Array], device: Any, dtype: Any) -> Any:
        """Return all hidden states of some pieces, from the first to the last, each ``[N, L, D]``.

        Only the first ``n_frames`` frames of a row belong to its piece.
        """
        ...


def load_network(pretrained_model: PretrainedModel, highest_state: int | None) -> SpeechNetwork:
    """Load a speech network on the CPU.

    Args:
        pretrained_model: the model to load.
        highest_state: number of the highest hidden state that is needed; layers above it are dropped. None means that
            all hidden states are needed.

    Raises:
        FeatureError: the model cannot be loaded, is not a speech network, or has no settings of its feature extractor.
    """
    from transformers import AutoConfig, AutoFeatureExtractor

    config = pretrained_model.load_with(AutoConfig)
    where = f"{pretrained_model.encoder}: {pretrained_model.model!r}"
    if config.model_type not in (*WAVEFORM_NETWORKS, "whisper"):
        raise FeatureError(
            f"{where} is a model of type {config.model_type!r}; expected one of {', '.join(WAVEFORM_NETWORKS)}, "
            "whisper; give a speech network, or use the encoder hf-text for texts"
        )
    extractor = pretrained_model.load_with(AutoFeatureExtractor)
    expected = "WhisperFeatureExtractor" if config.model_type == "whisper" else "Wav2Vec2FeatureExtractor"
    if type(extractor).__name__ != expected:
        raise FeatureError(
            f"{where} has settings of a {type(extractor).__name__}; a {config.model_type} model needs those of a "
            f"{expected}; save the model's own feature extractor in its folder"
        )
    kind = WhisperNetwork if config.model_type == "whisper" else WaveformNetwork
    return kind(pretrained_model.load().eval(), extractor, highest_state)


class WaveformNetwork:
    """wav2vec2, HuBERT, WavLM and similar networks.

    A clip is normalised as a whole, as the feature extractor does it. Batches are padded and masked only if the model
    was trained with masks: its convolutions have a layer norm, and its settings have ``return_attention_mask``. Models
    with a group norm get batches of clips of one length, because a group norm averages over time, also over padding.

    Args:
        model: the network, as ``AutoModel`` gives it.
        extractor: its ``Wav2Vec2FeatureExtractor``.
        highest_state: number of the highest hidden state that is needed; None means all.
    """

    def __init__(self, model: Any, extractor: Any, highest_state: int | None) -> None:
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
        self.min_samples = 1 + sum(
            (kernel - 1) * math.prod(self._strides[:i]) for i, kernel in enumerate(self._kernels)
        )
        if highest_state is not None:
            model.encoder.layers = _needed_layers(model.encoder.layers, highest_state)
        self._model, self._extractor = model, extractor

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames that the convolutions give; 0 for fewer than ``min_samples`` samples."""
        for kernel, stride in zip(self._kernels, self._strides, strict=True):
            n_samples = (n_samples - kernel) // stride + 1 if n_samples >= kernel else 0
        return n_samples

    def pieces(self, samples: Array, seconds: float) -> list[Array]:
        """Return normalised pieces that overlap, so that the convolutions give the same frames as for the whole clip.

        The overlap is the part of a frame that is longer than the hop. Only the transformer does not see beyond the end
        of a piece.
        """
        normalised = self._extractor(samples, sampling_rate=self.sample_rate_hz, return_attention_mask=False)
        wave = np.asarray(normalised["input_values"][0], dtype=np.float32)
        max_frames = max(self.n_frames(int(seconds * self.sample_rate_hz)), 1)
        bounds = _even_bounds(self.n_frames(len(wave)), max_frames)
        starts = [first * self._hop for first in bounds[:-1]]
        stops = [(last - 1) * self._hop + self.min_samples for last in bounds[1:-1]] + [len(wave)]
        return [wave[start:stop] for start, stop in zip(starts, stops, strict=True)]

    def hidden_states(self, pieces: Sequence[Array], device: Any, dtype: Any) -> Any:
        """Return the hidden states of a padded batch, or of pieces of one length if padding is not allowed."""
        import torch

        lengths_N = torch.tensor([len(piece) for piece in pieces])
        longest = int(lengths_N.max())
        x_NS = torch.from_numpy(np.stack([np.pad(piece, (0, longest - len(piece))) for piece in pieces]))
        is_sound_NS = torch.arange(longest) < lengths_N[:, None]
        mask_NS = None if self.needs_equal_lengths else is_sound_NS.long().to(device)
        model = self._model.to(device=device, dtype=dtype)
        with warnings.catch_warnings():  # WavLM adds a float position bias to a boolean mask; that is correct
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            output = model(x_NS.to(device=device, dtype=dtype), attention_mask=mask_NS, output_hidden_states=True)
        return output.hidden_states


class WhisperNetwork:
    """The encoder of Whisper. Every piece is padded with silence to the window of the network, which is 30 s long.

    Args:
        encoder: the encoder of the model that ``AutoModel`` gives.
        extractor: its ``WhisperFeatureExtractor``.
        highest_state: number of the highest hidden state that is needed; None means all.

    Raises:
        FeatureError: the extractor and the model do not belong together.
    """

    needs_equal_lengths = False
    min_samples = 1

    def __init__(self, encoder: Any, extractor: Any, highest_state: int | None) -> None:
        config = encoder.config
        if extractor.feature_size != config.num_mel_bins:
            raise FeatureError(
                f"hf-audio: the feature extractor makes {extractor.feature_size} mel bands, but the model reads "
                f"{config.num_mel_bins}; save the model's own feature extractor in its folder"
            )
        self.sample_rate_hz = int(extractor.sampling_rate)
        self.n_hidden_states = config.encoder_layers + 1
        self._hop = 2 * int(extractor.hop_length)  # the second convolution halves the number of mel frames
        self._n_window = config.max_source_positions
        if highest_state is not None:
            encoder.layers = _needed_layers(encoder.layers, highest_state)
        self._encoder, self._extractor = encoder, extractor

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames whose centre lies inside the clip: one every 20 ms, the first at 0."""
        return -(-n_samples // self._hop)

    def pieces(self, samples: Array, seconds: float) -> list[Array]:
        """Return pieces of at most one window. Whisper scales the log-mel values of each piece separately."""
        max_frames = max(min(int(seconds * self.sample_rate_hz) // self._hop, self._n_window), 1)
        bounds = [frame * self._hop for frame in _even_bounds(self.n_frames(len(samples)), max_frames)]
        return [samples[start:stop] for start, stop in pairwise(bounds)]

    def hidden_states(self, pieces: Sequence[Array], device: Any, dtype: Any) -> Any:
        """Return the hidden states of whole windows."""
        log_mel = self._extractor(
            list(pieces),
            sampling_rate=self.sample_rate_hz,
            padding="max_length",
            max_length=self._n_window * self._hop,
            return_tensors="pt",
        )
        mel_NFM = log_mel["input_features"].to(device=device, dtype=dtype)
        return self._encoder.to(device=device, dtype=dtype)(mel_NFM, output_hidden_states=True).hidden_states


def _needed_layers(layers: Any, highest_state: int) -> Any:
    """Return the layers that the highest needed hidden state requires, and one more.

    Some models normalise their last hidden state again. With one more layer, the needed state is not the last one.
    """
    return layers[: highest_state + 1]


def _even_bounds(n_frames: int, max_frames: int) -> list[int]:
    """Divide frames into as few pieces as possible of nearly equal length; return their first frames and the end.

    >>> _even_bounds(10, 4)
    [0, 3, 6, 10]
    """
    n_pieces = max(-(-n_frames // max_frames), 1)
    return [piece * n_frames // n_pieces for piece in range(n_pieces + 1)]
