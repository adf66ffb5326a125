"""What the frozen text encoder asks of a text model and its tokenizer, and how transformers' ones answer."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from dialogue_ser.features.pretrained.loading import PretrainedModel
from dialogue_ser.features.text.dialogue_context import SpecialTokens

Network = Callable[[Any], Sequence[Any]]
"""Token ids ``[N, L]`` of texts of one length, on the network's device → the hidden states ``[N, L, D]`` of the
embeddings and of every layer."""


class TextTokenizer(Protocol):
    """Texts to token ids.

    Attributes:
        longest: tokens the model can read at once.
        n_special: special tokens around one text.
        special_ids: ids of all special tokens but the unknown word's, which is a word.
    """

    longest: int
    n_special: int
    special_ids: frozenset[int]

    @property
    def special(self) -> SpecialTokens:
        """What stands around a text and between turns."""
        ...

    def ids(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Ids with the special ones, ``longest`` at most: what is too long is cut at its end."""
        ...

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids without special ones, of any number."""
        ...


class TextModel(Protocol):
    """A text model that is loaded when it is needed.

    Attributes:
        model: what the user calls it, for messages.
    """

    model: str

    def fingerprint(self) -> Mapping[str, Any]:
        """What tells its weights and its tokenizer from others."""
        ...

    def tokenizer(self) -> TextTokenizer:
        """Its tokenizer.

        Raises:
            FeatureError: it cannot be loaded.
        """
        ...

    def network(self, device: str) -> Network:
        """Its network on a device, in float32, for inference.

        Raises:
            FeatureError: it cannot be loaded.
        """
        ...


class TransformersTokenizer:
    """A tokenizer of transformers as a :class:`TextTokenizer`.

    Args:
        tokenizer: fast or not.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.longest = int(tokenizer.model_max_length)
        self.n_special: int = tokenizer.num_special_tokens_to_add()
        self.special_ids = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    @cached_property
    def special(self) -> SpecialTokens:
        """As the tokenizer itself sets them."""
        return SpecialTokens.of(self._tokenizer)

    def ids(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Ids with the special ones, ``longest`` at most."""
        found: list[list[int]] = self._tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
        return found

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids without special ones."""
        found: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return found


class TransformersModel:
    """A model of transformers as a :class:`TextModel`.

    Args:
        source: where it comes from.
    """

    def __init__(self, source: PretrainedModel) -> None:
        self.model = source.model
        self._source = source

    def fingerprint(self) -> Mapping[str, Any]:
        """SHA-256 of its files, or hub name and commit."""
        return self._source.fingerprint()

    def tokenizer(self) -> TransformersTokenizer:
        """The model's own."""
        return TransformersTokenizer(self._source.tokenizer())

    def network(self, device: str) -> Network:
        """The bare model; of an encoder-decoder the encoder."""
        import torch

        model = self._source.load().eval().to(device)

        def states(ids_NL: torch.Tensor) -> Sequence[torch.Tensor]:
            output = model(input_ids=ids_NL, attention_mask=torch.ones_like(ids_NL), output_hidden_states=True)
            hidden: Sequence[torch.Tensor] = output.hidden_states
            return hidden

        return states
