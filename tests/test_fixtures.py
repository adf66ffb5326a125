"""What an earlier version wrote (fixtures/README.md) is read by today's, and gives the numbers that were written."""

import json
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.cli.main import main
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.evaluation.compare import compare
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.report.crossval_page import write_crossval_report
from dialogue_ser.report.page import write_report
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.run import Run, train

FIXTURES = Path(__file__).with_name("fixtures")
ROOT = FIXTURES.parents[1]
CROSSVALS = ("crossval", "crossval-estimator")


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / name, tmp_path / name))


def probabilities(frame: pd.DataFrame, ids: "pd.Series[str]") -> np.ndarray:
    return frame.set_index("utterance_id").loc[ids].filter(regex="^p_").to_numpy()


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a nested JSON object by its place."""
    if isinstance(value, Mapping | list):
        for name, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from leaves(inner, f"{place}/{name}")
    else:
        yield place, value


def same_numbers(now: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Everything that is stored is there today, and equal: numbers up to rounding."""
    found = dict(leaves(now))
    wanted = {place: pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True) if isinstance(value, float) else value
              for place, value in leaves(stored)}  # fmt: skip
    return {place: found.get(place) for place in wanted} == wanted


def test_the_numbers_of_two_files_are_compared_to_the_last_one():
    stored = {"splits": {"test": {"f1": 0.5, "counts": [1, 2]}}, "note": None}
    assert same_numbers({**stored, "new": 1}, stored)
    assert not same_numbers({"splits": {"test": {"f1": 0.50001, "counts": [1, 2]}}, "note": None}, stored)
    assert not same_numbers({"splits": {"test": {"f1": 0.5, "counts": [1, 3]}}, "note": None}, stored)


def test_a_run_predicts_the_numbers_it_stored():
    stored = RunFiles(FIXTURES / "run").predictions.frame
    classifier = DialogueClassifier.from_pretrained(FIXTURES / "run", device="cpu")
    dialogues = [one for some in read_corpus("sample").splits.values() for one in some]
    predicted = classifier.predict(dialogues)
    assert set(predicted["utterance_id"]) == set(stored["utterance_id"])
    columns = [name for name in stored if name.startswith("p_")]
    assert [name for name in predicted if name.startswith("p_")] == columns
    ids = stored["utterance_id"]
    np.testing.assert_allclose(probabilities(predicted, ids), probabilities(stored, ids), rtol=0, atol=1e-6)


def test_a_model_alone_predicts_the_numbers_it_predicted():
    stored = pd.read_parquet(FIXTURES / "model.predictions.parquet")
    dialogues = [
        one for one in read_corpus("sample", None, "sentiment").split("test") if one.id in {*stored["dialogue_id"]}
    ]
    predicted = DialogueClassifier.from_pretrained(FIXTURES / "model", device="cpu").predict(dialogues)
    assert list(predicted["predicted"]) == list(stored["predicted"])
    # openSMILE's sums differ in the last bits between processors, and the fitted scale passes that on
    ids = stored["utterance_id"]
    np.testing.assert_allclose(probabilities(predicted, ids), probabilities(stored, ids), rtol=0, atol=1e-4)


def test_a_run_is_scored_as_it_was(tmp_path):
    run = copied("run", tmp_path)
    stored = json.loads((run / "scores.json").read_text())
    (run / "scores.json").unlink()
    evaluate_run(run)
    assert same_numbers(json.loads((run / "scores.json").read_text()), stored)


def test_a_finished_run_is_loaded_and_its_report_written(tmp_path, real_pictures):
    run = copied("run", tmp_path)
    page = write_report(run).read_text()
    stored = json.loads((run / "scores.json").read_text())
    assert f"{stored['splits']['test']['scores']['weighted_f1']:.3f}" in page
    assert Run.load(run).best_epoch == RunFiles(run).summary["best_epoch"]
    again = train(load_config(run / "config.yaml"), run, resume=True)
    assert again.scores == RunFiles(FIXTURES / "run").summary["scores"]
    assert not (run / "checkpoints").exists()  # nothing was trained


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stopped run, gone on with by the command line."""
    run = copied("unfinished", tmp_path_factory.mktemp("resumed"))
    environment = json.loads((run / "environment.json").read_text())
    # A newer library or torch is not what is asked about here; corpus, features and settings must be the same.
    environment["packages"] = {name: version(name) for name in environment["packages"]}
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "dialogue_ser.report.page.write_report", lambda run: run / "report.html"
        )  # seen to work elsewhere
        assert main(["train", "--resume", str(run)]) == 0
    return run


def test_a_stopped_run_ends_as_if_nobody_had_stopped_it(resumed):
    lines = [json.loads(line) for line in (resumed / "metrics.jsonl").read_text().splitlines()]
    stored = (FIXTURES / "unfinished" / "metrics.jsonl").read_text().splitlines()
    assert lines[: len(stored)] == [json.loads(line) for line in stored]  # it went on, and did not begin anew
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(1, 13))
    expected = pd.read_parquet(FIXTURES / "unfinished.predictions.parquet")
    predicted = RunFiles(resumed).predictions.frame
    assert list(predicted["utterance_id"]) == list(expected["utterance_id"])
    ids = expected["utterance_id"]
    # five steps of training: last bits that differ between processors grow
    np.testing.assert_allclose(probabilities(predicted, ids), probabilities(expected, ids), rtol=0, atol=1e-4)


def test_runs_of_two_versions_are_compared(resumed, tmp_path):
    same = compare([FIXTURES / "run"], [copied("run", tmp_path)], n_resamples=50)
    assert (same.difference.estimate, same.difference.n_dialogues) == (0, 12)
    before = tmp_path / "before"
    before.mkdir()
    shutil.copy(FIXTURES / "unfinished.predictions.parquet", before / "predictions.parquet")
    newer = compare([before], [resumed], n_resamples=50)
    assert newer.difference.estimate == pytest.approx(0, abs=0.02)
    assert 0 < newer.difference.a < 1


@pytest.mark.parametrize("name", CROSSVALS)
def test_the_page_of_a_cross_validation_is_written_from_its_files(name, tmp_path):
    folder = copied(name, tmp_path)
    stored = json.loads((folder / "scores.json").read_text())
    page = write_crossval_report(folder).read_text()
    for part in ("pooled", "dev"):
        assert f"{stored[part]['ua']:.3f}" in page
        assert f"{stored[part]['wa']:.3f}" in page
    assert {"Colette", "Juno", "Leon"} <= {word for word in stored["speakers"] if word in page}


@pytest.mark.parametrize(("name", "fold"), [("crossval", "Leon"), ("crossval-estimator", "Colette")])
def test_the_model_of_a_fold_predicts_what_the_fold_was_scored_on(name, fold):
    stored = RunFiles(FIXTURES / name).predictions.frame
    stored = stored[(stored["fold"] == fold) & (stored["split"] == "test")]
    config = load_config(FIXTURES / name / "config.yaml").data
    options = {**config.options, "audio_root": str(ROOT / config.options["audio_root"])}
    dialogues = read_corpus(config.reader, FIXTURES / "turns.csv", config.labels, **options).split("all")
    classifier = DialogueClassifier.from_pretrained(FIXTURES / name / "folds" / fold, device="cpu")
    predicted = classifier.predict([one for one in dialogues if one.id in {*stored["dialogue_id"]}])
    ids = stored["utterance_id"]
    np.testing.assert_allclose(probabilities(predicted, ids), probabilities(stored, ids), rtol=0, atol=1e-4)


def test_a_fold_of_a_dialogue_model_is_scored_like_a_run(tmp_path):
    fold = copied("crossval", tmp_path) / "folds" / "Leon"
    scores = evaluate_run(fold, splits=["test"], n_resamples=20)
    [stored] = [one for one in RunFiles(FIXTURES / "crossval").scores["folds"] if one["name"] == "Leon"]
    assert scores["splits"]["test"]["scores"]["uar"] == pytest.approx(stored["uar"], abs=1e-9)
    assert scores["splits"]["test"]["scores"]["n"] == stored["n"]


def test_a_cross_validation_with_the_same_settings_gives_the_same_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # its paths are relative to the checkout
    scores = cross_validate(load_config(FIXTURES / "crossval" / "config.yaml"), tmp_path / "again")
    assert scores["pooled"]["confusion"] == RunFiles(FIXTURES / "crossval").scores["pooled"]["confusion"]
    now, stored = (RunFiles(one).predictions.frame for one in (tmp_path / "again", FIXTURES / "crossval"))
    texts = ["split", "fold", "utterance_id", "gold", "predicted"]
    assert now[texts].equals(stored[texts])
    columns = [name for name in stored if name.startswith("p_")]
    np.testing.assert_allclose(now[columns], stored[columns], rtol=0, atol=1e-4)
