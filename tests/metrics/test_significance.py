from itertools import product

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import dialogue_confusions
from dialogue_ser.metrics.significance import mcnemar, randomisation_test
from dialogue_ser.metrics.table import METRICS

F1 = METRICS["weighted_f1"]


def _systems(seed: int, n_dialogues: int, better: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dialogue = np.repeat(np.arange(n_dialogues), 6)
    gold = rng.integers(0, 3, dialogue.size)
    noise = rng.integers(0, 3, (2, dialogue.size))
    a = np.where(rng.random(gold.size) < 0.5 + better, gold, noise[0])
    b = np.where(rng.random(gold.size) < 0.5, gold, noise[1])
    return dialogue_confusions(gold, a, dialogue, 3), dialogue_confusions(gold, b, dialogue, 3)


def test_p_value_approaches_the_exact_one_over_all_swaps() -> None:
    a, b = _systems(3, n_dialogues=8, better=0.15)

    def difference(x: np.ndarray, y: np.ndarray) -> float:
        return float(F1.of_statistic(x.sum(0)) - F1.of_statistic(y.sum(0)))

    observed = abs(difference(a, b))
    swaps = [np.array(bits).reshape(-1, 1, 1) for bits in product((0, 1), repeat=8)]
    exact = np.mean([abs(difference(a + s * (b - a), b + s * (a - b))) >= observed - 1e-12 for s in swaps])
    assert randomisation_test(a, b, F1, n_permutations=20_000).p_value == pytest.approx(exact, abs=0.02)


def test_equal_systems_are_not_called_different() -> None:
    p_values = [randomisation_test(*_systems(seed, 40, 0.0), F1, n_permutations=200).p_value for seed in range(100)]
    assert np.mean(np.array(p_values) < 0.1) < 0.2
    assert 0.35 < np.mean(p_values) < 0.65


def test_a_clearly_better_system_is_found_on_several_seeds() -> None:
    pairs = [_systems(7, 60, 0.25) for _ in range(3)]
    result = randomisation_test(np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs]), F1)
    assert result.p_value < 0.001
    assert result.statistic > 0.1


def test_other_numbers_of_seeds_are_refused() -> None:
    a, b = _systems(1, 10, 0.1)
    with pytest.raises(DialogueSerError, match="as many seeds"):
        randomisation_test(np.stack([a, a]), b, F1)


def test_mcnemar_equals_statsmodels() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 300)
    a, b = (np.where(rng.random(300) < skill, gold, (gold + 1) % 3) for skill in (0.7, 0.6))
    right_a, right_b = a == gold, b == gold
    table = [[(x & y).sum() for y in (right_b, ~right_b)] for x in (right_a, ~right_a)]
    result = mcnemar(np.append(gold, -100), np.append(a, 0), np.append(b, 1))
    assert result.p_value == pytest.approx(reference_mcnemar(table, exact=True).pvalue)
    assert result.statistic == right_a.sum() - right_b.sum()


def test_mcnemar_of_a_system_with_itself_is_one() -> None:
    gold = np.arange(5) % 2
    assert mcnemar(gold, gold, gold).p_value == 1.0
