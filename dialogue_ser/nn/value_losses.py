"""Masked losses of values: 1 − concordance correlation (CCC), and the mean squared error."""

from jaxtyping import Bool, Float
from torch import Tensor

# Smaller than the variance of any annotated scale, and larger than the rounding error of a variance in float32.
_LEAST_SPREAD = 1e-8


def masked_ccc(
    value_NS: Float[Tensor, "row score"], gold_NS: Float[Tensor, "row score"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """1 − CCC (Lin 1989), as a numerator and a denominator; the mean over all dimensions with annotated turns.

    CCC = 2·cov / (var_g + var_p + (mean_g − mean_p)²) is one score for a set of turns and not a mean over the turns.
    Here the set is the batch, also if several processes share it. A step with several batches averages their losses,
    weighted by their numbers of turns. A batch of one turn has a CCC of 0, and the model learns almost nothing from it.
    So choose a ``batch_size`` of some dozens if the dialogues have a single turn.

    Args:
        value_NS: predicted values.
        gold_NS: annotated values, NaN where a turn is not annotated in a dimension.

    >>> import torch
    >>> gold = torch.tensor([[1.0], [2.0], [3.0]])
    >>> numerator, denominator = masked_ccc(gold + 1, gold)
    >>> round(float(numerator / denominator), 4)
    0.4286
    """
    is_known_NS, gold_NS = _known(gold_NS)
    n_S = is_known_NS.sum(0).to(value_NS.dtype)
    mean_g_S, mean_p_S = (_mean(values, is_known_NS, n_S) for values in (gold_NS, value_NS))
    g_NS, p_NS = gold_NS - mean_g_S, value_NS - mean_p_S
    covariance_S = _mean(g_NS * p_NS, is_known_NS, n_S)
    spread_S = _mean(g_NS**2, is_known_NS, n_S) + _mean(p_NS**2, is_known_NS, n_S) + (mean_g_S - mean_p_S) ** 2
    ccc_S = 2 * covariance_S / spread_S.clamp_min(_LEAST_SPREAD)
    is_annotated_S = (n_S > 0).to(value_NS.dtype)
    loss = ((1 - ccc_S) * is_annotated_S).sum() / is_annotated_S.sum().clamp_min(1)
    n_turns = is_known_NS.any(1).sum().to(value_NS.dtype)
    return loss * n_turns, n_turns


def masked_mse(
    value_NS: Float[Tensor, "row score"], gold_NS: Float[Tensor, "row score"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The sum of the squared errors (p − g)² over all annotated values, and the number of these values.

    Args:
        value_NS: predicted values.
        gold_NS: annotated values, NaN where a turn is not annotated in a dimension.

    >>> import torch
    >>> numerator, denominator = masked_mse(torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, float("nan")]]))
    >>> float(numerator), float(denominator)
    (4.0, 1.0)
    """
    is_known_NS, gold_NS = _known(gold_NS)
    error_NS = ((value_NS - gold_NS) ** 2).masked_fill(~is_known_NS, 0.0)
    return error_NS.sum(), is_known_NS.sum().to(value_NS.dtype)


def _known(gold_NS: Tensor) -> tuple[Bool[Tensor, "row score"], Float[Tensor, "row score"]]:
    """Where values are annotated, and the values with 0 elsewhere; even a masked NaN would make gradients NaN."""
    is_known_NS = gold_NS.isfinite()
    return is_known_NS, gold_NS.masked_fill(~is_known_NS, 0.0)


def _mean(values_NS: Tensor, is_known_NS: Tensor, n_S: Tensor) -> Float[Tensor, " score"]:
    """Mean over the annotated turns of each dimension."""
    return values_NS.masked_fill(~is_known_NS, 0.0).sum(0) / n_S.clamp_min(1)
