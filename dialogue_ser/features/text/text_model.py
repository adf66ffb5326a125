"""Interfaces of a text model and its tokenizer for the frozen text encoder, and classes for models of transformers."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.pretrained.loading import PretrainedModel
from dialogue_ser.features.text.dialogue_context import SpecialTokens

Network = Callable[[Any], Sequence[Any]]
"""Function from token ids to hidden states. The ids ``[N, L]`` belong to texts of one length and are on the network's
device. The hidden states, each ``[N, L, D]``, are those of the embeddings and of every layer."""


_NAMES_OF_POSITIONS = ("position_embeddings", "position_embedding", "embed_positions", "wpe")


class TextTokenizer(Protocol):
    """Interface of a tokenizer, which turns texts into token ids.

    Attributes:
        max_tokens: largest number of tokens that the model can read at once.
        n_special: number of special tokens around one text.
        special_ids: ids of all special tokens, without the id for unknown words, because it stands for a word.
    """

    max_tokens: int
    n_special: int
    special_ids: frozenset[int]

    @property
    def special(self) -> SpecialTokens:
        """The special tokens around a text and between turns."""
        ...

    def ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return the ids of each text with special tokens. Texts with more than ``max_tokens`` are cut at their end."""
        ...

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text without special tokens. Texts are not cut."""
        ...


class TextModel(Protocol):
    """Interface of a text model that is loaded when it is needed.

    Attributes:
        model: name of the model as the user gave it, for messages.
    """

    model: str

    def fingerprint(self) -> Mapping[str, Any]:
        """Return values that identify its weights and its tokenizer."""
        ...

    def tokenizer(self) -> TextTokenizer:
        """Load its tokenizer.

        Raises:
            FeatureError: it cannot be loaded.
        """
        ...

    def network(self, device: str) -> Network:
        """Load its network on a device, in float32, for inference.

        Raises:
            FeatureError: it cannot be loaded.
        """
        ...


class TransformersTokenizer:
    """A tokenizer of transformers as a :class:`TextTokenizer`.

    Args:
        tokenizer: a fast or a slow tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.max_tokens = int(tokenizer.model_max_length)
        self.n_special: int = tokenizer.num_special_tokens_to_add()
        self.special_ids = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    @cached_property
    def special(self) -> SpecialTokens:
        """The special tokens that the tokenizer itself sets."""
        return SpecialTokens.of(self._tokenizer)

    def ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return the ids of each text with special tokens, at most ``max_tokens``."""
        found: list[list[int]] = self._tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
        return found

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text without special tokens."""
        found: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return found


class TransformersModel:
    """A model of transformers as a :class:`TextModel`.

    Args:
        pretrained_model: the model to load.
    """

    def __init__(self, pretrained_model: PretrainedModel) -> None:
        self.model = pretrained_model.model
        self._pretrained_model = pretrained_model

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the SHA-256 of its files, or its hub name and commit."""
        return self._pretrained_model.fingerprint()

    def tokenizer(self) -> TransformersTokenizer:
        """Load the model's own tokenizer."""
        return TransformersTokenizer(self._pretrained_model.tokenizer())

    def network(self, device: str) -> Network:
        """Load the model without a head. If it is an encoder-decoder, load its encoder."""
        import torch

        model = self._pretrained_model.load().eval().to(device)
        most_tokens = _position_limit(model)

        def hidden_states(ids_NL: torch.Tensor) -> Sequence[torch.Tensor]:
            if most_tokens is not None and ids_NL.shape[1] > most_tokens:
                raise FeatureError(
                    f"text model {self.model}: a text has {ids_NL.shape[1]} tokens, but the model has positions for "
                    f"{most_tokens} only; set the option max_length to at most {most_tokens}"
                )
            output = model(input_ids=ids_NL, attention_mask=torch.ones_like(ids_NL), output_hidden_states=True)
            hidden: Sequence[torch.Tensor] = output.hidden_states
            return hidden

        return hidden_states


def _position_limit(model: Any) -> int | None:
    """Return the number of tokens that a model has positions for; None if its positions are relative.

    Models of the RoBERTa family count positions from the number after the padding id.
    """
    import torch

    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _NAMES_OF_POSITIONS and isinstance(module, torch.nn.Embedding):
            first = getattr(module, "offset", 0) if module.padding_idx is None else module.padding_idx + 1
            return int(module.num_embeddings - first)
    return None
