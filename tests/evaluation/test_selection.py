from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.selection import PeekWarning, aggregate, choose, mean_std, run_scores


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: [write_run(folder / f"{name}-{seed}", seed=seed, skill=skill) for seed in (1, 2, 3)]
        for name, skill in (("weak", 1.2), ("strong", 2.4))
    }


def test_aggregate_is_mean_and_sample_std_over_seeds(runs: dict[str, list[Path]]) -> None:
    result = aggregate(runs["strong"])["weighted_f1"]
    values = [run_scores(run, "test")["weighted_f1"] for run in runs["strong"]]
    assert len(set(values)) == 3
    assert result.mean == pytest.approx(np.mean(values))
    assert result.std == pytest.approx(np.std(values, ddof=1))
    assert result.values == tuple(values)


def test_a_seed_given_twice_is_refused(runs: dict[str, list[Path]]) -> None:
    with pytest.raises(ConfigError, match="seed 1 occurs in several"):
        aggregate([runs["weak"][0], runs["strong"][0]])


def test_one_seed_has_no_spread_and_none_is_an_error() -> None:
    assert mean_std([0.5]).std == 0
    with pytest.raises(DialogueSerError, match="no run"):
        mean_std([])


def test_dev_chooses_and_test_is_only_reported(runs: dict[str, list[Path]]) -> None:
    choice = choose(runs)
    assert choice.name == "strong"
    assert choice.gap == 0
    assert choice.reported == aggregate(runs["strong"], "test")
    assert choice.selection["weak"] == aggregate(runs["weak"], "dev")["weighted_f1"]


def test_peeking_warns_and_measures_what_it_gains(runs: dict[str, list[Path]]) -> None:
    # Dev and test choose different seeds as the best one. This makes the score of a choice on test too high.
    candidates = {str(i): [run] for i, run in enumerate(runs["weak"])}
    honest = choose(candidates)
    with pytest.warns(PeekWarning, match="legacy-test-peek"):
        peeked = choose(candidates, protocol="legacy-test-peek")
    best = max(run_scores(run, "test")["weighted_f1"] for run in runs["weak"])
    assert peeked.reported["weighted_f1"].mean == best
    assert peeked.gap == pytest.approx(best - honest.reported["weighted_f1"].mean)
    assert peeked.gap >= 0
    assert peeked.protocol == "legacy-test-peek"


def test_a_run_whose_checkpoint_was_chosen_on_test_cannot_take_part(
    tmp_path: Path, write_run: Callable[..., Path], runs: dict[str, list[Path]]
) -> None:
    peeking = write_run(tmp_path / "peeking", dev="test")
    with pytest.raises(ConfigError, match="legacy-test-peek"):
        choose({"honest": runs["weak"], "peeking": [peeking]})


def test_choosing_and_reporting_on_one_split_is_refused(runs: dict[str, list[Path]]) -> None:
    with pytest.raises(ConfigError, match="cannot both choose"):
        choose(runs, dev="test")
    with pytest.raises(ConfigError, match="no candidate"):
        choose({})


def test_a_metric_that_is_no_headline_cannot_choose_and_none_means_the_tasks_own(runs: dict[str, list[Path]]) -> None:
    with pytest.raises(ConfigError, match="unknown metric to choose by 'weighted_f2'; did you mean 'weighted_f1'"):
        choose(runs, metric="weighted_f2")
    assert choose(runs) == choose(runs, metric="weighted_f1")
