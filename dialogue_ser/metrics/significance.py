"""Is system A better than system B? Approximate randomisation over dialogues, and McNemar's test."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import check_paired
from dialogue_ser.metrics.confusion import FloatArray, IntArray
from dialogue_ser.metrics.table import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class TestResult:
    """A two-sided test of "both systems are alike".

    Args:
        statistic: what was observed (a difference of metrics, or of discordant turns).
        p_value: probability of something at least as extreme if they were alike.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    statistic: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def randomisation_test(
    statistics_a: FloatArray,
    statistics_b: FloatArray,
    metric: Metric,
    n_permutations: int = 5000,
    seed: int = 0,
) -> TestResult:
    """Paired approximate randomisation: A's and B's outputs are swapped dialogue by dialogue (Noreen 1989).

    Args:
        statistics_a: ``[N, …]`` or ``[seed, N, …]``, see :func:`~dialogue_ser.metrics.bootstrap.paired_bootstrap`.
        statistics_b: the same shape: seeds are swapped together with their dialogue.
        metric: an additive one.
        n_permutations: random swaps; the p-value is (1 + as extreme) / (1 + n_permutations).
        seed: of the swaps.

    Raises:
        DialogueSerError: shapes or gold labels that differ.
    """
    a, b = check_paired(statistics_a, statistics_b, metric)
    if a.shape != b.shape:
        raise DialogueSerError(f"A has {a.shape[0]} seeds, B {b.shape[0]}; give as many seeds of both")
    n_seeds, n_dialogues, *shape = a.shape
    delta = (b - a).swapaxes(0, 1).reshape(n_dialogues, -1)
    swap_RN = np.random.default_rng(seed).integers(0, 2, size=(n_permutations, n_dialogues)).astype(np.float64)
    moved = (swap_RN @ delta).reshape(n_permutations, n_seeds, *shape)
    swapped_a, swapped_b = a.sum(1) + moved, b.sum(1) - moved
    draws = (metric.of_statistic(swapped_a) - metric.of_statistic(swapped_b)).mean(-1)
    observed = float((metric.of_statistic(a.sum(1)) - metric.of_statistic(b.sum(1))).mean())
    # 1e-12: ties of equal fractions that differ in the last bit count as equally extreme.
    extreme = int((np.abs(draws) >= abs(observed) - 1e-12).sum())
    return TestResult(statistic=observed, p_value=(1 + extreme) / (1 + n_permutations))


def mcnemar(gold_N: IntArray, a_N: IntArray, b_N: IntArray) -> TestResult:
    """McNemar's exact test on turns; unlabelled turns are left out.

    It takes turns as independent, which turns of one dialogue are not: prefer :func:`randomisation_test` for dialogues.

    Returns:
        statistic = turns only A gets right − turns only B gets right.

    >>> gold = np.zeros(8, dtype=np.int64)
    >>> mcnemar(gold, np.zeros(8, dtype=np.int64), np.array([0, 0, 1, 1, 1, 1, 1, 1])).p_value
    0.03125
    """
    from scipy.stats import binomtest  # scipy takes long to import, and tables of predictions need none of it

    labelled = gold_N >= 0
    right_a, right_b = a_N[labelled] == gold_N[labelled], b_N[labelled] == gold_N[labelled]
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = 1.0 if only_a + only_b == 0 else float(binomtest(only_a, only_a + only_b).pvalue)
    return TestResult(statistic=float(only_a - only_b), p_value=p_value)
