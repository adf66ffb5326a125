"""A small suite is run, continued, and scored; every number of its table follows from the files of its runs."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.compare import compare
from dialogue_ser.evaluation.selection import aggregate
from dialogue_ser.evaluation.suite.plan import read_plan
from dialogue_ser.evaluation.suite.run_suite import run_suite
from dialogue_ser.evaluation.suite.work import damage
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.many.engines import InProcess
from dialogue_ser.metrics.significance import holm
from dialogue_ser.report.sections.suite_tables import markdown_table
from dialogue_ser.runs.run_files import RunFiles


@register_encoder("test-suite-energies", modality="audio")
def energies(waveforms, sample_rate_hz):
    power = [np.abs(np.fft.rfft(wave, 4096)[:512]) ** 2 for wave in waveforms]
    return np.array([np.log([1e-9 + band.mean() for band in np.array_split(one, 24)]) for one in power])


@pytest.fixture
def copy(suite_run, tmp_path, monkeypatch) -> Path:
    shutil.copytree(suite_run, tmp_path / "suite")
    monkeypatch.syspath_prepend(str(suite_run))
    return tmp_path / "suite"


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def scores_in(results: dict) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "cost"} for row in results["rows"]]


def again(folder: Path, **settings) -> dict:
    return dict(run_suite(read_plan(folder / "suite.yaml", trust_code=True), folder / "out", **settings).results)


def test_the_table_has_what_follows_from_the_runs(suite_run):
    results = results_of(suite_run / "out")
    assert [row["label"] for row in results["rows"]] == ["erc", "blind", "mine"]
    assert list(results["metrics"])[:4] == ["weighted_f1", "accuracy", "uar", "macro_f1"]
    for row in results["rows"]:
        runs = [suite_run / "out" / folder for folder in row["folders"]]
        expected = aggregate(runs)
        assert row["test"] == {key: value.to_dict() for key, value in expected.items()}
        assert row["dev"]["weighted_f1"]["mean"] == pytest.approx(aggregate(runs, "dev")["weighted_f1"].mean)
        span = row["intervals"]["weighted_f1"]
        assert span["low"] <= expected["weighted_f1"].mean <= span["high"]
        assert set(row["classes"]) == {"calm", "glad", "cross"}
        assert np.mean([one["mean"] for one in row["classes"].values()]) == pytest.approx(expected["macro_f1"].mean)
        summary = RunFiles(runs[0]).summary
        assert row["cost"]["n_parameters"] == summary["n_parameters"]
        assert row["cost"]["epochs"] == [2, 2]
        assert row["cost"]["seconds_per_epoch"] > 0


def test_rows_are_compared_with_the_reference_over_seeds_and_dialogues(suite_run):
    rows = {row["label"]: row for row in results_of(suite_run / "out")["rows"]}
    assert rows["blind"]["comparison"] is None
    found = {label: rows[label]["comparison"] for label in ("erc", "mine")}
    for label, one in found.items():
        folders = [[suite_run / "out" / run for run in rows[name]["folders"]] for name in (label, "blind")]
        assert one["difference"] == compare(*folders).difference.to_dict()
        assert one["reference"] == "blind"
    assert [one["p_value_holm"] for one in found.values()] == holm([one["p_value"] for one in found.values()])


def test_finished_runs_are_not_repeated_and_lost_ones_are_made_again_with_the_same_result(copy):
    before = results_of(copy / "out")
    runs = {row["label"]: [copy / "out" / run for run in row["folders"]] for row in before["rows"]}
    written = {run: (run / "predictions.parquet").stat().st_mtime_ns for found in runs.values() for run in found}
    shutil.rmtree(runs["mine"][0])
    after = again(copy, engine=InProcess())
    assert scores_in(after) == scores_in(before)
    changed = {run for run, stamp in written.items() if (run / "predictions.parquet").stat().st_mtime_ns != stamp}
    assert changed == {runs["mine"][0]}


def test_a_failing_run_is_named_and_the_others_are_in_the_table(copy):
    text = (copy / "suite.yaml").read_text()
    text = text.replace("reference: blind", '  bad: {data.path: "none.csv"}\nreference: blind')
    (copy / "suite.yaml").write_text(text)
    found = run_suite(read_plan(copy / "suite.yaml", trust_code=True), copy / "out")
    assert set(found.failed) == {"bad/seed1", "bad/seed2"}
    assert "none.csv" in found.failed["bad/seed1"]
    assert [row["label"] for row in found.results["rows"]] == ["erc", "blind", "mine"]
    assert "2 runs failed" in found.results["notes"][0]
    with_engine = run_suite(read_plan(copy / "suite.yaml", trust_code=True), copy / "out", engine=InProcess())
    assert "features cannot be made" in with_engine.failed["bad/seed1"]


def test_runs_whose_files_are_cut_off_are_made_again_and_unreadable_ones_are_named(copy):
    before = results_of(copy / "out")
    runs = {row["label"]: copy / "out" / row["folders"][0] for row in before["rows"]}
    os.truncate(runs["erc"] / "predictions.parquet", 500)
    os.truncate(runs["mine"] / "model" / "model.safetensors", 90)
    assert scores_in(again(copy)) == scores_in(before)
    assert "safetensors" not in damage(runs["mine"])
    (runs["blind"] / "config.yaml").write_text("")
    found = run_suite(read_plan(copy / "suite.yaml", trust_code=True), copy / "out")
    assert set(found.failed) == {"blind/seed1"}
    assert f"delete {runs['blind']}" in found.failed["blind/seed1"]
    assert [row["seeds"] for row in found.results["rows"]] == [[1, 2], [2], [1, 2]]


def test_without_the_runs_of_the_reference_the_table_says_why_nothing_is_compared(copy):
    text = (copy / "suite.yaml").read_text()
    (copy / "suite.yaml").write_text(text.replace("reference: blind", "  bad: {data.path: none.csv}\nreference: bad"))
    results = again(copy)
    assert [row["comparison"] for row in results["rows"]] == [None] * 3
    assert any("No run of the reference bad is finished" in note for note in results["notes"])


def test_a_metric_of_the_users_own_has_a_column(copy):
    module = copy / "my_suite_metrics.py"
    module.write_text("def half(gold, predicted):\n    return 0.5\n\n\nhalf.heading = 'the half'\n")
    sys.path.insert(0, str(copy))
    try:
        (copy / "suite.yaml").write_text(
            f"metrics: ['my_suite_metrics:half', auc]\n{(copy / 'suite.yaml').read_text()}"
        )
        results = again(copy)
    finally:
        sys.path.remove(str(copy))
    assert results["metrics"]["half"] == "the half"
    assert [row["test"]["half"]["values"] for row in results["rows"]] == [[0.5, 0.5]] * 3
    assert "the half" in markdown_table(results)


def test_rows_with_other_turns_are_no_table_and_folders_named_runs_are_found(tmp_path, write_suite):
    text = (
        "base: base.yaml\nsettings: {training.epochs: 1}\nseeds: [1]\nsystems:\n  runs: {model: {name: bigru, options: "
    )
    suite = write_suite(tmp_path, text + "{hidden_dim: 4}}}\n  few: {model.name: bigru, data.path: few.csv}\n", 12)
    lines = (tmp_path / "turns.csv").read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(line for line in lines if ",d3," not in line))
    suite.write_text(suite.read_text().replace("few.csv", str(tmp_path / "few.csv")))
    with pytest.raises(DialogueSerError, match=r"few and runs: .* turns only"):
        run_suite(read_plan(suite), tmp_path / "out")
    suite.write_text(text + "{hidden_dim: 4}}}\n")
    results = run_suite(read_plan(suite), tmp_path / "out").results
    assert (tmp_path / "out" / results["rows"][0]["folders"][0] / "predictions.parquet").is_file()
    assert any("from only 3 dialogues" in note for note in results["notes"])


def test_a_suite_whose_runs_all_fail_is_an_error_and_another_suite_has_another_folder(copy):
    base = "base: base.yaml\nsystems: {a: {model.name: bigru, data.path: none.csv}}\n"
    (copy / "suite.yaml").write_text(f"name: other\n{base}")
    with pytest.raises(ConfigError, match="holds the results of the suite 'small'"):
        run_suite(read_plan(copy / "suite.yaml"), copy / "out")
    with pytest.raises(DialogueSerError, match=r"no run is finished[\s\S]*none\.csv"):
        run_suite(read_plan(copy / "suite.yaml"), copy / "elsewhere")


def test_a_suite_of_cross_validations_draws_folds(tmp_path, write_nemo, write_suite, monkeypatch):
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "cache"))
    corpus = write_nemo(tmp_path / "nemo", n_each=2)
    (tmp_path / "suite.yaml").write_text(
        "name: svm\nbase: nemo-egemaps-svm\nprotocol: crossval\nreference: svm\n"
        f"settings:\n  data.path: {corpus}\n  features.audio: {{encoder: test-suite-energies}}\n"
        "  crossval.inverse_regularisation: [1.0]\n"
        "systems: {svm: {}, weak: {crossval.inverse_regularisation: [1.0e-6]}}\n"
    )
    results = run_suite(read_plan(tmp_path / "suite.yaml"), tmp_path / "out").results
    assert (results["protocol"], results["interval_over"]) == ("crossval", "folds")
    row = results["rows"][0]
    scores = RunFiles(tmp_path / "out" / row["folders"][0]).scores
    assert row["test"]["uar"]["mean"] == pytest.approx(scores["pooled"]["uar"])
    assert results["rows"][1]["comparison"]["difference"]["n_dialogues"] == len(scores["folds"]) == 4
    run = tmp_path / "out" / row["folders"][0]
    os.truncate(run / "predictions.parquet", 300)
    os.truncate(next((run / "folds").glob("*/fold.parquet")), 300)
    after = run_suite(read_plan(tmp_path / "suite.yaml"), tmp_path / "out")
    assert (after.failed, scores_in(after.results)) == ({}, scores_in(results))


def test_the_epoch_that_test_would_choose_stands_beside_the_honest_one_with_the_gap(copy):
    plan = read_plan(copy / "suite.yaml", trust_code=True, seeds=[1], protocol="legacy-test-peek")
    results = run_suite(plan, copy / "peek").results
    assert results["protocol"] == "legacy-test-peek"
    for row in results["rows"]:
        assert row["peek"]["mean"] >= row["test"]["weighted_f1"]["mean"] - 1e-9
        assert row["peek"]["gap"] == pytest.approx(row["peek"]["mean"] - row["test"]["weighted_f1"]["mean"])
        assert row["peek"]["epochs"][0] in (1, 2)
