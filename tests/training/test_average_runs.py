"""Ensembles of finished runs with other seeds, systems and features."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.report.page import write_report
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.average_runs import average_runs
from dialogue_ser.training.run import train

CONVERSATION = [("Ann", "fine okay"), ("Bo", "no stop never"), ("Ann", "great lovely")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of one system and another system with another encoder; no test changes them."""
    folder = tmp_path_factory.mktemp("average")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "cache"))
        import tiny

        words = {
            "encoder": "textcnn",
            "options": {"n_filters": 2, "embedding_dim": 4, "out_dim": 4, "widths": [1]},
        }
        other = {"encoder": "tiny:letters", "transforms": ["standardise"]}
        configs = [
            tiny.tiny_config(**{"training.epochs": 1, "name": "one"}),
            tiny.tiny_config(**{"training.epochs": 1, "name": "two", "seed": 2, "model.options.hidden_dim": 4}),
            tiny.tiny_config(
                **{"training.epochs": 1, "name": "three", "features.text": words, "features.text1": other}
            ),
        ]
        for config in configs:
            train(config, folder / config.name)
    return [folder / name for name in ("one", "two", "three")]


def probabilities(folder: Path) -> np.ndarray:
    return pd.read_parquet(folder / "predictions.parquet").filter(like="p_").to_numpy()


def loaded(folder: Path) -> DialogueClassifier:
    return DialogueClassifier.from_pretrained(folder, device="cpu", trust_code=True)


def test_an_ensemble_predicts_the_mean_of_runs_with_other_inputs(runs, tiny, tmp_path):
    folder = average_runs(runs, tmp_path / "all", trust_code=True)
    mean_NC = np.mean([probabilities(run) for run in runs], axis=0)
    np.testing.assert_allclose(probabilities(folder), mean_NC, atol=1e-12)
    whole = loaded(folder)
    assert sorted(whole.pipelines) == ["text", "text-2"], "equal pipelines are one input"
    members = [loaded(run).predict_proba(CONVERSATION) for run in runs]
    np.testing.assert_allclose(whole.predict_proba(CONVERSATION), np.mean(members, axis=0), atol=1e-6)
    again = loaded(whole.save_pretrained(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict_proba(CONVERSATION), whole.predict_proba(CONVERSATION))


def test_an_ensemble_is_a_run_directory_that_says_its_members(runs, tiny, tmp_path):
    folder = average_runs(runs, tmp_path / "all", trust_code=True)
    scores = evaluate_run(folder, n_resamples=50)
    assert set(scores["splits"]) == {"train", "dev", "test"}
    assert "bigru (two, seed 2)" in write_report(folder).read_text()
    run = RunFiles(folder)
    assert run.config["model"] == {
        "name": "ensemble",
        "options": {"1": "bigru (one, seed 1)", "2": "bigru (two, seed 2)", "3": "bigru (three, seed 1)"},
    }
    assert [one["name"] for one in run.environment["members"]] == ["one", "two", "three"]
    assert run.summary["n_parameters"] == sum(RunFiles(one).summary["n_parameters"] for one in runs)
    copied = folder / "members/2"
    assert (copied / "model/model.safetensors").read_bytes() == (runs[1] / "model/model.safetensors").read_bytes()
    assert not (copied / "checkpoints").exists()
    assert not copied.is_symlink()


def test_an_ensemble_can_be_a_member_and_counts_once(runs, tiny, tmp_path):
    pair = average_runs(runs[:2], tmp_path / "pair", trust_code=True)
    folder = average_runs([pair, runs[2]], tmp_path / "nested", trust_code=True)
    right_NC = (probabilities(pair) + probabilities(runs[2])) / 2
    np.testing.assert_allclose(probabilities(folder), right_NC, atol=1e-12)
    right_TC = (loaded(pair).predict_proba(CONVERSATION) + loaded(runs[2]).predict_proba(CONVERSATION)) / 2
    np.testing.assert_allclose(loaded(folder).predict_proba(CONVERSATION), right_TC, atol=1e-6)


def test_one_error_has_every_reason_against_the_runs(runs, tiny, tmp_path):
    unfinished = Path(shutil.copytree(runs[0], tmp_path / "unfinished"))
    (unfinished / "metrics.jsonl").unlink()
    other = Path(shutil.copytree(runs[1], tmp_path / "other"))
    frame = pd.read_parquet(other / "predictions.parquet")
    frame.iloc[1:].to_parquet(other / "predictions.parquet")
    with pytest.raises(DialogueSerError) as caught:
        average_runs([runs[0], runs[0], unfinished, other, tmp_path / "none"], tmp_path / "out", trust_code=True)
    text = "\n".join(caught.value.problems)
    for reason in (
        "is named twice",
        "unfinished: the run is not finished",
        "0 turns only here, 1 only there",
        "no such run",
    ):
        assert reason in text
    assert not (tmp_path / "out").exists()


def test_runs_with_other_texts_or_another_task_are_refused(runs, tiny, tmp_path):
    other = Path(shutil.copytree(runs[1], tmp_path / "other"))
    frame = pd.read_parquet(other / "predictions.parquet")
    frame.assign(text="something else").to_parquet(other / "predictions.parquet")
    values = train(tiny.value_config(**{"training.epochs": 1}), tmp_path / "values").folder
    with pytest.raises(DialogueSerError, match="have another text") as caught:
        average_runs([runs[0], other, values], tmp_path / "out", trust_code=True)
    assert "a regression and a classification" in str(caught.value)


def test_values_are_averaged_too(tiny, tmp_path):
    both = [train(tiny.value_config(**{"training.epochs": 1, "seed": s}), tmp_path / str(s)).folder for s in (1, 2)]
    folder = average_runs(both, tmp_path / "all", trust_code=True)
    columns = ["predicted_valence", "predicted_arousal"]
    mean = sum(pd.read_parquet(one / "predictions.parquet")[columns] for one in both) / 2
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "predictions.parquet")[columns], mean)


def test_a_folder_with_files_and_a_single_run_are_refused(runs, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        average_runs(runs, tmp_path)
    with pytest.raises(ConfigError, match="at least two"):
        average_runs(runs[:1], tmp_path / "out")


def test_code_of_a_member_needs_trust(runs, tmp_path):
    with pytest.raises(DialogueSerError, match="tiny:letters"):
        average_runs(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_list_of_members_is_an_error_that_names_the_file(runs, tiny, tmp_path):
    folder = average_runs(runs, tmp_path / "all", trust_code=True)
    path = folder / "model/config.json"
    config = json.loads(path.read_text())
    del config["files"]["config.json"]
    config["model"]["systems"][0]["inputs"] = {"text": 3}
    path.write_text(json.dumps(config))
    with pytest.raises(DialogueSerError, match=r"config.json: model.systems\[0\].inputs"):
        loaded(folder)
