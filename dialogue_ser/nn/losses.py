"""Masked losses of class probabilities, with exact denominators (docs/equations.md, Losses)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dialogue_ser.tensors import IGNORED_LABEL


def masked_nll(
    log_probs_BTC: Float[Tensor, "batch turn class"],
    label_BT: Int[Tensor, "batch turn"],
    *,
    class_weights_C: Float[Tensor, " n_classes"] | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_gradient: bool = True,
    label_distribution_BTC: Float[Tensor, "batch turn class"] | None = None,
    row_N: Int[Tensor, " row"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Negative log-likelihood, as a numerator and a denominator.

    Add up both over all ranks and accumulated steps, and then divide once.

    numerator = Σ w · (1 − p_y)^γ · (−Σ_c q_c log p_c), denominator = Σ w, over the turns with a label or votes. q is
    the one-hot label, or the distribution of the annotators' votes where there is one; ``label_smoothing`` mixes it
    with the uniform distribution. w is the class weight of the label, or its expected value under q. The focal factor
    (Lin et al. 2017) uses p_y = Σ_c q_c p_c with the q before smoothing.

    Args:
        log_probs_BTC: log-probabilities. Turns that do not count are not read, so they may have −inf or NaN.
        label_BT: class index, −100 on padding and on turns without a label.
        class_weights_C: weight of each class, computed from train only; None = 1.
        label_smoothing: ε in [0, 1).
        focal_gamma: γ ≥ 0.
        focal_gradient: whether the gradient also goes through the focal factor.
        label_distribution_BTC: soft labels. A row with the sum 0 means that the turn has no votes and its label is
            used. A turn without a majority among its annotators has no label, but it counts by its votes.
        row_N: positions of the turns that count in the flattened ``[B·T]``, as :func:`counted_rows` gives them. None =
            they are computed here; on a GPU this waits for the device.

    >>> log_probs = torch.log(torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]))
    >>> numerator, denominator = masked_nll(log_probs, torch.tensor([[0, -100]]))
    >>> round(float(numerator / denominator), 4)
    0.6931
    """
    log_probs_NC, target_NC, weight_N = _select_counted(
        log_probs_BTC, label_BT, class_weights_C, label_distribution_BTC, row_N
    )
    nll_N = -(_smooth(target_NC, label_smoothing) * log_probs_NC).sum(1)
    if focal_gamma:
        p_N = (target_NC * log_probs_NC.exp()).sum(1)
        p_N = p_N if focal_gradient else p_N.detach()
        nll_N = (1 - p_N).clamp_min(1e-8) ** focal_gamma * nll_N
    return (weight_N * nll_N).sum(), weight_N.sum()


def masked_binary(
    log_probs_BTC: Float[Tensor, "batch turn class"],
    label_BT: Int[Tensor, "batch turn"],
    *,
    class_weights_C: Float[Tensor, " n_classes"] | None = None,
    label_smoothing: float = 0.0,
    label_distribution_BTC: Float[Tensor, "batch turn class"] | None = None,
    row_N: Int[Tensor, " row"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Binary cross-entropy of each class against all others, as a numerator and a denominator.

    numerator = Σ w · mean_c −(q_c log p_c + (1 − q_c) log(1 − p_c)), denominator = Σ w. q, w and the turns that count
    are the same as in :func:`masked_nll`. q sums to 1 after smoothing too, so the loss is smallest where p equals q.
    The probabilities p are those of the softmax and not of one sigmoid per class, because the models of E4 end in a
    softmax.

    Args:
        log_probs_BTC: log-probabilities, as in :func:`masked_nll`.
        label_BT: class index, as in :func:`masked_nll`.
        class_weights_C: weight of each class, computed from train only; None = 1.
        label_smoothing: ε in [0, 1).
        label_distribution_BTC: soft labels, as in :func:`masked_nll`.
        row_N: positions of the turns that count, as in :func:`masked_nll`.

    >>> numerator, denominator = masked_binary(torch.log(torch.tensor([[[0.5, 0.25, 0.25]]])), torch.tensor([[0]]))
    >>> round(float(numerator / denominator), 4)  # (log 2 + 2 log 4/3) / 3
    0.4228
    """
    log_probs_NC, target_NC, weight_N = _select_counted(
        log_probs_BTC, label_BT, class_weights_C, label_distribution_BTC, row_N
    )
    target_NC = _smooth(target_NC, label_smoothing)
    # log(1 − p) is computed as the sum of the other classes: where p is nearly 1, the difference 1 − p is not exact.
    is_same_class_CC = torch.eye(log_probs_NC.shape[1], dtype=torch.bool, device=log_probs_NC.device)
    others_NCC = log_probs_NC[:, None, :].masked_fill(is_same_class_CC, torch.finfo(log_probs_NC.dtype).min)
    log_rest_NC = others_NCC.logsumexp(-1)
    loss_N = -(target_NC * log_probs_NC + (1 - target_NC) * log_rest_NC).mean(1)
    return (weight_N * loss_N).sum(), weight_N.sum()


def masked_pseudo_focal(
    log_probs_BTC: Float[Tensor, "batch turn class"],
    label_BT: Int[Tensor, "batch turn"],
    *,
    class_weights_C: Float[Tensor, " n_classes"] | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float = 2.5,
    label_distribution_BTC: Float[Tensor, "batch turn class"] | None = None,
    row_N: Int[Tensor, " row"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The loss that MMGCN and M3NET call focal, as a numerator and a denominator.

    numerator = Σ w · mean_c −(1 − q_c log p_c)^γ log p_c, denominator = Σ w. q, w and the turns that count are the same
    as in :func:`masked_nll`. The right class counts (1 − log p)^γ times, every wrong class once. So all
    log-probabilities rise, and the probabilities become flat.

    Args:
        log_probs_BTC: log-probabilities, as in :func:`masked_nll`.
        label_BT: class index, as in :func:`masked_nll`.
        class_weights_C: weight of each class; None = 1.
        label_smoothing: ε in [0, 1).
        focal_gamma: γ > 0.
        label_distribution_BTC: soft labels, as in :func:`masked_nll`.
        row_N: positions of the turns that count, as in :func:`masked_nll`.

    >>> numerator, denominator = masked_pseudo_focal(torch.log(torch.tensor([[[0.5, 0.5]]])), torch.tensor([[0]]))
    >>> round(float(numerator / denominator), 4)  # (1.6931^2.5 + 1) · 0.6931 / 2
    1.6394
    """
    log_probs_NC, target_NC, weight_N = _select_counted(
        log_probs_BTC, label_BT, class_weights_C, label_distribution_BTC, row_N
    )
    factor_NC = (1 - _smooth(target_NC, label_smoothing) * log_probs_NC) ** focal_gamma
    return (weight_N * -(factor_NC * log_probs_NC).mean(1)).sum(), weight_N.sum()


def counted_rows(
    label_BT: Int[Tensor, "batch turn"], label_distribution_BTC: Float[Tensor, "batch turn class"] | None = None
) -> Int[Tensor, " row"]:
    """Positions of the turns with a label or votes, in the flattened ``[B·T]``.

    >>> counted_rows(torch.tensor([[0, -100], [2, 1]])).tolist()
    [0, 2, 3]
    """
    counts_BT = label_BT != IGNORED_LABEL
    if label_distribution_BTC is not None:
        counts_BT = counts_BT | (label_distribution_BTC.sum(-1) > 0)
    return counts_BT.flatten().nonzero().squeeze(1)


def _select_counted(
    log_probs_BTC: Tensor,
    label_BT: Tensor,
    class_weights_C: Tensor | None,
    label_distribution_BTC: Tensor | None,
    row_N: Tensor | None,
) -> tuple[Float[Tensor, "row class"], Float[Tensor, "row class"], Float[Tensor, " row"]]:
    """The log-probabilities, the distribution q and the weight w of each turn that counts."""
    if row_N is None:
        row_N = counted_rows(label_BT, label_distribution_BTC)
    log_probs_NC = log_probs_BTC.flatten(0, 1).index_select(0, row_N)
    label_N = label_BT.flatten().index_select(0, row_N).clamp_min(0)
    target_NC = torch.zeros_like(log_probs_NC).scatter_(1, label_N[:, None], 1.0)
    if label_distribution_BTC is not None:
        soft_NC = label_distribution_BTC.flatten(0, 1).index_select(0, row_N).to(log_probs_NC.dtype)
        has_votes = soft_NC.sum(1, keepdim=True) > 0
        target_NC = torch.where(has_votes, soft_NC / soft_NC.sum(1, keepdim=True).clamp_min(1e-12), target_NC)
    weight_N = target_NC.sum(1) if class_weights_C is None else target_NC @ class_weights_C.to(target_NC.dtype)
    return log_probs_NC, target_NC, weight_N


def _smooth(target_NC: Float[Tensor, "row class"], label_smoothing: float) -> Float[Tensor, "row class"]:
    """The distribution q with the share ``label_smoothing`` of its mass spread evenly over all classes."""
    return target_NC * (1 - label_smoothing) + label_smoothing / target_NC.shape[1]
