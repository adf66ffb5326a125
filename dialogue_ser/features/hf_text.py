"""Frozen transformers text models: any hub name or folder, pooled over tokens and layers."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.api import Array, InputKind
from dialogue_ser.features.traits import EncoderTraits
from dialogue_ser.features.words import ascii_quotes
from dialogue_ser.media.hashing import file_sha256

Pooling = Literal["mean", "cls", "max", "mean+max", "none"]
LayerMerge = Literal["mean", "concat"]

_FOLDER_FILES = (
    "*.safetensors",
    "*.bin",
    "config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
)


class HfText:
    """Hidden states of a transformers text model, one vector (or one row per token) per utterance.

    Texts are batched by equal token count, so no padding is ever computed and a text's vector does not depend on
    its batch mates (beyond the rounding of a differently sized matrix product).

    Args:
        model: hub name or folder with ``config.json``, tokenizer and safetensors weights.
        pooling: over tokens: mean, cls (first token), max, mean+max (concatenated), or none (frames ``[L, D]``).
        pool_special_tokens: whether mean and max see [CLS], [SEP] and the like too; a text without any other token is
            pooled over them all the same.
        layers: hidden states used; −1 is the last, 0 the embeddings. ``(-1, -2, -3, -4)`` with ``layer_merge`` mean is
            the mean of the last four.
        layer_merge: mean of the layers, or their concatenation.
        max_length: tokens kept of an utterance, special tokens included.
        batch_size: texts per forward pass.
        normalise_quotes: replace curly quotes and dashes by ASCII before tokenising.
        device: auto, cpu or cuda; does not count for the fingerprint.
        revision: branch, tag or commit of a hub model.
        modality: name under which the batch carries it.

    Raises:
        ConfigError: unknown pooling, merge, or no layers.
    """

    def __init__(
        self,
        *,
        model: str,
        pooling: str = "mean",
        layers: Sequence[int] = (-1,),
        layer_merge: str = "mean",
        max_length: int = 256,
        batch_size: int = 64,
        normalise_quotes: bool = False,
        pool_special_tokens: bool = True,
        device: str = "auto",
        revision: str | None = None,
        modality: str = "text",
    ) -> None:
        problems = []
        if pooling not in get_args(Pooling):
            problems.append(f"hf-text: pooling {pooling!r} is none of {', '.join(get_args(Pooling))}")
        if layer_merge not in get_args(LayerMerge):
            problems.append(f"hf-text: layer_merge {layer_merge!r} is none of {', '.join(get_args(LayerMerge))}")
        if isinstance(layers, (str, int)) or not layers or not all(isinstance(layer, int) for layer in layers):
            problems.append(f"hf-text: layers {layers!r} must be a list of whole numbers, e.g. [-1, -2]")
        if max_length < 1 or batch_size < 1:
            problems.append(f"hf-text: max_length {max_length} and batch_size {batch_size} must be at least 1")
        if problems:
            raise ConfigError(*problems)
        self.name = "hf-text"
        self.modality = modality
        self.kind: InputKind = "frames" if pooling == "none" else "vector"
        self.traits = EncoderTraits(context=(0, 0), reads=("text",))
        self._source = model
        self._pooling = pooling
        self._layers = tuple(layers)
        self._merge = layer_merge
        self._max_length = max_length
        self._batch_size = batch_size
        self._normalise_quotes = normalise_quotes
        self._pool_special_tokens = pool_special_tokens
        self._device = device
        self._revision = revision

    def fingerprint(self) -> Mapping[str, Any]:
        """Weights (hash of every file of a folder, or hub name and commit), pooling, layers, lengths, versions."""
        return {
            "weights": self._weights,
            "pooling": self._pooling,
            "layers": list(self._layers),
            "layer_merge": self._merge,
            "max_length": self._max_length,
            "normalise_quotes": self._normalise_quotes,
            "pool_special_tokens": self._pool_special_tokens,
            "versions": {"transformers": _version("transformers"), "torch": _version("torch")},
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """float32 ``[D]`` (or ``[L, D]``) for every utterance with text.

        Raises:
            FeatureError: the model cannot be loaded or has no such layer.
        """
        import torch

        turns = [(turn.id, turn.text) for turn in utterances(dialogues) if turn.text is not None]
        if not turns:
            return {}
        texts = [ascii_quotes(text) if self._normalise_quotes else text for _, text in turns]
        limit = min(self._max_length, int(self._tokenizer.model_max_length))
        token_ids: list[list[int]] = self._tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
        by_length: dict[int, list[int]] = {}
        for position, ids in enumerate(token_ids):
            by_length.setdefault(len(ids), []).append(position)
        rows: dict[str, Array] = {}
        for n_tokens, positions in sorted(by_length.items()):
            if n_tokens == 0:  # a tokenizer without special tokens makes nothing of an empty text: an absent turn
                continue
            for first in range(0, len(positions), self._batch_size):
                some = positions[first : first + self._batch_size]
                with torch.inference_mode():
                    states = self._states(torch.tensor([token_ids[position] for position in some]))
                rows.update({turns[position][0]: row for position, row in zip(some, states, strict=True)})
        return rows

    def _states(self, ids_NL: Any) -> Array:
        import torch

        ids_NL = ids_NL.to(self._model.device)
        output = self._model(input_ids=ids_NL, attention_mask=torch.ones_like(ids_NL), output_hidden_states=True)
        hidden = output.hidden_states
        missing = [layer for layer in self._layers if not -len(hidden) <= layer < len(hidden)]
        if missing:
            raise FeatureError(
                f"hf-text: {self._source} has hidden states 0 … {len(hidden) - 1}, not {missing}; choose among them"
            )
        layers = [hidden[layer].float() for layer in self._layers]
        x_NLD: Any = torch.cat(layers, dim=-1) if self._merge == "concat" else torch.stack(layers).mean(0)
        is_pooled_NL1 = self._is_pooled(ids_NL)[..., None]

        def mean() -> Any:
            return (x_NLD * is_pooled_NL1).sum(1) / is_pooled_NL1.sum(1)

        def highest() -> Any:
            return x_NLD.masked_fill(~is_pooled_NL1, float("-inf")).amax(1)

        choices: dict[str, Callable[[], Any]] = {
            "mean": mean,
            "cls": lambda: x_NLD[:, 0],
            "max": highest,
            "mean+max": lambda: torch.cat([mean(), highest()], dim=-1),
            "none": lambda: x_NLD,
        }
        array: Array = choices[self._pooling]().cpu().numpy().astype(np.float32)
        return array

    def _is_pooled(self, ids_NL: Any) -> Any:
        """True on the tokens mean and max see."""
        import torch

        is_special = torch.zeros_like(ids_NL, dtype=torch.bool)
        if not self._pool_special_tokens:
            special = set(self._tokenizer.all_special_ids) - {self._tokenizer.unk_token_id}  # an unknown word is a word
            is_special = torch.isin(ids_NL, ids_NL.new_tensor(sorted(special)))
            is_special &= ~is_special.all(1, keepdim=True)
        return ~is_special

    @cached_property
    def _weights(self) -> Mapping[str, Any]:
        folder = Path(self._source).expanduser()
        if folder.is_dir():
            files = sorted({path for pattern in _FOLDER_FILES for path in folder.glob(pattern)})
            if not files:
                raise FeatureError(
                    f"hf-text: {folder} holds neither config.json nor weights; give a transformers model folder"
                )
            return {path.name: file_sha256(path) for path in files}
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(self._source, revision=self._revision, trust_remote_code=False)
        except Exception as error:
            raise self._cannot_load(error) from error
        return {"hub": self._source, "commit": getattr(config, "_commit_hash", None)}

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self._place, revision=self._revision, trust_remote_code=False)
        except Exception as error:
            raise self._cannot_load(error) from error

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        bars: Any = logging
        were_shown = bars.is_progress_bar_enabled()
        bars.disable_progress_bar()  # the store shows its own
        arguments: dict[str, Any] = {"revision": self._revision, "trust_remote_code": False}
        try:
            try:
                model = AutoModel.from_pretrained(self._place, use_safetensors=True, **arguments)
            except OSError:  # no safetensors there; transformers reads .bin files with weights_only=True
                model = AutoModel.from_pretrained(self._place, use_safetensors=False, **arguments)
        except Exception as error:
            raise self._cannot_load(error) from error
        finally:
            if were_shown:
                bars.enable_progress_bar()
        if getattr(model.config, "is_encoder_decoder", False):
            model = model.get_encoder()
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self._device == "auto" else self._device
        return model.float().eval().to(device)

    @property
    def _place(self) -> str:
        folder = Path(self._source).expanduser()
        return str(folder) if folder.is_dir() else self._source

    def _cannot_load(self, error: Exception) -> FeatureError:
        """For whatever is raised: JSON, safetensors and the refusal to unpickle have errors of their own."""
        first_line = str(error).strip().partition("\n")[0]
        return FeatureError(
            f"hf-text: cannot load {self._source!r} ({first_line}); give a folder with config.json, tokenizer and "
            "model.safetensors, or a hub name that is reachable or already in the Hugging Face cache"
        )


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
