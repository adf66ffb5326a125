"""Multi-head self-attention over the frames of an utterance, masked exactly."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dialogue_ser.nn.attention import masked_softmax


class FrameAttention(nn.Module):
    """A_MH = (A_1 ‖ … ‖ A_h) W_E with A_i = softmax(Q_i K_iᵀ / √d_K) V_i; Q = E W_Q, K = E W_K, V = E W_V.

    E3 of docs/equations.md (Bhosale et al., ICASSP 2020), without biases, as it writes them. d_K = D / h.

    Args:
        dim: D of the frames, a multiple of ``n_heads``.
        n_heads: h.
        dropout: on the weights, while training.
    """

    def __init__(self, dim: int, n_heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        assert dim % n_heads == 0, (dim, n_heads)
        self.n_heads, self.dropout = n_heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def forward(
        self, e_NLD: Float[Tensor, "row length feature"], is_valid_NL: Bool[Tensor, "row length"]
    ) -> Float[Tensor, "row length feature"]:
        """A_MH; each row needs a valid frame. What invalid ones hold must be finite; what they get means nothing."""
        query, key, value = (self._heads(layer(e_NLD)) for layer in (self.query, self.key, self.value))
        share = self.dropout if self.training else 0.0
        is_seen = is_valid_NL[:, None, None]
        read_NHLK = scaled_dot_product_attention(query, key, value, attn_mask=is_seen, dropout_p=share)
        a_NLD: Tensor = self.out(read_NHLK.transpose(1, 2).flatten(2))
        return a_NLD

    def weights(
        self, e_NLD: Float[Tensor, "row length feature"], is_valid_NL: Bool[Tensor, "row length"]
    ) -> Float[Tensor, "row head frame seen"]:
        """softmax(Q_i K_iᵀ / √d_K) of every head, without dropout: row looks at column, 0 where a frame is invalid."""
        query, key = self._heads(self.query(e_NLD)), self._heads(self.key(e_NLD))
        logits_NHLL = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        is_seen = is_valid_NL[:, None, :, None] & is_valid_NL[:, None, None, :]
        return masked_softmax(logits_NHLL, is_seen.expand_as(logits_NHLL))

    def _heads(self, x_NLD: Tensor) -> Tensor:
        return torch.unflatten(x_NLD, -1, (self.n_heads, -1)).transpose(1, 2)
