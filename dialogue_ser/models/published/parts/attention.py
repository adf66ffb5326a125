"""Published weights of the attention over past global states, which DialogueRNN and COSMIC have in common."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dialogue_ser.models.published.parts.tensors import PublishedTensors
from dialogue_ser.models.recurrent.base import AttentionOption
from dialogue_ser.nn.attention import HistoryAttention

#: Published kind → ours. The published general2 has a tanh in some implementations, and is not among these.
PUBLISHED_ATTENTION: Mapping[str, AttentionOption] = {
    "simple": "simple-linear",
    "general": "general",
    "dot": "dot",
    "concat": "concat",
}


def take_history_attention(
    found: PublishedTensors, attention: HistoryAttention, ours: str, published: Sequence[str]
) -> None:
    """The weights of all directions.

    Args:
        found: the published tensors.
        attention: our attention.
        ours: its name in our system.
        published: its published name per direction, without a dot at the end.
    """
    of_directions = [_one_direction(found, attention, prefix) for prefix in published]
    for name in of_directions[0]:
        found.values[f"{ours}.{name}"] = torch.stack([weights[name] for weights in of_directions])


def _one_direction(found: PublishedTensors, attention: HistoryAttention, prefix: str) -> dict[str, Tensor]:
    if attention.kind == "dot":
        return {}
    if attention.is_simple:
        return {"weight": found.take(f"{prefix}.scalar.weight", 1, attention.weight.shape[1]).T}
    if attention.kind == "concat":  # the published matrix multiplies [g; x]
        (_, memory_dim, inner_dim), query_dim = attention.weight_memory.shape, attention.weight_query.shape[1]
        joined = found.take(f"{prefix}.transform.weight", inner_dim, memory_dim + query_dim)
        of_memory, of_query = torch.split(joined, [memory_dim, query_dim], dim=1)
        score = found.take(f"{prefix}.vector_prod.weight", 1, inner_dim)
        return {"weight_memory": of_memory.T, "weight_query": of_query.T, "score": score.T}
    _, query_dim, memory_dim = attention.weight.shape
    weights = {"weight": found.take(f"{prefix}.transform.weight", memory_dim, query_dim).T}
    if attention.kind.startswith("general2"):
        weights["bias"] = found.take(f"{prefix}.transform.bias", memory_dim)
    return weights
