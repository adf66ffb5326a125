"""The benchmark of sampling counts and times what it says; no number of it is asserted."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = {
    "data.reader": "tiny:read_tiny",
    "features.text.encoder": "tiny:letters",
    "features.text.options": {},
    "training.batch_size": 4,
    "training.epochs": 1,
    "training.device": "cpu",
}


@pytest.fixture
def sampling(monkeypatch, tmp_path):
    """The benchmark, on the tiny corpus of the tests of training."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "training"))
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "cache"))
    from benchmarks import sampling

    return sampling


def test_padding_and_steps_are_those_of_the_batches_that_are_drawn(sampling):
    alike, mixed = [3] * 8, [1, 5] * 20
    for name in ("shuffled", "bucketed"):
        assert sampling.shapes(alike, 4, name, [1, 2], 3) == {"padded_share": 0.0, "recurrence_steps": 6.0}
    bucketed, shuffled = (sampling.shapes(mixed, 20, name, [1], 2) for name in ("bucketed", "shuffled"))
    assert bucketed == {"padded_share": 0.0, "recurrence_steps": 6.0}
    assert shuffled == {"padded_share": pytest.approx(0.4), "recurrence_steps": 10.0}


def test_both_ways_take_turns_and_the_first_round_is_not_counted(sampling, monkeypatch):
    asked = []

    def timed(changes, threads):
        for value in range(100):
            asked.append(("shuffled", "bucketed")[value % 2])
            yield asked[-1], float(value)

    monkeypatch.setattr(sampling, "timed_epochs", timed)
    found = sampling.seconds_per_epoch(3, {}, threads=1)
    assert found["values"] == {"shuffled": [2.0, 4.0, 6.0], "bucketed": [3.0, 5.0, 7.0]}
    assert found["median"] == {"shuffled": 4.0, "bucketed": 5.0}
    assert found["shuffled_vs_bucketed"] == pytest.approx(4 / 5)
    assert asked[:4] == ["shuffled", "bucketed"] * 2


def test_it_runs_from_training_to_the_table(sampling, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sampling, "CHANGES", {**sampling.CHANGES, **TINY})
    monkeypatch.setattr(sampling, "warm_store", lambda systems: None)

    def train_here(systems, seeds, out, workers):
        import benchmarks.training

        for system in systems:
            for seed in seeds:
                benchmarks.training.train_one(system, seed, out)

    monkeypatch.setattr(sampling, "train_all", train_here)
    assert sampling.main(["--seeds", "1", "--repeats", "1", "--threads", "1", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "sampling.json").read_text())
    assert [row["variant"] for row in result["rows"]] == ["shuffled", "bucketed"]
    assert [row["overrides"]["training.sampling"] for row in result["rows"]] == ["shuffled", "bucketed"]
    assert result["rows"][1]["padded_share"] < result["rows"][0]["padded_share"]
    assert all(value > 0 for values in result["seconds_per_epoch"]["values"].values() for value in values)
    table = capsys.readouterr().out
    assert "| bucketed |" in table
    assert f"{result['comparison']['test']['difference']['low']:.3f}" in table
