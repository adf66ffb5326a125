"""A supervised contrastive loss over the turns of a batch (docs/equations.md, Contrastive loss)."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Similarity = Literal["cosine", "dot"]


def nt_xent(
    x_ND: Float[Tensor, "row feature"],
    label_N: Int[Tensor, " row"],
    *,
    temperature: float = 0.1,
    similarity: Similarity = "cosine",
) -> Float[Tensor, ""]:
    """Mean over all ordered pairs (a, p) of different turns with one label of −log(e^s_ap / (e^s_ap + Σ_n e^s_an)).

    n runs over the turns whose label is not that of a. It is 0 if there is no such pair, or if all labels are the same.

    Source: the loss NT-Xent with labels of the library pytorch-metric-learning, which SACL uses (zerohd4869/SACL).
    There the rows are scaled to length 1 before their dot product, as here with ``cosine``.

    Args:
        x_ND: one row per turn, e.g. its log-probabilities.
        label_N: class of each turn.
        temperature: similarities are divided by it.
        similarity: cosine, or dot = without scaling.

    >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(nt_xent(x, torch.tensor([0, 0, 1]), temperature=1.0)), 4)  # log(1 + e^(0 - 1))
    0.3133
    """
    if similarity == "cosine":
        x_ND = torch.nn.functional.normalize(x_ND, dim=1)
    similarity_NN = x_ND @ x_ND.T / temperature
    is_same_NN = label_N[:, None] == label_N[None, :]
    # Not −inf: the gradient would be NaN where a turn has no turn of another class.
    others_N = similarity_NN.masked_fill(is_same_NN, torch.finfo(x_ND.dtype).min).logsumexp(1)
    loss_NN = torch.logaddexp(others_N[:, None], similarity_NN) - similarity_NN
    is_pair_NN = is_same_NN & ~torch.eye(len(x_ND), dtype=torch.bool, device=x_ND.device)
    total = torch.where(is_pair_NN, loss_NN, 0.0).sum()
    return total / is_pair_NN.sum().clamp_min(1)
