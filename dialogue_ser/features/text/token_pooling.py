"""Turn hidden states of a text model into the features of each text: choose layers, merge them, pool over tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.text.dialogue_context import TurnTokens

Pooling = Literal["mean", "cls", "max", "mean+max", "none"]
LayerMerge = Literal["mean", "concat"]


@dataclass(frozen=True, kw_only=True)
class TokenPooling:
    """Which hidden states are used, and how they become one vector (or one row per token) for each text.

    Args:
        pooling: ``mean``, ``cls`` (first token), ``max``, ``mean+max`` (concatenated), or ``none`` (frames ``[L, D]``).
        layers: numbers of the hidden states to use; 0 is the embeddings and −1 the last hidden state.
        layer_merge: ``mean`` of the layers, or ``concat`` for their concatenation.
    """

    pooling: str
    layers: tuple[int, ...]
    layer_merge: str

    def merge_layers(self, hidden: Sequence[Any], model: str) -> Any:
        """Return the merged hidden states ``[N, L, D]``.

        Args:
            hidden: the hidden states ``[N, L, D]`` of the embeddings and of every layer.
            model: name of the model, for the error message.

        Raises:
            FeatureError: the model does not have one of the layers.
        """
        import torch

        missing = [layer for layer in self.layers if not -len(hidden) <= layer < len(hidden)]
        if missing:
            raise FeatureError(
                f"hf-text: {model} has hidden states 0 … {len(hidden) - 1}, not {missing}; choose among them"
            )
        layers = [hidden[layer].float() for layer in self.layers]
        return torch.cat(layers, dim=-1) if self.layer_merge == "concat" else torch.stack(layers).mean(0)

    def pool(self, x_NLD: Any, is_pooled_NL: Any) -> Sequence[Array]:
        """Return one float32 row for each text: ``[D]``, or ``[L, D]`` without pooling.

        Args:
            x_NLD: merged hidden states of texts with the same number of tokens.
            is_pooled_NL: True for the tokens that the mean and the maximum read.
        """
        import torch

        is_pooled_NL1 = is_pooled_NL[..., None]

        def mean() -> Any:
            return (x_NLD * is_pooled_NL1).sum(1) / is_pooled_NL1.sum(1)

        def maximum() -> Any:
            return x_NLD.masked_fill(~is_pooled_NL1, float("-inf")).amax(1)

        choices: dict[str, Callable[[], Any]] = {
            "mean": mean,
            "cls": lambda: x_NLD[:, 0],
            "max": maximum,
            "mean+max": lambda: torch.cat([mean(), maximum()], dim=-1),
            "none": lambda: x_NLD,
        }
        rows: Sequence[Array] = choices[self.pooling]().cpu().numpy().astype(np.float32)
        return rows


def pooling_problems(pooling: str, layers: Sequence[int], layer_merge: str) -> list[str]:
    """Return one sentence for each option of :class:`TokenPooling` that is not valid."""
    problems = []
    if pooling not in get_args(Pooling):
        problems.append(f"pooling {pooling!r} is none of {', '.join(get_args(Pooling))}")
    if layer_merge not in get_args(LayerMerge):
        problems.append(f"layer_merge {layer_merge!r} is none of {', '.join(get_args(LayerMerge))}")
    if isinstance(layers, (str, int)) or not layers or not all(isinstance(layer, int) for layer in layers):
        problems.append(f"layers {layers!r} must be a list of whole numbers, e.g. [-1, -2]")
    return problems


def own_token_rows(x_NLD: Any, sequences: Sequence[TurnTokens]) -> list[Array]:
    """Return float32 frames ``[L, D]`` of each turn: the hidden states of its own tokens, without its neighbours."""
    pairs = zip(x_NLD.cpu(), sequences, strict=True)
    return [x_LD[tokens.start : tokens.stop].numpy().astype(np.float32) for x_LD, tokens in pairs]
