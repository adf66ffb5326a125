"""Encoder that gives the hidden states of a frozen text model: any model of transformers, or the packaged MiniLM."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.pretrained.loading import PretrainedModel, library_versions, torch_device
from dialogue_ser.features.text.dialogue_context import TurnTokens, TurnWindow, turn_sequences
from dialogue_ser.features.text.text_model import Network, TextModel, TextTokenizer, TransformersModel
from dialogue_ser.features.text.token_pooling import TokenPooling, own_token_rows, pooling_problems
from dialogue_ser.features.text.word_tokenizer import ascii_quotes


class HfText:
    """Encoder that gives the hidden states of a text model for each utterance that has a text.

    The result is one vector per utterance, or one row per token. A batch holds only texts with the same number of
    tokens, so there is no padding. The features of a text do not depend on the other texts of the batch, except for
    rounding.

    Args:
        model: hub name, or folder with ``config.json``, tokenizer and safetensors weights.
        pooling: pooling over tokens: ``mean``, ``cls`` (first token), ``max``, ``mean+max`` (concatenated), or ``none``
            for frames ``[L, D]``.
        pool_special_tokens: True if mean and max also read special tokens such as [CLS] and [SEP]. They are always read
            if the text has no other token.
        layers: numbers of the hidden states to use; 0 is the embeddings and −1 the last hidden state.
            ``(-1, -2, -3, -4)`` with ``layer_merge`` mean gives the mean of the last four.
        layer_merge: ``mean`` of the layers, or ``concat`` for their concatenation.
        max_length: largest number of tokens of an utterance, with special tokens. Longer texts are cut at their end.
        batch_size: number of texts per forward pass. Decrease it if memory is short.
        normalise_quotes: True to replace curly quotes and dashes by ASCII before the text is tokenised.
        device: ``auto``, ``cpu`` or ``cuda``. It is not part of the fingerprint.
        revision: branch, tag or commit of a hub model.
        context_past: number of earlier turns that are read together with each turn, in one sequence (see
            :mod:`~dialogue_ser.features.text.dialogue_context`). Mean, max and none then use the turn's own tokens.
        context_future: number of later turns that are read with each turn. The encoder is causal if it is 0.
        speakers: True to write every turn as ``Speaker: text``.
        modality: name of the modality in the batch.

    Attributes:
        text_model: the text model; ``minilm`` replaces it by the packaged one.

    Raises:
        ConfigError: options are unknown or out of range. The error names all of them.
    """

    # Each option is a parameter, because the registry reads the options of an encoder from this signature.
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
        problems = pooling_problems(pooling, layers, layer_merge)
        if max_length < 1 or batch_size < 1:
            problems.append(f"max_length {max_length} and batch_size {batch_size} must be at least 1")
        if problems:
            raise ConfigError(*(f"hf-text: {problem}" for problem in problems))
        self.name = "hf-text"
        self.modality = modality
        self.kind: InputKind = "frames" if pooling == "none" else "vector"
        self.text_model: TextModel = TransformersModel(PretrainedModel(model, revision, encoder="hf-text"))
        self._pooling = TokenPooling(pooling=pooling, layers=tuple(layers), layer_merge=layer_merge)
        self._max_length = max_length
        self._batch_size = batch_size
        self._normalise_quotes = normalise_quotes
        self._pool_special_tokens = pool_special_tokens
        self._device = device
        self._window = TurnWindow(past=context_past, future=context_future, speakers=speakers)
        self.traits = EncoderTraits(
            context=(context_past, context_future), reads=("text", "speaker") if speakers else ("text",)
        )

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the identity of the model, the options that change the output, and the versions of the libraries."""
        return {
            "weights": self._model_fingerprint,
            "pooling": self._pooling.pooling,
            "layers": list(self._pooling.layers),
            "layer_merge": self._pooling.layer_merge,
            "max_length": self._max_length,
            "normalise_quotes": self._normalise_quotes,
            "pool_special_tokens": self._pool_special_tokens,
            "versions": library_versions(),
            **({"context": self._window.describe()} if self._window.is_used else {}),
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return a float32 row ``[D]``, or ``[L, D]`` without pooling, for every utterance that has a text.

        Raises:
            FeatureError: the model cannot be loaded, or it does not have a layer in ``layers``.
        """
        import torch

        sequences = self._in_context(dialogues) if self._window.is_used else self._alone(dialogues)
        keys_by_length: dict[int, list[str]] = {}
        for key, tokens in sequences.items():
            keys_by_length.setdefault(len(tokens.ids), []).append(key)
        rows: dict[str, Array] = {}
        # The longest texts come first: if they are too long for the model or the memory, the error comes at once.
        for n_tokens, keys in sorted(keys_by_length.items(), reverse=True):
            if n_tokens == 0:  # a tokenizer without special tokens gives nothing for an empty text; the turn is absent
                continue
            for first in range(0, len(keys), self._batch_size):
                batch = keys[first : first + self._batch_size]
                with torch.inference_mode():
                    rows.update(zip(batch, self._rows([sequences[key] for key in batch]), strict=True))
        return {key: rows[key] for key in sequences if key in rows}

    def costs(self, turns: Sequence[Utterance]) -> Sequence[int]:
        """Return the number of tokens of each utterance. The store encodes utterances with equal numbers together."""
        return [len(ids) for ids in self._token_ids([turn.text or "" for turn in turns])]

    def _alone(self, dialogues: Sequence[Dialogue]) -> dict[str, TurnTokens]:
        """Return the tokens of each utterance by itself, without its neighbours."""
        texts = {turn.id: turn.text for turn in utterances(dialogues) if turn.text is not None}
        token_ids = self._token_ids(list(texts.values())) if texts else []
        return {key: TurnTokens(ids, 0, len(ids)) for key, ids in zip(texts, token_ids, strict=True)}

    def _in_context(self, dialogues: Sequence[Dialogue]) -> dict[str, TurnTokens]:
        """Return the tokens of each utterance together with its neighbours."""
        tokenizer, prepare = self._tokenizer, ascii_quotes if self._normalise_quotes else str
        return turn_sequences(dialogues, self._window, tokenizer.bare_ids, tokenizer.special, self._max_tokens, prepare)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        prepared = [ascii_quotes(text) if self._normalise_quotes else text for text in texts]
        return self._tokenizer.ids(prepared, self._max_tokens)

    def _rows(self, sequences: Sequence[TurnTokens]) -> Sequence[Array]:
        """Return the features of sequences that all have the same length."""
        import torch

        ids_NL = torch.tensor([tokens.ids for tokens in sequences]).to(self._torch_device)
        x_NLD = self._pooling.merge_layers(self._network(ids_NL), self.text_model.model)
        if self.kind == "frames" and self._window.is_used:
            return own_token_rows(x_NLD, sequences)
        return self._pooling.pool(x_NLD, self._is_pooled(ids_NL, sequences))

    def _is_pooled(self, ids_NL: Any, sequences: Sequence[TurnTokens]) -> Any:
        """Return True for the tokens that mean and max read, ``[N, L]``."""
        import torch

        if self._window.is_used:
            own = [[tokens.start <= i < tokens.stop for i in range(len(tokens.ids))] for tokens in sequences]
            return torch.tensor(own, device=ids_NL.device)
        is_special = torch.zeros_like(ids_NL, dtype=torch.bool)
        if not self._pool_special_tokens:
            is_special = torch.isin(ids_NL, ids_NL.new_tensor(sorted(self._tokenizer.special_ids)))
            is_special &= ~is_special.all(1, keepdim=True)
        return ~is_special

    @cached_property
    def _model_fingerprint(self) -> Mapping[str, Any]:
        return self.text_model.fingerprint()

    @property
    def _max_tokens(self) -> int:
        """Largest number of tokens of an utterance: ``max_length``, or less if the model reads less.

        Raises:
            ConfigError: there is only room for special tokens. All texts would be the same.
        """
        max_tokens = min(self._max_length, self._tokenizer.max_tokens)
        n_special = self._tokenizer.n_special
        if max_tokens <= n_special:
            raise ConfigError(
                f"hf-text: max_length {max_tokens} leaves no room for a text beside {n_special} special tokens; set it "
                f"to at least {n_special + 1}"
            )
        return max_tokens

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        return self.text_model.tokenizer()

    @cached_property
    def _torch_device(self) -> str:
        return torch_device(self._device, "hf-text")

    @cached_property
    def _network(self) -> Network:
        return self.text_model.network(self._torch_device)
