"""The network of all-MiniLM-L6-v2, built from torch's own layers.

It computes the same as transformers' BertModel, without importing transformers.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

HIDDEN, HEADS, INTERMEDIATE, LAYERS = 384, 12, 1536, 6
NORM_EPS = 1e-12


class MinilmNetwork(nn.Module):
    """Network from token ids to the hidden states of all layers.

    It is a BERT (Devlin et al. 2019) with post-norm, exact GELU and no dropout. Its weights have no defined values
    until they are loaded.

    Args:
        n_words: number of rows of the word embedding.
        n_positions: largest number of tokens of a text.
    """

    def __init__(self, n_words: int, n_positions: int) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.empty(n_words, HIDDEN))
        self.positions = nn.Parameter(torch.empty(n_positions, HIDDEN))
        self.segment = nn.Parameter(torch.empty(HIDDEN))  # embedding of the first segment; no text has a second one
        self.norm = nn.LayerNorm(HIDDEN, eps=NORM_EPS)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                HIDDEN, HEADS, INTERMEDIATE, dropout=0.0, activation="gelu", layer_norm_eps=NORM_EPS, batch_first=True
            )
            for _ in range(LAYERS)
        )

    def forward(self, ids_NL: Tensor, is_real_NL: Tensor | None = None) -> list[Tensor]:
        """Return the embeddings and the output of every layer ``[N, L, 384]``. Values on padding have no meaning.

        Args:
            ids_NL: token ids with special tokens.
            is_real_NL: False on padding; None means that there is no padding.
        """
        embedded = functional.embedding(ids_NL, self.words) + self.segment + self.positions[: ids_NL.shape[1]]
        is_read_N11L = None if is_real_NL is None else is_real_NL[:, None, None]
        states = [self.norm(embedded)]
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            states.append(_output(layer, states[-1], is_read_N11L))
        return states


def _output(layer: nn.TransformerEncoderLayer, x_NLD: Tensor, is_read_N11L: Tensor | None) -> Tensor:
    """Compute the output of a layer in the same order as BertModel, so both give the same bits on the same machine.

    Torch's own fast path for this layer rounds differently, which makes a difference of 1e-5 after six layers.
    """
    attention = layer.self_attn
    joined = functional.linear(x_NLD, attention.in_proj_weight, attention.in_proj_bias)
    n_texts, n_tokens, _ = x_NLD.shape
    query, key, value = joined.view(n_texts, n_tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    heads = functional.scaled_dot_product_attention(query, key, value, attn_mask=is_read_N11L)
    attended: Tensor = layer.norm1(attention.out_proj(heads.transpose(1, 2).flatten(2)) + x_NLD)
    output: Tensor = layer.norm2(layer.linear2(functional.gelu(layer.linear1(attended))) + attended)
    return output


def load_network(weights: Path) -> MinilmNetwork:
    """Build the network with the weights of a BERT of MiniLM's size, in float32 on the CPU, for inference.

    Raises:
        KeyError: a weight is missing.
        RuntimeError: a weight has another shape.
    """
    state = rename_weights(load_file(weights))
    with torch.device("meta"):  # the weights are not initialised, which saves time
        network = MinilmNetwork(len(state["words"]), len(state["positions"]))
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()


def rename_weights(bert: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return BERT's weights under the names of torch's layers, which have query, key and value in one matrix."""
    state = {
        "words": bert["embeddings.word_embeddings.weight"],
        "positions": bert["embeddings.position_embeddings.weight"],
        "segment": bert["embeddings.token_type_embeddings.weight"][0],
    }
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = bert[f"embeddings.LayerNorm.{part}"]
        for i in range(LAYERS):
            theirs, ours = f"encoder.layer.{i}", f"layers.{i}"
            query_key_value = [bert[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            state |= {
                f"{ours}.self_attn.in_proj_{part}": torch.cat(query_key_value),
                f"{ours}.self_attn.out_proj.{part}": bert[f"{theirs}.attention.output.dense.{part}"],
                f"{ours}.norm1.{part}": bert[f"{theirs}.attention.output.LayerNorm.{part}"],
                f"{ours}.linear1.{part}": bert[f"{theirs}.intermediate.dense.{part}"],
                f"{ours}.linear2.{part}": bert[f"{theirs}.output.dense.{part}"],
                f"{ours}.norm2.{part}": bert[f"{theirs}.output.LayerNorm.{part}"],
            }
    return state
