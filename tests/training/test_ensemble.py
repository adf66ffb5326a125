"""An ensemble: its members are separate runs, and their probabilities are averaged."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.schema import LabelSet, utterances
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import with_checksum
from dialogue_ser.metrics.scores import score
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.training.data.prepare import balanced, load_data
from dialogue_ser.training.ensemble import mean_predictions, member_config
from dialogue_ser.training.run import Run, train

SMALL = {"training.epochs": 2, "training.ensemble": 3, "training.balance": "downsample", "seed": 5}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run for all tests of this file; no test changes it."""
    folder = tmp_path_factory.mktemp("ensemble")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "cache"))
        import tiny

        yield train(tiny.tiny_config(**SMALL), folder / "run")


def frames_of(folder: Path) -> list[pd.DataFrame]:
    return [pd.read_parquet(folder / "members" / str(k) / "predictions.parquet") for k in (1, 2, 3)]


def probabilities(frame: pd.DataFrame, tiny) -> np.ndarray:
    found: np.ndarray = frame[[f"p_{label}" for label in tiny.LABELS]].to_numpy()
    return found


def test_a_member_is_the_run_that_its_own_config_describes(finished, tiny, tmp_path):
    config = tiny.tiny_config(**{**SMALL, "training.ensemble": 1, "seed": 5002})
    alone = train(config, tmp_path / "alone").folder
    member = finished.folder / "members" / "2"
    assert (member / "model/model.safetensors").read_bytes() == (alone / "model/model.safetensors").read_bytes()
    pd.testing.assert_frame_equal(frames_of(finished.folder)[1], pd.read_parquet(alone / "predictions.parquet"))
    assert Run.load(member, trust_code=True).scores == Run.load(alone, trust_code=True).scores
    files = {path.name for path in member.iterdir()}
    assert files | {".lock"} == {path.name for path in alone.iterdir()}, "the ensemble's lock covers its members"


def test_members_differ_in_weights_and_in_what_they_learn_from(finished, tiny):
    members = [probabilities(frame, tiny) for frame in frames_of(finished.folder)]
    assert len({one.tobytes() for one in members}) == 3
    lines = [RunFiles(finished.folder / "members" / str(k)).summary["balance"] for k in (1, 2, 3)]
    assert lines[0]["after"] == lines[1]["after"] == lines[2]["after"]
    data = load_data(tiny.tiny_config(**SMALL))
    drawn = [balanced(member_config(finished.config, k), data).train for k in (1, 2, 3)]
    kept = [frozenset(turn.id for turn in utterances(some) if turn.label) for some in drawn]
    assert len(set(kept)) == 3
    assert {len(ids) for ids in kept} == {sum(lines[0]["after"].values())}


def test_predictions_are_the_mean_of_the_members_and_scored_as_such(finished, tiny):
    members = frames_of(finished.folder)
    frame = pd.read_parquet(finished.folder / "predictions.parquet")
    expected = sum(probabilities(one, tiny) for one in members) / 3
    np.testing.assert_allclose(probabilities(frame, tiny), expected, rtol=0, atol=1e-15)
    assert frame["predicted"].tolist() == [tiny.LABELS[row.argmax()] for row in expected]
    assert frame["utterance_id"].tolist() == members[0]["utterance_id"].tolist()
    test = frame[frame["split"] == "test"]
    assert finished.scores["test"]["uar"] == score(test["gold"], test["predicted"], tiny.LABELS).uar
    assert finished.best_epoch is None
    summary = RunFiles(finished.folder).summary
    for k, member in enumerate(summary["members"], start=1):
        own = Run.load(finished.folder / "members" / str(k), trust_code=True)
        assert member == {"best_epoch": own.best_epoch, "scores": own.scores}


def test_a_mean_by_hand():
    one, other = (
        pd.DataFrame({"utterance_id": ["u"], "gold": ["a"], "predicted": ["a"], "p_a": [p], "p_b": [1 - p]})
        for p in (0.6, 0.2)
    )
    together = mean_predictions([one, other], Classification(LabelSet("two", ("a", "b"))))
    assert together.to_dict("records") == [
        {"utterance_id": "u", "gold": "a", "predicted": "b", "p_a": pytest.approx(0.4), "p_b": pytest.approx(0.6)}
    ]
    assert one["p_a"].tolist() == [0.6]


def test_the_model_folder_predicts_with_the_mean_and_survives_being_saved_again(finished, tiny, tmp_path):
    frame = pd.read_parquet(finished.folder / "predictions.parquet").query("split == 'test'")
    turns = tiny.read_tiny().split("test")
    classifier = finished.classifier(trust_code=True)
    found = classifier.predict_proba(turns)
    np.testing.assert_allclose(found, probabilities(frame, tiny), atol=1e-6)
    again = DialogueClassifier.from_pretrained(classifier.save_pretrained(tmp_path / "copy"), trust_code=True)
    assert again.predict_proba(turns).tobytes() == found.tobytes()
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (finished.folder / "model" / name).read_bytes()
    described = json.loads((finished.folder / "model/config.json").read_text())["model"]
    assert (described["name"], described["members"]) == ("bigru", 3)


def test_a_run_killed_in_its_second_member_resumes_bitwise_equal(finished, tiny, script, tmp_path):
    steps = len([row for row in RunFiles(finished.folder / "members/1").history if row["kind"] == "step"])
    options = ["--set", *(f"{name}={value}" for name, value in SMALL.items())]
    killed = script("tiny.py", tmp_path / "killed", "--kill-at", steps + 5, *options)
    assert killed.returncode == -9, killed.stderr
    first = tmp_path / "killed/members/1/metrics.jsonl"
    assert not (tmp_path / "killed/members/3").exists()
    assert not (tmp_path / "killed/model").exists()
    before = first.read_bytes()
    with pytest.raises(ConfigError, match="an unfinished run; continue it with --resume"):
        train(tiny.tiny_config(**SMALL), tmp_path / "killed")
    train(tiny.tiny_config(**SMALL), tmp_path / "killed", resume=True)
    assert first.read_bytes() == before, "a finished member is left alone"
    for name in ("predictions.parquet", "model/model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (finished.folder / name).read_bytes()
    assert Run.load(tmp_path / "killed", trust_code=True).scores == finished.scores


def test_a_signal_says_which_directory_to_resume(tiny, script, tmp_path):
    options = ["--set", *(f"{name}={value}" for name, value in SMALL.items())]
    stopped = script("tiny.py", tmp_path / "run", "--kill-at", 2, "--kill-with", "TERM", *options)
    assert stopped.returncode == 143
    assert (
        f"stopped at step 3; continue with dialogue-ser train --resume {tmp_path / 'run'} --trust_code\n"
        in stopped.stderr
    )
    assert train(tiny.tiny_config(**SMALL), tmp_path / "run", resume=True).scores


def test_resuming_with_another_number_of_members_is_refused(finished, tiny):
    with pytest.raises(ConfigError, match=r"training\.ensemble: the run has 3, now 4"):
        train(tiny.tiny_config(**{**SMALL, "training.ensemble": 4}), finished.folder, resume=True)
    assert train(tiny.tiny_config(**SMALL), finished.folder, resume=True).scores == finished.scores


def test_a_model_that_cannot_be_built_leaves_no_directory(tiny, tmp_path):
    with pytest.raises(ConfigError, match="hidden_dim"):
        train(tiny.tiny_config(**SMALL, **{"model.options": {"hidden_dim": 0}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_fold_of_a_cross_validation_may_be_an_ensemble(tiny, tmp_path):
    settings = {"training.epochs": 1, "training.ensemble": 2, "training.ema_decay": 0.0}
    config = tiny.tiny_config(**settings)
    found = cross_validate(config, tmp_path / "out")
    folds = sorted(path.name for path in (tmp_path / "out/folds").iterdir())
    assert folds == ["Ann", "Bo", "Cy"] == [fold["name"] for fold in found["folds"]]
    frame = pd.read_parquet(tmp_path / "out/predictions.parquet").query("fold == 'Bo' and split == 'test'")
    members = [pd.read_parquet(tmp_path / f"out/folds/Bo/members/{k}/predictions.parquet") for k in (1, 2)]
    expected = sum(probabilities(member.query("split == 'test'"), tiny) for member in members) / 2
    np.testing.assert_allclose(probabilities(frame, tiny), expected, rtol=0, atol=1e-15)
    assert (frame["speaker"] == "Bo").all()


def test_a_member_that_somebody_changed_cannot_bring_code_into_the_run(finished, tiny, tmp_path, monkeypatch):
    """The run trusts the code in its own settings, and no other name in the folders of its members."""
    shutil.copytree(finished.folder, tmp_path / "run")
    (tmp_path / "hostile.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    monkeypatch.chdir(tmp_path)
    member = tmp_path / "run/members/2/model/config.json"
    config = json.loads(member.read_text())
    config["inputs"]["text"]["encoder"] = "hostile:Encoder"
    member.write_text(json.dumps(with_checksum(config)))
    shutil.rmtree(tmp_path / "run/model")
    with pytest.raises(
        CheckpointError, match=r"members/2/model/config\.json: inputs\.text\.encoder: 'hostile:Encoder'"
    ):
        train(tiny.tiny_config(**SMALL), tmp_path / "run", resume=True)
    assert not (tmp_path / "imported").exists()
