"""Multi-head self-attention over the valid frames of an utterance (docs/equations.md, E3)."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dialogue_ser.nn.attention import masked_softmax


class FrameAttention(nn.Module):
    """A_MH = (A_1 ‖ … ‖ A_h) W_E with A_i = softmax(Q_i K_iᵀ / √d_K) V_i; Q = E W_Q, K = E W_K, V = E W_V.

    Source: E3 (Bhosale et al., ICASSP 2020). Its equations have no biases. d_K = D / h.

    Args:
        dim: D, the number of features of a frame, a multiple of ``n_heads``.
        n_heads: h, the number of heads.
        dropout: dropout rate on the attention weights in training.
    """

    def __init__(self, dim: int, n_heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        assert dim % n_heads == 0, (dim, n_heads)
        self.n_heads, self.dropout = n_heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def forward(
        self, e_NLD: Float[Tensor, "row length feature"], is_valid_NL: Bool[Tensor, "row length"]
    ) -> Float[Tensor, "row length feature"]:
        """A_MH of every frame.

        Each row needs at least one valid frame. Invalid frames must be finite, and their results have no meaning.
        """
        query, key, value = (self._split_heads(layer(e_NLD)) for layer in (self.query, self.key, self.value))
        rate = self.dropout if self.training else 0.0
        is_visible = is_valid_NL[:, None, None]
        heads_NHLK = scaled_dot_product_attention(query, key, value, attn_mask=is_visible, dropout_p=rate)
        a_NLD: Tensor = self.out(heads_NHLK.transpose(1, 2).flatten(2))
        return a_NLD

    def weights(
        self, e_NLD: Float[Tensor, "row length feature"], is_valid_NL: Bool[Tensor, "row length"]
    ) -> Float[Tensor, "row head frame seen"]:
        """softmax(Q_i K_iᵀ / √d_K) of every head, without dropout; rows and columns of invalid frames are 0."""
        query, key = self._split_heads(self.query(e_NLD)), self._split_heads(self.key(e_NLD))
        logits_NHLL = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        is_visible = is_valid_NL[:, None, :, None] & is_valid_NL[:, None, None, :]
        return masked_softmax(logits_NHLL, is_visible.expand_as(logits_NHLL))

    def _split_heads(self, x_NLD: Tensor) -> Tensor:
        return torch.unflatten(x_NLD, -1, (self.n_heads, -1)).transpose(1, 2)
