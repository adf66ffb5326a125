from collections.abc import Callable
from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.compare import compare
from dialogue_ser.evaluation.selection import aggregate


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: [write_run(folder / f"{name}-{seed}", seed=seed, skill=skill) for seed in (1, 2)]
        for name, skill in (("weak", 0.8), ("strong", 3.0))
    }


def test_a_clearly_better_system_has_an_interval_above_zero_and_a_small_p(runs: dict[str, list[Path]]) -> None:
    result = compare(runs["strong"], runs["weak"], n_resamples=500)
    assert result.difference.low > 0
    assert result.difference.n_dialogues == 14
    assert result.randomisation is not None
    assert result.randomisation.p_value < 0.01
    expected = [aggregate(runs[name])["weighted_f1"].mean for name in ("strong", "weak")]
    assert result.difference.estimate == pytest.approx(expected[0] - expected[1])
    assert result.randomisation.statistic == pytest.approx(result.difference.estimate)


def test_a_system_against_itself_cannot_be_told_apart(runs: dict[str, list[Path]]) -> None:
    result = compare(runs["weak"], runs["weak"], n_resamples=300)
    assert result.difference.low <= 0 <= result.difference.high
    assert result.randomisation is not None
    assert result.randomisation.p_value == 1


def test_other_numbers_of_seeds_are_compared_without_the_permutation_test(runs: dict[str, list[Path]]) -> None:
    result = compare(runs["strong"], runs["weak"][:1], n_resamples=200)
    assert result.difference.n_seeds == (2, 1)
    assert result.to_dict()["randomisation"] is None


def test_unknown_metrics_splits_and_empty_sides_are_refused(runs: dict[str, list[Path]]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'weighted_f1'"):
        compare(runs["weak"], runs["strong"], metric="weightedf1")
    with pytest.raises(DialogueSerError, match="unknown split"):
        compare(runs["weak"], runs["strong"], split="tests")
    with pytest.raises(ConfigError, match="at least one run"):
        compare([], runs["strong"])


@pytest.fixture(scope="module")
def value_runs(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: [write_run(folder / f"{name}-{seed}", seed=seed, skill=skill, task="regression") for seed in (1, 2)]
        for name, skill in (("weak", 0.8), ("strong", 3.0))
    }


def test_regressions_are_compared_by_ccc_unless_another_metric_is_named(value_runs: dict[str, list[Path]]) -> None:
    result = compare(value_runs["strong"], value_runs["weak"], n_resamples=500)
    assert result.metric == "ccc"
    assert result.difference.low > 0
    assert result.randomisation is not None
    assert result.randomisation.p_value < 0.01
    expected = [aggregate(value_runs[name])["ccc"].mean for name in ("strong", "weak")]
    assert result.difference.estimate == pytest.approx(expected[0] - expected[1])


def test_the_system_with_the_smaller_error_lies_below(value_runs: dict[str, list[Path]]) -> None:
    result = compare(value_runs["strong"], value_runs["weak"], metric="mae", n_resamples=200)
    assert result.difference.high < 0
    assert result.difference.share_above_zero == 0
    expected = [aggregate(value_runs[name])["mae"].mean for name in ("strong", "weak")]
    assert result.difference.estimate == pytest.approx(expected[0] - expected[1])
    itself = compare(value_runs["weak"], value_runs["weak"], metric="mae", n_resamples=100)
    assert itself.difference.low <= 0 <= itself.difference.high


def test_a_function_of_ones_own_compares_without_the_permutation_test(
    runs: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hits.py").write_text("def hits(gold, predicted):\n    return (gold == predicted).mean()\n")
    monkeypatch.chdir(tmp_path)
    result = compare(runs["strong"], runs["weak"], metric="hits:hits", n_resamples=50)
    assert (result.metric, result.randomisation) == ("hits", None)
    expected = compare(runs["strong"], runs["weak"], metric="accuracy", n_resamples=50)
    assert result.difference.estimate == pytest.approx(expected.difference.estimate)
    assert result.difference.low == pytest.approx(expected.difference.low)


def test_runs_of_other_tasks_and_metrics_of_the_other_task_are_refused(
    runs: dict[str, list[Path]], value_runs: dict[str, list[Path]]
) -> None:
    with pytest.raises(DialogueSerError, match="holds a classification, but ccc is a metric of regression"):
        compare(runs["weak"], runs["strong"], metric="ccc")
    with pytest.raises(DialogueSerError, match="a regression against a classification"):
        compare(runs["weak"], value_runs["weak"])
