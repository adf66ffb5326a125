"""Masked losses with exact denominators: negative log-likelihood, binary cross-entropy (docs/equations.md, Losses)."""

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
    label_distribution_BTC: Float[Tensor, "batch turn class"] | None = None,
    row_N: Int[Tensor, " row"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Numerator and denominator of the loss; divide once, over all ranks and accumulated steps.

    numerator = Σ w · (1 − p_y)^γ · (−Σ_c q_c log p_c), denominator = Σ w, over turns with a label or votes. q is the
    one-hot label, smoothed towards uniform by ``label_smoothing``, or the annotators' distribution where one is
    given; w is the label's class weight (expected under q for distributions). The focal factor (Lin et al. 2017) uses
    p_y = Σ_c q_c p_c of the unsmoothed q.

    Args:
        log_probs_BTC: log-probabilities; what stands on turns that do not count is not read (it may be −inf or NaN).
        label_BT: class index, −100 on padding and unlabelled turns.
        class_weights_C: from train only; None = 1.
        label_smoothing: ε in [0, 1).
        focal_gamma: γ ≥ 0.
        label_distribution_BTC: soft labels, rows that sum to 0 mean "none here: use the label". A turn whose annotators
            tie has no label, yet counts by its votes.
        row_N: positions in the flattened ``[B·T]`` of the turns that count, as :func:`counted_rows` gives them; None =
            found here, which on a GPU waits for the device.

    >>> log_probs = torch.log(torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]))
    >>> numerator, denominator = masked_nll(log_probs, torch.tensor([[0, -100]]))
    >>> round(float(numerator / denominator), 4)
    0.6931
    """
    log_probs_NC, target_NC, weight_N = _counted(
        log_probs_BTC, label_BT, class_weights_C, label_distribution_BTC, row_N
    )
    nll_N = -(_smoothed(target_NC, label_smoothing) * log_probs_NC).sum(1)
    if focal_gamma:
        p_N = (target_NC * log_probs_NC.exp()).sum(1)
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
    """Each class told from all others, by the softmax's probabilities; numerator and denominator as :func:`masked_nll`.

    numerator = Σ w · mean_c −(q_c log p_c + (1 − q_c) log(1 − p_c)), denominator = Σ w. q, w and what counts are those
    of :func:`masked_nll`; q sums to 1 when smoothed too, so that the loss is least where p is q. The probabilities are
    those that the softmax gives, not a sigmoid per class, because the models of E4 end in one.

    Args:
        log_probs_BTC: as in :func:`masked_nll`, as the others.
        label_BT: class index.
        class_weights_C: from train only.
        label_smoothing: ε in [0, 1).
        label_distribution_BTC: soft labels.
        row_N: positions of the turns that count.

    >>> numerator, denominator = masked_binary(torch.log(torch.tensor([[[0.5, 0.25, 0.25]]])), torch.tensor([[0]]))
    >>> round(float(numerator / denominator), 4)  # (log 2 + 2 log 4/3) / 3
    0.4228
    """
    log_probs_NC, target_NC, weight_N = _counted(
        log_probs_BTC, label_BT, class_weights_C, label_distribution_BTC, row_N
    )
    target_NC = _smoothed(target_NC, label_smoothing)
    # 1 − p is the sum of the other classes: exact where p is nearly 1, which its difference from 1 is not.
    is_itself_CC = torch.eye(log_probs_NC.shape[1], dtype=torch.bool, device=log_probs_NC.device)
    others_NCC = log_probs_NC[:, None, :].masked_fill(is_itself_CC, torch.finfo(log_probs_NC.dtype).min)
    log_rest_NC = others_NCC.logsumexp(-1)
    loss_N = -(target_NC * log_probs_NC + (1 - target_NC) * log_rest_NC).mean(1)
    return (weight_N * loss_N).sum(), weight_N.sum()


def counted_rows(
    label_BT: Int[Tensor, "batch turn"], label_distribution_BTC: Float[Tensor, "batch turn class"] | None = None
) -> Int[Tensor, " row"]:
    """Positions in the flattened ``[B·T]`` of the turns that have a label or votes.

    >>> counted_rows(torch.tensor([[0, -100], [2, 1]])).tolist()
    [0, 2, 3]
    """
    counts_BT = label_BT != IGNORED_LABEL
    if label_distribution_BTC is not None:
        counts_BT = counts_BT | (label_distribution_BTC.sum(-1) > 0)
    return counts_BT.flatten().nonzero().squeeze(1)


def _counted(
    log_probs_BTC: Tensor,
    label_BT: Tensor,
    class_weights_C: Tensor | None,
    label_distribution_BTC: Tensor | None,
    row_N: Tensor | None,
) -> tuple[Float[Tensor, "row class"], Float[Tensor, "row class"], Float[Tensor, " row"]]:
    """Log-probabilities, q and w of the turns that count."""
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


def _smoothed(target_NC: Float[Tensor, "row class"], label_smoothing: float) -> Float[Tensor, "row class"]:
    """Share ``label_smoothing`` of the mass spread over all classes."""
    return target_NC * (1 - label_smoothing) + label_smoothing / target_NC.shape[1]
