"""Tests whether system A is better than system B: approximate randomisation over dialogues, and McNemar's test."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import check_paired
from dialogue_ser.metrics.confusion import FloatArray, IntArray
from dialogue_ser.metrics.table import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class TestResult:
    """The result of a two-sided test of the hypothesis that both systems are equally good.

    Args:
        statistic: observed difference, of metrics or of numbers of turns.
        p_value: probability of a difference at least as large if the systems were equally good.
    """

    __test__ = False  # tells pytest that this is not a test class

    statistic: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def randomisation_test(
    statistics_a: FloatArray,
    statistics_b: FloatArray,
    metric: Metric,
    n_permutations: int = 5000,
    seed: int = 0,
) -> TestResult:
    """Return the result of paired approximate randomisation (Noreen 1989).

    In each permutation, the outputs of A and B are swapped for a random half of the dialogues. All seeds of a dialogue
    are swapped together. The p-value is (1 + number of differences at least as large) / (1 + n_permutations).

    Args:
        statistics_a: ``[N, …]`` or ``[seed, N, …]``, see :func:`~dialogue_ser.metrics.bootstrap.paired_bootstrap`.
        statistics_b: the same for B, in the same shape.
        metric: an additive metric.
        n_permutations: number of random permutations.
        seed: random seed of the permutations.

    Raises:
        DialogueSerError: the shapes or the gold labels differ.
    """
    a, b = check_paired(statistics_a, statistics_b, metric)
    if a.shape != b.shape:
        raise DialogueSerError(f"A has {a.shape[0]} seeds, B has {b.shape[0]}; give as many seeds of both systems")
    n_seeds, n_dialogues, *shape = a.shape
    delta = (b - a).swapaxes(0, 1).reshape(n_dialogues, -1)
    swap_RN = np.random.default_rng(seed).integers(0, 2, size=(n_permutations, n_dialogues)).astype(np.float64)
    moved = (swap_RN @ delta).reshape(n_permutations, n_seeds, *shape)
    swapped_a, swapped_b = a.sum(1) + moved, b.sum(1) - moved
    draws = (metric.of_statistic(swapped_a) - metric.of_statistic(swapped_b)).mean(-1)
    observed = float((metric.of_statistic(a.sum(1)) - metric.of_statistic(b.sum(1))).mean())
    # 1e-12: differences that are equal except for rounding count as equally large.
    extreme = int((np.abs(draws) >= abs(observed) - 1e-12).sum())
    return TestResult(statistic=observed, p_value=(1 + extreme) / (1 + n_permutations))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for their number (Holm 1979), in the given order.

    The smallest of m values is multiplied by m, the next one by m − 1, and so on. A corrected value is never smaller
    than that of a smaller p-value, and at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def mcnemar(gold_N: IntArray, a_N: IntArray, b_N: IntArray) -> TestResult:
    """Return the result of McNemar's exact test on turns. Turns without a label are left out.

    The test assumes independent turns, but turns of one dialogue are not independent. Use :func:`randomisation_test`
    for dialogues.

    Returns:
        a result with statistic = number of turns that only A predicts correctly − number that only B does.

    >>> gold = np.zeros(8, dtype=np.int64)
    >>> mcnemar(gold, np.zeros(8, dtype=np.int64), np.array([0, 0, 1, 1, 1, 1, 1, 1])).p_value
    0.03125
    """
    from scipy.stats import binomtest  # imported here, because it takes long and tables of predictions do not need it

    labelled = gold_N >= 0
    right_a, right_b = a_N[labelled] == gold_N[labelled], b_N[labelled] == gold_N[labelled]
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = 1.0 if only_a + only_b == 0 else float(binomtest(only_a, only_a + only_b).pvalue)
    return TestResult(statistic=float(only_a - only_b), p_value=p_value)
