"""With the protocol legacy-test-peek a run also tells which epoch test would have chosen, and changes nothing else."""

import logging

import pytest
from safetensors.torch import load_file

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.report.page import write_report
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.record.peek import peek_of
from dialogue_ser.training.run import train


def test_the_run_is_the_same_and_the_gap_is_that_of_its_epochs(tiny, tmp_path, caplog):
    settings = {"training.epochs": 4, "optimizer.learning_rate": 0.1}
    plain = train(tiny.tiny_config(**settings), tmp_path / "plain")
    with caplog.at_level(logging.WARNING):
        peeked = train(tiny.tiny_config(**settings, **{"training.protocol": "legacy-test-peek"}), tmp_path / "peeked")
    assert "legacy-test-peek: test would have chosen epoch" in caplog.text
    one, two = (load_file(run.folder / "model" / "model.safetensors") for run in (plain, peeked))
    assert all(value.equal(two[name]) for name, value in one.items())
    assert (plain.best_epoch, plain.scores) == (peeked.best_epoch, peeked.scores)

    files = RunFiles(peeked.folder)
    of_test = [row["test"]["weighted_f1"] for row in files.epochs]
    assert [row["dev"] for row in files.epochs] == [row["dev"] for row in RunFiles(plain.folder).epochs]
    found = files.summary["legacy_test_peek"]
    assert found["epoch"] == of_test.index(max(of_test)) + 1
    assert found["scores"]["weighted_f1"] == max(of_test)
    assert found["kept_epoch"] == peeked.best_epoch
    assert found["kept_scores"] == files.epochs[peeked.best_epoch - 1]["test"]
    assert found["gap"] == max(of_test) - of_test[peeked.best_epoch - 1] >= 0
    assert found["kept_scores"]["weighted_f1"] == pytest.approx(peeked.scores["test"]["weighted_f1"])
    assert "test" not in RunFiles(plain.folder).epochs[0]
    assert "legacy_test_peek" not in RunFiles(plain.folder).summary

    scores = evaluate_run(peeked.folder, n_resamples=20)
    assert scores["legacy_test_peek"] == found
    assert scores["protocol"] == "dev"  # the checkpoint was chosen on dev
    assert scores["splits"]["test"]["scores"]["weighted_f1"] == pytest.approx(found["kept_scores"]["weighted_f1"])
    assert found["epoch"] != found["kept_epoch"]
    page = write_report(peeked.folder).read_text(encoding="utf-8")
    assert f"test itself would have chosen epoch {found['epoch']} instead of {found['kept_epoch']}" in page


def test_lower_can_be_better_and_epochs_without_a_value_are_left_out():
    rows = [{"epoch": e, "test": {"mae": value}} for e, value in ((1, 0.5), (2, None), (3, 0.2))]
    found = peek_of(rows, METRICS["mae"], "test", 1)
    assert (found["epoch"], found["scores"], found["kept_scores"]) == (3, {"mae": 0.2}, {"mae": 0.5})
    assert found["gap"] == pytest.approx(0.3)
    assert peek_of(rows[1:2], METRICS["mae"], "test", 2)["epoch"] is None


def test_without_a_labelled_test_split_the_protocol_is_refused_before_anything_is_written(tiny, tmp_path):
    config = tiny.tiny_config(**{"training.protocol": "legacy-test-peek", "data.train": "train+test"})
    with pytest.raises(ConfigError, match=r"legacy-test-peek needs one labelled split .* found none"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
