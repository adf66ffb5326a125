import time

import numpy as np
import pytest

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import bootstrap, class_f1_function, metrics_function, paired_bootstrap, stack_seeds
from dialogue_ser.metrics.confusion import dialogue_confusions
from dialogue_ser.metrics.significance import randomisation_test
from dialogue_ser.metrics.table import METRICS

N_DIALOGUES, N_TURNS, N_CLASSES = 280, 2610, 7
OF_CONFUSIONS = [metric for metric in METRICS.values() if metric.needs == "confusion"]
VALUES, F1 = metrics_function(OF_CONFUSIONS), METRICS["weighted_f1"]


def _turns(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dialogue = np.sort(np.concatenate([np.arange(N_DIALOGUES), rng.integers(0, N_DIALOGUES, N_TURNS - N_DIALOGUES)]))
    return dialogue, rng.integers(0, N_CLASSES, N_TURNS)


def _system(gold: np.ndarray, skill: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(gold.size) < skill, gold, rng.integers(0, N_CLASSES, gold.size))


def _confusions(skill: float, seed: int = 1) -> np.ndarray:
    dialogue, gold = _turns()
    return dialogue_confusions(gold, _system(gold, skill, seed), dialogue, N_CLASSES)


def test_interval_equals_a_plain_loop_over_resampled_dialogues() -> None:
    confusions, uar = _confusions(0.6)[:40], METRICS["uar"]
    weights = np.random.default_rng(5).multinomial(40, np.full(40, 1 / 40), size=200)
    expected = [float(uar.of_statistic(sum(w * c for w, c in zip(row, confusions, strict=True)))) for row in weights]
    got = bootstrap(confusions, VALUES, n_resamples=200, seed=5)["uar"]
    np.testing.assert_allclose([got.low, got.high], np.quantile(expected, [0.025, 0.975]), atol=1e-12)
    assert got.estimate == uar.of_statistic(confusions.sum(0))


def test_coverage_of_the_interval_is_about_what_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        right = rng.binomial(8, 0.6, size=60)
        confusions = np.zeros((60, 2, 2))
        confusions[:, 0, 0], confusions[:, 0, 1] = right, 8 - right
        interval = bootstrap(confusions, VALUES, n_resamples=300, seed=trial)["accuracy"]
        covered += interval.low <= 0.6 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    confusions = _confusions(0.5)
    assert bootstrap(confusions, VALUES, seed=3) == bootstrap(confusions, VALUES, seed=3)
    assert bootstrap(confusions, VALUES, seed=3) != bootstrap(confusions, VALUES, seed=4)


def test_2000_resamples_of_280_dialogues_take_well_under_a_second() -> None:
    confusions = _confusions(0.6)
    start = time.process_time()
    bootstrap(confusions, VALUES, n_resamples=2000)
    assert time.process_time() - start < 1.0


def test_class_intervals_hold_their_estimates() -> None:
    labels = [f"class {number}" for number in range(N_CLASSES)]
    found = bootstrap(_confusions(0.6), class_f1_function(labels))
    assert list(found) == labels
    for interval in found.values():
        assert interval.low < interval.estimate < interval.high


def test_unlabelled_dialogues_do_not_widen_the_interval() -> None:
    confusions = _confusions(0.6)
    padded = np.concatenate([confusions, np.zeros((500, N_CLASSES, N_CLASSES))])
    assert bootstrap(padded, VALUES) == bootstrap(confusions, VALUES)


def test_a_system_against_itself_differs_by_exactly_nothing() -> None:
    confusions = _confusions(0.6)
    result = paired_bootstrap(confusions, confusions, F1)
    assert (result.estimate, result.low, result.high, result.share_above_zero) == (0, 0, 0, 0)


def test_pairing_gives_a_narrower_interval_than_two_separate_ones() -> None:
    dialogue, gold = _turns()
    a = _system(gold, 0.6, 1)
    b = np.where(np.random.default_rng(9).random(gold.size) < 0.03, gold, a)
    first, second = (dialogue_confusions(gold, x, dialogue, N_CLASSES) for x in (b, a))
    paired = paired_bootstrap(first, second, F1)
    alone = bootstrap(first, VALUES)["weighted_f1"]
    assert paired.high - paired.low < (alone.high - alone.low) / 2
    assert 0 < paired.low <= paired.estimate


@pytest.mark.parametrize(("n_dialogues", "least"), [(1, 1.0), (2, 0.5), (6, 1 / 32)])
def test_few_dialogues_never_give_a_certain_difference(n_dialogues: int, least: float) -> None:
    right, wrong = np.zeros((2, n_dialogues, 2, 2))
    right[:, 0, 0] = wrong[:, 0, 1] = 9
    found = paired_bootstrap(right, wrong, METRICS["accuracy"], n_resamples=400)
    assert (found.estimate, found.p_value) == (1.0, pytest.approx(least))


def test_the_difference_of_swapped_systems_is_the_negative() -> None:
    a, b = _confusions(0.62, 1), _confusions(0.6, 2)
    forth, back = paired_bootstrap(a, b, F1), paired_bootstrap(b, a, F1)
    assert forth.estimate == -back.estimate
    assert forth.low == pytest.approx(-back.high)


def test_unlabelled_dialogues_change_neither_the_paired_interval_nor_the_test() -> None:
    a, b = _confusions(0.62, 1), _confusions(0.6, 2)
    empty = np.zeros((500, N_CLASSES, N_CLASSES))
    padded_a, padded_b = np.concatenate([a, empty]), np.concatenate([b, empty])
    assert paired_bootstrap(padded_a, padded_b, F1) == paired_bootstrap(a, b, F1)
    assert randomisation_test(padded_a, padded_b, F1) == randomisation_test(a, b, F1)
    with pytest.raises(DialogueSerError, match="no labelled turn"):
        paired_bootstrap(empty, empty, F1)


def test_seeds_that_differ_widen_the_paired_interval() -> None:
    base = _confusions(0.6, 1)
    steady = np.stack([base] * 5)
    shaky = np.stack([_confusions(skill, seed) for seed, skill in enumerate((0.5, 0.55, 0.6, 0.65, 0.7))])
    narrow, wide = paired_bootstrap(steady, steady, F1), paired_bootstrap(shaky, steady, F1)
    assert narrow.high - narrow.low == 0
    assert wide.high - wide.low > 0.05
    assert wide.n_seeds == (5, 5)
    expected = np.mean([F1.of_statistic(x.sum(0)) for x in shaky])
    assert wide.a == pytest.approx(expected)


def test_systems_over_other_dialogues_or_gold_are_refused() -> None:
    a = _confusions(0.6)
    with pytest.raises(DialogueSerError, match="same split"):
        paired_bootstrap(a, a[:-1], F1)
    with pytest.raises(DialogueSerError, match="different gold"):
        paired_bootstrap(a, a[::-1], F1)
    with pytest.raises(DialogueSerError, match="different dialogues"):
        stack_seeds([a, a[:-1]])


def test_no_labelled_turn_is_refused() -> None:
    with pytest.raises(DialogueSerError, match="no labelled turn"):
        bootstrap(np.zeros((3, 2, 2)), VALUES)


def test_every_metric_of_confusions_has_an_interval() -> None:
    found = bootstrap(_confusions(0.6), VALUES, n_resamples=50)
    assert {"weighted_f1", "accuracy", "uar", "macro_f1"} < set(found) == {metric.key for metric in OF_CONFUSIONS}
