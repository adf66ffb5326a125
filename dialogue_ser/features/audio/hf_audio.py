"""Encoder that gives the hidden states of a frozen speech network: wav2vec2, HuBERT, WavLM or Whisper's encoder."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, FeatureError, MediaError
from dialogue_ser.features.audio.decoding import decode_turn
from dialogue_ser.features.audio.speech_network import SpeechNetwork, load_network
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad, bad_clip_problem, raise_if_bad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.pretrained.loading import SPEECH_MODEL, PretrainedModel, library_versions, torch_device
from dialogue_ser.media.decode import decoder_versions

Pooling = Literal["mean", "mean+std", "none"]
LayerMerge = Literal["mean", "concat"]
Precision = Literal["float32", "bfloat16", "float16"]
# The clips of this many batches are decoded together. These are enough clips to find some of similar length, and they
# fit into memory.
_BATCHES_DECODED_TOGETHER = 8


class HfAudio:
    """Encoder that gives the hidden states of a speech network for each utterance that has audio.

    The result is one vector per utterance, or one row per frame of 20 ms. The features of an utterance do not depend on
    padding or on the other clips of the batch, except for rounding. Models that were trained with masks get padded
    batches; other models get batches of clips of one length.

    Args:
        model: hub name, or folder with ``config.json``, ``preprocessor_config.json`` and safetensors weights.
        layers: numbers of the hidden states to use, or ``all``. 0 is the input of the first transformer layer, k is the
            output of layer k, and −1 is the last hidden state.
        layer_merge: ``mean`` of the layers, or ``concat``. The concatenation of n layers has the size ``n·D``; the
            trained encoder ``layer-mix`` reads it and learns weights for the layers.
        pooling: pooling over frames: ``mean``, ``mean+std`` (concatenated; the standard deviation is divided by n), or
            ``none`` for frames ``[L, D]``.
        chunk_seconds: longer clips are divided into pieces of equal length, at most this long in seconds. The time that
            attention takes grows with the square of the length. The number of frames stays the same. Whisper's pieces
            are never longer than its window of 30 s.
        max_seconds: sound after this time in seconds is ignored; None means that the whole clip is read.
        batch_size: number of clips per forward pass. Decrease it if memory is short.
        dtype: ``float32``, or ``bfloat16`` or ``float16`` on a GPU only.
        device: ``auto``, ``cpu`` or ``cuda``. It is not part of the fingerprint.
        revision: branch, tag or commit of a hub model.
        on_bad: ``error`` stops at clips that cannot be decoded or are too short for one frame (usually 25 ms), ``mask``
            leaves them out.
        modality: name of the modality in the batch.

    Attributes:
        on_progress: None, or a function that you set; it is called with the number of clips that were just finished.

    Raises:
        ConfigError: options are unknown or out of range. The error names all of them.
    """

    def __init__(
        self,
        *,
        model: str,
        layers: Sequence[int] | str = (-1,),
        layer_merge: str = "mean",
        pooling: str = "mean",
        chunk_seconds: float = 30.0,
        max_seconds: float | None = None,
        batch_size: int = 8,
        dtype: str = "float32",
        device: str = "auto",
        revision: str | None = None,
        on_bad: OnBad = "error",
        modality: str = "audio",
    ) -> None:
        problems = [
            *_problems_of_choices(layer_merge, pooling, dtype),
            *_problems_of_layers(layers),
            *_problems_of_sizes(batch_size, chunk_seconds, max_seconds),
        ]
        if problems:
            raise ConfigError(*problems)
        self.name = "hf-audio"
        self.modality = modality
        self.kind: InputKind = "frames" if pooling == "none" else "vector"
        self.traits = EncoderTraits(context=(0, 0), reads=("audio",))
        self.on_progress: Callable[[int], None] | None = None
        self._pretrained_model = PretrainedModel(model, revision, encoder="hf-audio", kind=SPEECH_MODEL)
        self._layers = None if layers == "all" else tuple(int(layer) for layer in layers)
        self._merge = layer_merge
        self._pooling = pooling
        self._chunk_seconds = float(chunk_seconds)
        self._max_seconds = max_seconds
        self._batch_size = batch_size
        self._dtype = dtype
        self._device = device
        self._on_bad: OnBad = on_bad

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the identity of the model, the options that change the output, and the versions of the libraries."""
        return {
            "weights": self._model_fingerprint,
            "layers": "all" if self._layers is None else list(self._layers),
            "layer_merge": self._merge,
            "pooling": self._pooling,
            "chunk_seconds": self._chunk_seconds,
            "max_seconds": self._max_seconds,
            "dtype": self._dtype,
            "versions": {**library_versions(), **decoder_versions()},
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return a float32 row ``[D]``, or ``[L, D]`` without pooling, for every utterance whose audio can be used.

        Raises:
            FeatureError: the model cannot be loaded, is not a speech network, or does not have a layer in ``layers``.
            MediaError: ``on_bad`` is ``error`` and clips are broken, missing or too short. The error names all of them.
        """
        turns = [turn for turn in utterances(dialogues) if turn.audio is not None]
        rows: dict[str, Array] = {}
        problems: list[str] = []
        n_decoded = self._batch_size * _BATCHES_DECODED_TOGETHER
        for first in range(0, len(turns), n_decoded):
            some = turns[first : first + n_decoded]
            clips: dict[str, Array] = {}
            for turn in some:
                try:
                    clips[turn.id] = self._decode(turn)
                except MediaError as error:
                    problems.append(bad_clip_problem(turn, str(error)))
            rows.update(self._encode_clips(clips))
            if self.on_progress is not None:
                self.on_progress(len(some))
        raise_if_bad(problems, self._on_bad, rows)
        return rows

    def _decode(self, turn: Utterance) -> Array:
        """Return the samples of an utterance at the network's sample rate.

        Raises:
            MediaError: the clip cannot be decoded, or it is too short for one frame.
        """
        network = self._network
        samples = decode_turn(turn, network.sample_rate_hz)
        if self._max_seconds is not None:
            samples = samples[: max(int(self._max_seconds * network.sample_rate_hz), 1)]
        if len(samples) < network.min_samples:
            rate = network.sample_rate_hz
            raise MediaError(
                f"audio of {len(samples) / rate:.4f} s ({len(samples)} samples at {rate} Hz) is too short for "
                f"{self._pretrained_model.model}, which needs at least {network.min_samples / rate:.4f} s "
                f"({network.min_samples} samples)"
            )
        return samples

    def _encode_clips(self, clips: Mapping[str, Array]) -> dict[str, Array]:
        """Return the features of some clips by utterance id; the pieces of all clips share batches."""
        pieces = [
            (key, number, piece)
            for key, samples in clips.items()
            for number, piece in enumerate(self._network.pieces(samples, self._chunk_seconds))
        ]
        frames_of: dict[str, dict[int, Array]] = {key: {} for key in clips}
        for some in self._batches(pieces):
            for (key, number, _), frames_LD in zip(some, self._frames([piece for *_, piece in some]), strict=True):
                frames_of[key][number] = frames_LD
        return {key: self._pool([parts[number] for number in sorted(parts)]) for key, parts in frames_of.items()}

    def _batches(self, pieces: list[tuple[str, int, Array]]) -> Iterator[list[tuple[str, int, Array]]]:
        """Put pieces of similar length into one batch, or of equal length if padding changes the frames."""
        batch: list[tuple[str, int, Array]] = []
        for piece in sorted(pieces, key=lambda piece: len(piece[2])):
            is_other_length = batch and self._network.needs_equal_lengths and len(piece[2]) != len(batch[0][2])
            if is_other_length or len(batch) == self._batch_size:
                yield batch
                batch = []
            batch.append(piece)
        if batch:
            yield batch

    def _frames(self, pieces: Sequence[Array]) -> list[Array]:
        """Return the merged layers of each piece, without the frames of padding."""
        import torch

        network = self._network
        with torch.inference_mode():
            hidden = network.hidden_states(pieces, self._torch_device, getattr(torch, self._dtype))
            chosen = range(network.n_hidden_states) if self._layers is None else self._layers_from_first()
            layers = [hidden[layer].float() for layer in chosen]
            x_NLD = torch.cat(layers, dim=-1) if self._merge == "concat" else torch.stack(layers).mean(0)
            array: Array = x_NLD.cpu().numpy()
        counts = [network.n_frames(len(piece)) for piece in pieces]
        if array.shape[1] < max(counts):
            raise FeatureError(
                f"hf-audio: {self._pretrained_model.model} gave {array.shape[1]} frames for {len(pieces[-1])} samples, "
                f"but its config.json implies {max(counts)}; give a folder whose config.json belongs to its weights"
            )
        return [row[:count] for row, count in zip(array, counts, strict=True)]

    def _pool(self, parts: list[Array]) -> Array:
        """Join the frames of all pieces of a clip, and pool them."""
        frames_LD = np.concatenate(parts)
        if self._pooling == "none":
            return frames_LD
        if self._pooling == "mean":
            mean_D: Array = frames_LD.mean(0)
            return mean_D
        n_layers = self._network.n_hidden_states if self._layers is None else len(self._layers)
        # Mean and deviation stand side by side for each layer, so concatenated layers can be separated again.
        x_LKD = frames_LD.reshape(len(frames_LD), n_layers if self._merge == "concat" else 1, -1)
        return np.concatenate([x_LKD.mean(0), x_LKD.std(0)], axis=-1).ravel()

    def _layers_from_first(self) -> list[int]:
        """Return the numbers of the layers, counted from the first one.

        Raises:
            FeatureError: the model does not have one of the layers.
        """
        n = self._network.n_hidden_states
        assert self._layers is not None
        missing = [layer for layer in self._layers if not -n <= layer < n]
        if missing:
            raise FeatureError(
                f"hf-audio: {self._pretrained_model.model} has hidden states 0 … {n - 1}, not {missing}; choose among "
                "them"
            )
        return [layer % n for layer in self._layers]

    @cached_property
    def _model_fingerprint(self) -> Mapping[str, Any]:
        return self._pretrained_model.fingerprint()

    @cached_property
    def _network(self) -> SpeechNetwork:
        # Layers above the highest needed one are not computed. Negative numbers count from the end and need all layers.
        highest_state = max(self._layers) if self._layers is not None and min(self._layers) >= 0 else None
        return load_network(self._pretrained_model, highest_state)

    @cached_property
    def _torch_device(self) -> str:
        device = torch_device(self._device, "hf-audio")
        if self._dtype != "float32" and not device.startswith("cuda"):
            raise ConfigError(f"hf-audio: dtype {self._dtype} is for a GPU; on {device} use float32")
        return device


def _problems_of_choices(layer_merge: str, pooling: str, dtype: str) -> list[str]:
    choices = {"layer_merge": (layer_merge, LayerMerge), "pooling": (pooling, Pooling), "dtype": (dtype, Precision)}
    return [
        f"hf-audio: {name} {value!r} is none of {', '.join(get_args(known))}"
        for name, (value, known) in choices.items()
        if value not in get_args(known)
    ]


def _problems_of_layers(layers: Sequence[int] | str) -> list[str]:
    is_list = not isinstance(layers, (str, int)) and layers and all(isinstance(layer, int) for layer in layers)
    if layers == "all" or is_list:
        return []
    return [f"hf-audio: layers {layers!r} must be a list of whole numbers, e.g. [9] or [-1, -2], or all"]


def _problems_of_sizes(batch_size: int, chunk_seconds: float, max_seconds: float | None) -> list[str]:
    is_valid_end = max_seconds is None or 0 < max_seconds < math.inf
    if batch_size >= 1 and 1 <= chunk_seconds < math.inf and is_valid_end:
        return []
    return [
        f"hf-audio: batch_size {batch_size} and chunk_seconds {chunk_seconds} must be at least 1, max_seconds "
        f"{max_seconds} must be above 0 (null reads the whole clip), and all must be finite"
    ]
