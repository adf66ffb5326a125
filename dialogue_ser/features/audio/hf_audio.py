"""Frozen speech networks of transformers: wav2vec2, HuBERT, WavLM and Whisper's encoder, by layer and pooled."""

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
from dialogue_ser.features.core.bad_clips import OnBad, problem_of, raise_if_bad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.pretrained.loading import SPEECH_MODEL, PretrainedModel, library_versions, torch_device
from dialogue_ser.media.decode import decoder_versions

Pooling = Literal["mean", "mean+std", "none"]
LayerMerge = Literal["mean", "concat"]
Precision = Literal["float32", "bfloat16", "float16"]
# Batches decoded at once: enough to find clips of like length, little enough for the memory.
_BATCHES_AT_ONCE = 8


class HfAudio:
    """Hidden states of a speech network, one vector (or one row per frame of 20 ms) per utterance that has audio.

    Neither padding nor batch mates change an utterance's features (beyond the rounding of a differently sized matrix
    product): models are padded and masked only if they were trained so, others see clips of one length at a time.

    Args:
        model: hub name or folder with ``config.json``, ``preprocessor_config.json`` and safetensors weights.
        layers: hidden states used; −1 is the last, 0 what enters the first transformer layer, k the output of layer
            k; ``all`` = every one of them.
        layer_merge: mean of the layers, or their concatenation (``n·D``, which the trained ``layer-mix`` weights).
        pooling: over frames: mean, mean+std (concatenated, population std), or none (frames ``[L, D]``).
        chunk_seconds: longer clips are cut into pieces of equal length up to this one, because attention grows with
            the square of the length; the frames stay those of the whole. Whisper: at most its window of 30 s.
        max_seconds: what lies behind is not heard; None = all.
        batch_size: clips per forward pass.
        dtype: float32; bfloat16 or float16 on a GPU only.
        device: auto, cpu or cuda; does not count for the fingerprint.
        revision: branch, tag or commit of a hub model.
        on_bad: error, or mask clips that cannot be decoded or are too short for one frame (25 ms, as a rule).
        modality: name under which the batch carries it.

    Attributes:
        on_progress: called with the number of clips just finished; may be set.

    Raises:
        ConfigError: an option that is unknown or out of range; names all of them.
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
        choices = {"layer_merge": (layer_merge, LayerMerge), "pooling": (pooling, Pooling), "dtype": (dtype, Precision)}
        problems = [
            f"hf-audio: {name} {value!r} is none of {', '.join(get_args(known))}"
            for name, (value, known) in choices.items()
            if value not in get_args(known)
        ]
        is_list = not isinstance(layers, (str, int)) and layers and all(isinstance(layer, int) for layer in layers)
        if layers != "all" and not is_list:
            problems.append(
                f"hf-audio: layers {layers!r} must be a list of whole numbers, e.g. [9] or [-1, -2], or all"
            )
        is_heard = max_seconds is None or 0 < max_seconds < math.inf
        if batch_size < 1 or not 1 <= chunk_seconds < math.inf or not is_heard:
            problems.append(
                f"hf-audio: batch_size {batch_size} and chunk_seconds {chunk_seconds} must be at least 1, max_seconds "
                f"{max_seconds} above 0 (null = all), and none infinite"
            )
        if problems:
            raise ConfigError(*problems)
        self.name = "hf-audio"
        self.modality = modality
        self.kind: InputKind = "frames" if pooling == "none" else "vector"
        self.traits = EncoderTraits(context=(0, 0), reads=("audio",))
        self.on_progress: Callable[[int], None] | None = None
        self._source = PretrainedModel(model, revision, who="hf-audio", kind=SPEECH_MODEL)
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
        """Weights and settings (hash of every file, or hub name and commit), layers, pooling, lengths, versions."""
        return {
            "weights": self._identity,
            "layers": "all" if self._layers is None else list(self._layers),
            "layer_merge": self._merge,
            "pooling": self._pooling,
            "chunk_seconds": self._chunk_seconds,
            "max_seconds": self._max_seconds,
            "dtype": self._dtype,
            "versions": {**library_versions(), **decoder_versions()},
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """float32 ``[D]`` (or ``[L, D]``) for every utterance whose audio can be used.

        Raises:
            FeatureError: the model cannot be loaded, is no speech network, or has no such layer.
            MediaError: ``on_bad`` is ``error`` and clips are broken, missing or too short; names all of them.
        """
        turns = [turn for turn in utterances(dialogues) if turn.audio is not None]
        rows: dict[str, Array] = {}
        problems: list[str] = []
        at_once = self._batch_size * _BATCHES_AT_ONCE
        for first in range(0, len(turns), at_once):
            some = turns[first : first + at_once]
            clips: dict[str, Array] = {}
            for turn in some:
                try:
                    clips[turn.id] = self._heard(turn)
                except MediaError as error:
                    problems.append(problem_of(turn, str(error)))
            rows.update(self._encode_clips(clips))
            if self.on_progress is not None:
                self.on_progress(len(some))
        raise_if_bad(problems, self._on_bad, rows)
        return rows

    def _heard(self, turn: Utterance) -> Array:
        """Samples of a turn at the network's rate.

        Raises:
            MediaError: they cannot be decoded, or are too few for one frame.
        """
        network = self._network
        samples = decode_turn(turn, network.sample_rate_hz)
        if self._max_seconds is not None:
            samples = samples[: max(int(self._max_seconds * network.sample_rate_hz), 1)]
        if len(samples) < network.least_samples:
            rate = network.sample_rate_hz
            raise MediaError(
                f"audio of {len(samples) / rate:.4f} s ({len(samples)} samples at {rate} Hz) is too short for "
                f"{self._source.model}, which needs at least {network.least_samples / rate:.4f} s "
                f"({network.least_samples} samples)"
            )
        return samples

    def _encode_clips(self, clips: Mapping[str, Array]) -> dict[str, Array]:
        pieces = [
            (key, number, piece)
            for key, samples in clips.items()
            for number, piece in enumerate(self._network.pieces(samples, self._chunk_seconds))
        ]
        done: dict[str, dict[int, Array]] = {key: {} for key in clips}
        for some in self._batches(pieces):
            for (key, number, _), frames_LD in zip(some, self._frames([piece for *_, piece in some]), strict=True):
                done[key][number] = frames_LD
        return {key: self._pooled([parts[number] for number in sorted(parts)]) for key, parts in done.items()}

    def _batches(self, pieces: list[tuple[str, int, Array]]) -> Iterator[list[tuple[str, int, Array]]]:
        """Pieces of like length together; of equal length where padding would change them."""
        batch: list[tuple[str, int, Array]] = []
        for piece in sorted(pieces, key=lambda piece: len(piece[2])):
            must_wait = batch and self._network.needs_equal_lengths and len(piece[2]) != len(batch[0][2])
            if must_wait or len(batch) == self._batch_size:
                yield batch
                batch = []
            batch.append(piece)
        if batch:
            yield batch

    def _frames(self, pieces: Sequence[Array]) -> list[Array]:
        """Merged layers of each piece, its own frames only."""
        import torch

        network = self._network
        with torch.inference_mode():
            hidden = network.hidden_states(pieces, self._place, getattr(torch, self._dtype))
            chosen = range(network.n_hidden_states) if self._layers is None else self._from_first()
            layers = [hidden[layer].float() for layer in chosen]
            x_NLD = torch.cat(layers, dim=-1) if self._merge == "concat" else torch.stack(layers).mean(0)
            array: Array = x_NLD.cpu().numpy()
        counts = [network.n_frames(len(piece)) for piece in pieces]
        if array.shape[1] < max(counts):
            raise FeatureError(
                f"hf-audio: {self._source.model} gave {array.shape[1]} frames for {len(pieces[-1])} samples, its "
                f"configuration says {max(counts)}; its config.json does not describe its weights"
            )
        return [row[:count] for row, count in zip(array, counts, strict=True)]

    def _pooled(self, parts: list[Array]) -> Array:
        frames_LD = np.concatenate(parts)
        if self._pooling == "none":
            return frames_LD
        if self._pooling == "mean":
            mean_D: Array = frames_LD.mean(0)
            return mean_D
        n_layers = self._network.n_hidden_states if self._layers is None else len(self._layers)
        # Layer by layer, so that concatenated layers can be told apart again.
        x_LKD = frames_LD.reshape(len(frames_LD), n_layers if self._merge == "concat" else 1, -1)
        return np.concatenate([x_LKD.mean(0), x_LKD.std(0)], axis=-1).ravel()

    def _from_first(self) -> list[int]:
        """The layers counted from the first.

        Raises:
            FeatureError: no such layer.
        """
        n = self._network.n_hidden_states
        assert self._layers is not None
        missing = [layer for layer in self._layers if not -n <= layer < n]
        if missing:
            raise FeatureError(
                f"hf-audio: {self._source.model} has hidden states 0 … {n - 1}, not {missing}; choose among them"
            )
        return [layer % n for layer in self._layers]

    @cached_property
    def _identity(self) -> Mapping[str, Any]:
        return self._source.fingerprint()

    @cached_property
    def _network(self) -> SpeechNetwork:
        # Layers above the highest one wanted are not computed; negative ones count from the end, which needs them all.
        is_known = self._layers is not None and min(self._layers) >= 0
        return load_network(self._source, max(self._layers) if is_known and self._layers else None)

    @cached_property
    def _place(self) -> str:
        device = torch_device(self._device, "hf-audio")
        if self._dtype != "float32" and not device.startswith("cuda"):
            raise ConfigError(f"hf-audio: dtype {self._dtype} is for a GPU; on {device} use float32")
        return device
