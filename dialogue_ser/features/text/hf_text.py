"""Frozen text models, pooled over tokens and layers: transformers by hub name or folder, and the packaged MiniLM."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.pretrained.loading import PretrainedModel, library_versions, torch_device
from dialogue_ser.features.text.dialogue_context import TurnTokens, TurnWindow, turn_sequences
from dialogue_ser.features.text.text_model import Network, TextModel, TextTokenizer, TransformersModel
from dialogue_ser.features.text.word_tokenizer import ascii_quotes

Pooling = Literal["mean", "cls", "max", "mean+max", "none"]
LayerMerge = Literal["mean", "concat"]


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
        context_past: earlier turns of the dialogue read with each turn, in one sequence (see
            :mod:`~dialogue_ser.features.text.dialogue_context`); mean, max and none then take the turn's own tokens.
        context_future: later turns; 0 = causal.
        speakers: write every turn as ``Speaker: text``.
        modality: name under which the batch carries it.

    Attributes:
        text_model: the model itself; ``minilm`` puts the packaged one here.

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
        context_past: int = 0,
        context_future: int = 0,
        speakers: bool = False,
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
        self.text_model: TextModel = TransformersModel(PretrainedModel(model, revision, who="hf-text"))
        self._pooling = pooling
        self._layers = tuple(layers)
        self._merge = layer_merge
        self._max_length = max_length
        self._batch_size = batch_size
        self._normalise_quotes = normalise_quotes
        self._pool_special_tokens = pool_special_tokens
        self._device = device
        self._window = TurnWindow(past=context_past, future=context_future, speakers=speakers)
        reads = ("text", "speaker") if speakers else ("text",)
        self.traits = EncoderTraits(context=(context_past, context_future), reads=reads)

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
            "versions": library_versions(),
            **({"context": self._window.describe()} if self._window.is_used else {}),
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """float32 ``[D]`` (or ``[L, D]``) for every utterance with text.

        Raises:
            FeatureError: the model cannot be loaded or has no such layer.
        """
        import torch

        sequences = self._in_context(dialogues) if self._window.is_used else self._alone(dialogues)
        turns = list(sequences.items())
        by_length: dict[int, list[int]] = {}
        for position, (_, tokens) in enumerate(turns):
            by_length.setdefault(len(tokens.ids), []).append(position)
        rows: dict[str, Array] = {}
        for n_tokens, positions in sorted(by_length.items()):
            if n_tokens == 0:  # a tokenizer without special tokens makes nothing of an empty text: an absent turn
                continue
            for first in range(0, len(positions), self._batch_size):
                some = positions[first : first + self._batch_size]
                with torch.inference_mode():
                    states = self._states([turns[position][1] for position in some])
                rows.update({turns[position][0]: row for position, row in zip(some, states, strict=True)})
        return rows

    def costs(self, turns: Sequence[Utterance]) -> Sequence[int]:
        """Tokens of each utterance: the store asks for those of equal count together, so that batches are full."""
        return [len(ids) for ids in self._token_ids([turn.text or "" for turn in turns])]

    def _alone(self, dialogues: Sequence[Dialogue]) -> dict[str, TurnTokens]:
        texts = {turn.id: turn.text for turn in utterances(dialogues) if turn.text is not None}
        token_ids = self._token_ids(list(texts.values())) if texts else []
        return {key: TurnTokens(ids, 0, len(ids)) for key, ids in zip(texts, token_ids, strict=True)}

    def _in_context(self, dialogues: Sequence[Dialogue]) -> dict[str, TurnTokens]:
        tokenizer, prepare = self._tokenizer, ascii_quotes if self._normalise_quotes else str
        return turn_sequences(dialogues, self._window, tokenizer.bare_ids, tokenizer.special, self._longest, prepare)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        written = [ascii_quotes(text) if self._normalise_quotes else text for text in texts]
        return self._tokenizer.ids(written, self._longest)

    def _states(self, sequences: Sequence[TurnTokens]) -> Sequence[Array]:
        """Pooled rows of sequences of one length."""
        import torch

        ids_NL = torch.tensor([tokens.ids for tokens in sequences]).to(self._torch_device)
        hidden = self._network(ids_NL)
        missing = [layer for layer in self._layers if not -len(hidden) <= layer < len(hidden)]
        if missing:
            raise FeatureError(
                f"hf-text: {self.text_model.model} has hidden states 0 … {len(hidden) - 1}, not {missing}; choose "
                "among them"
            )
        layers = [hidden[layer].float() for layer in self._layers]
        x_NLD: Any = torch.cat(layers, dim=-1) if self._merge == "concat" else torch.stack(layers).mean(0)
        if self._pooling == "none" and self._window.is_used:
            x_NLD = x_NLD.cpu()
            pairs = zip(x_NLD, sequences, strict=True)
            return [x_LD[tokens.start : tokens.stop].numpy().astype(np.float32) for x_LD, tokens in pairs]
        is_pooled_NL1 = self._is_pooled(ids_NL, sequences)[..., None]

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
        rows: Sequence[Array] = choices[self._pooling]().cpu().numpy().astype(np.float32)
        return rows

    def _is_pooled(self, ids_NL: Any, sequences: Sequence[TurnTokens]) -> Any:
        """True on the tokens mean and max see."""
        import torch

        if self._window.is_used:
            own = [[tokens.start <= place < tokens.stop for place in range(len(tokens.ids))] for tokens in sequences]
            return torch.tensor(own, device=ids_NL.device)
        is_special = torch.zeros_like(ids_NL, dtype=torch.bool)
        if not self._pool_special_tokens:
            is_special = torch.isin(ids_NL, ids_NL.new_tensor(sorted(self._tokenizer.special_ids)))
            is_special &= ~is_special.all(1, keepdim=True)
        return ~is_special

    @cached_property
    def _weights(self) -> Mapping[str, Any]:
        return self.text_model.fingerprint()

    @property
    def _longest(self) -> int:
        """Tokens kept of an utterance.

        Raises:
            ConfigError: there is room for special tokens only, and all texts would be alike.
        """
        longest = min(self._max_length, self._tokenizer.longest)
        n_special = self._tokenizer.n_special
        if longest <= n_special:
            raise ConfigError(
                f"hf-text: max_length {longest} leaves no room for a text beside {n_special} special tokens; set it to "
                f"at least {n_special + 1}"
            )
        return longest

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        return self.text_model.tokenizer()

    @cached_property
    def _torch_device(self) -> str:
        return torch_device(self._device, "hf-text")

    @cached_property
    def _network(self) -> Network:
        return self.text_model.network(self._torch_device)
