import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dialogue_ser.corpus.cut import make_folds, select_turns
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.errors import ConfigError, CorpusError, DialogueSerError, MissingDataError
from dialogue_ser.evaluation.compare import compare
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.evaluation.crossval.scores import is_transductive
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.features.files.tables import write_rows
from dialogue_ser.features.registry import build_encoder, register_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.many.engines import InProcess
from dialogue_ser.metrics.scores import score
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.run import train

SPEAKERS = ["AA0", "BB0", "CC0", "DD0"]


@register_encoder("test-band-energies", modality="audio")
def band_energies(waveforms, sample_rate_hz):
    rows = []
    for wave in waveforms:
        power = np.abs(np.fft.rfft(wave, 4096)) ** 2
        rows.append(np.log([1e-9 + band.mean() for band in np.array_split(power[:512], 24)]))
    return np.array(rows)


@pytest.fixture(scope="module")
def nemo(tmp_path_factory: pytest.TempPathFactory, write_nemo) -> Path:
    return write_nemo(tmp_path_factory.mktemp("nemo"), n_each=3)


def config_of(nemo: Path, preset: str = "nemo-egemaps-svm", **overrides) -> RunConfig:
    own = {"data.path": str(nemo), "features.audio.encoder": "test-band-energies", "features.audio.options": {}}
    return apply_overrides(load_preset(preset), {**own, **overrides})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, nemo: Path) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("crossval")
    calls: list[tuple] = []
    scores = cross_validate(
        config_of(nemo),
        folder / "out",
        store=FeatureStore(folder / "store"),
        report_fold=lambda *call: calls.append(call),
    )
    assert calls == [(0, 4, "AA0"), (1, 4, "BB0"), (2, 4, "CC0"), (3, 4, "DD0"), (4, 4, "")]
    return folder / "out", scores


def test_scores_json_has_pooled_and_folds_each_with_ua_and_wa(done):
    folder, scores = done
    assert json.loads((folder / "scores.json").read_text()) == json.loads(json.dumps(scores))
    assert [fold["name"] for fold in scores["folds"]] == SPEAKERS
    for part in (scores["pooled"], *scores["folds"]):
        assert {"uar", "accuracy", "macro_f1", "confusion", "per_class"} <= part.keys()
    assert scores["pooled"]["n"] == 72
    assert scores["pooled"]["uar"] > 0.5  # pitch tells the emotion, for every speaker
    assert scores["protocol"] == "leave-one-speaker-out"
    assert scores["config"]["crossval"]["estimator"] == scores["system"] == "linear-svm"
    assert scores["versions"]["scikit-learn"]
    assert scores["extraction"]["audio"]["encoded"] == 72
    assert scores["uses_unlabelled_test_recordings"] is False


def test_scores_are_those_of_predictions_parquet(done):
    folder, scores = done
    frame = pd.read_parquet(folder / "predictions.parquet")
    test = frame[frame["split"] == "test"]
    assert sorted(test["utterance_id"]) == sorted(set(test["utterance_id"]))
    assert len(test) == 72
    assert (test["fold"] == test["speaker"]).all()
    assert scores["pooled"]["uar"] == score(test["gold"], test["predicted"], scores["labels"]).uar
    dev = frame[frame["split"] == "dev"]
    following = dict(zip(SPEAKERS, [*SPEAKERS[1:], SPEAKERS[0]], strict=True))
    assert (dev["speaker"] == dev["fold"].map(following)).all()
    for fold in scores["folds"]:
        own = dev[dev["fold"] == fold["name"]]
        chosen = fold["chosen"]["inverse_regularisation"]
        judged = {one["inverse_regularisation"]: one["uar"] for one in fold["chosen"]["dev_scores"]}
        assert score(own["gold"], own["predicted"], scores["labels"]).uar == pytest.approx(judged[chosen])
        assert judged[chosen] == max(judged.values())


def test_every_fold_leaves_a_model_that_predicts_its_test_speaker_the_same(done, nemo):
    folder, _ = done
    classifier = DialogueClassifier.from_pretrained(folder / "folds" / "BB0", device="cpu")
    dialogues = [d for d in read_corpus("nemo", nemo).split("all") if d.speakers == ("BB0",)]
    frame = pd.read_parquet(folder / "predictions.parquet")
    own = frame[(frame["fold"] == "BB0") & (frame["split"] == "test")]
    assert list(classifier.predict(dialogues)["predicted"]) == list(own["predicted"])


def test_labels_of_the_test_speaker_change_nothing_in_its_fold(done, nemo, tmp_path):
    folder, _ = done
    relabelled = tmp_path / "nemo"
    relabelled.mkdir()
    (relabelled / "samples").symlink_to(nemo / "samples")
    lines = (nemo / "data.tsv").read_text().splitlines()
    mixed = [line.replace("\tfear\t", "\tanger\t") if line.startswith("BB0_") else line for line in lines]
    assert mixed != lines
    (relabelled / "data.tsv").write_text("\n".join(mixed) + "\n")
    cross_validate(config_of(relabelled), tmp_path / "out")
    before, after = (pd.read_parquet(place / "predictions.parquet") for place in (folder, tmp_path / "out"))
    columns = [name for name in before if name.startswith("p_")]

    def own(frame):
        return frame[(frame["fold"] == "BB0") & (frame["split"] == "test")][columns].to_numpy()

    np.testing.assert_array_equal(own(before), own(after))


def test_speaker_normalisation_is_reported_as_what_it_is(nemo, tmp_path):
    config = config_of(nemo, "nemo-egemaps-svm-speaker-norm")
    scores = cross_validate(config, tmp_path / "out")
    assert scores["uses_unlabelled_test_recordings"] is True
    assert scores["name"] == "nemo-egemaps-svm-speaker-norm"
    assert not is_transductive(config_of(nemo))


def test_two_runs_are_compared_turn_by_turn(done, nemo, tmp_path):
    cross_validate(config_of(nemo, "nemo-compare-svm"), tmp_path / "out")
    assert compare([done[0]], [tmp_path / "out"], metric="uar").difference.n_dialogues == 72


def test_a_finished_or_foreign_directory_is_not_overwritten(done, nemo, tmp_path):
    with pytest.raises(ConfigError, match="holds a finished run"):
        cross_validate(config_of(nemo), done[0])
    with pytest.raises(DialogueSerError, match="cross-validation"):
        evaluate_run(done[0])
    (tmp_path / "config.yaml").write_text("name: mine\n")
    with pytest.raises(ConfigError, match="that no run wrote"):
        cross_validate(config_of(nemo), tmp_path)


def test_a_directory_that_cannot_be_made_is_refused_before_anything_is_encoded(nemo, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    store = FeatureStore(tmp_path / "store")
    with pytest.raises(ConfigError, match=r"cannot be created, because .*/file is not a folder; choose another --out"):
        cross_validate(config_of(nemo), tmp_path / "file" / "out", store=store)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigError, match="is not writable"):
        cross_validate(config_of(nemo), tmp_path / "new" / "out", store=store)
    assert not (tmp_path / "store").exists()


def test_an_unfinished_directory_is_gone_on_with_under_the_same_settings_only(done, nemo, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("config.yaml", "environment.json"):
        (out / name).write_bytes((done[0] / name).read_bytes())
    with pytest.raises(ConfigError, match=r"crossval\.refit: the run has 'train\+dev', now 'train'"):
        cross_validate(config_of(nemo, **{"crossval.refit": "train"}), out)
    assert cross_validate(config_of(nemo), out)["pooled"] == done[1]["pooled"]


def test_what_cannot_work_leaves_no_directory(nemo, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="unknown protocol 'loso'"):
        cross_validate(config_of(nemo, **{"data.cut.protocol": "loso"}), out)
    trained = {
        "features.audio.augment": {"copies": 2, "stretch": [0.9, 1.1]},
        "training.balance": "downsample",
        "training.ensemble": 3,
        "loss.soft_labels": True,
    }
    with pytest.raises(ConfigError) as caught:
        cross_validate(config_of(nemo, **trained), out)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "features.audio.augment.copies", *list(trained)[1:]
    ]  # fmt: skip
    assert caught.value.problems[0].endswith(
        "crossval.estimator linear-svm does not use it; switch it off (--features.audio.augment.copies 0), or train a "
        "model in every fold (--crossval.estimator none)"
    )
    with pytest.raises(
        ConfigError, match=r"inverse_regularisation: found \[0.1, -1.0\]; give positive candidates for C"
    ):
        cross_validate(config_of(nemo, **{"crossval.inverse_regularisation": [0.1, -1.0]}), out)
    with pytest.raises(ConfigError, match="no modality"):
        cross_validate(replace(config_of(nemo), features={}), out)
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(MissingDataError, match="nemo: no such folder"):
        cross_validate(apply_overrides(config_of(nemo), {"data.path": None}), out)
    assert not out.exists()


DIALOGUE_MODEL = {
    "crossval.estimator": "none",
    "model": {"name": "bigru", "options": {"hidden_dim": 8}},
    "training": {"epochs": 2, "device": "cpu", "batch_size": 16},
    "features.audio.transforms": ["standardise"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, nemo: Path) -> tuple[Path, dict]:
    """A folder with a dialogue model of every fold in out/, made with the store given/; and the scores."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "default"))
        config, store = config_of(nemo, **DIALOGUE_MODEL), FeatureStore(folder / "given")
        return folder, cross_validate(config, folder / "out", store=store)


def test_a_dialogue_model_is_trained_in_every_fold_on_features_of_the_store_it_was_given(trained):
    folder, scores = trained
    assert list((folder / "given").iterdir())
    assert not (folder / "default").exists()
    assert scores["system"] == "bigru"
    frame = pd.read_parquet(folder / "out" / "predictions.parquet")
    assert sorted(frame.loc[frame["split"] == "test", "utterance_id"])[0] == "all/AA0_anger_0"
    assert [fold["utterances"] for fold in scores["folds"]] == [{"train": 36, "dev": 18, "test": 18}] * 4
    assert all(fold["chosen"]["best_epoch"] in (1, 2) for fold in scores["folds"])
    assert (folder / "out" / "folds" / "AA0" / "metrics.jsonl").is_file()


def test_features_of_a_file_keyed_by_the_corpus_ids_serve_estimators_and_dialogue_models_alike(done, nemo, tmp_path):
    dialogues = read_corpus("nemo", nemo).split("all")
    encoder = build_encoder("test-band-energies", "audio")
    write_rows(tmp_path / "all.safetensors", encoder.encode(dialogues))
    overrides = {
        "features.audio.encoder": "precomputed",
        "features.audio.options": {"path": str(tmp_path / "{split}.safetensors")},
    }
    svm = cross_validate(config_of(nemo, **overrides), tmp_path / "svm")
    assert svm["pooled"] == done[1]["pooled"]
    model = DIALOGUE_MODEL | {"data.cut.protocol": "stratified-70-20-10"}  # one fold
    of_file = cross_validate(config_of(nemo, **model, **overrides), tmp_path / "model")
    assert of_file["pooled"] == cross_validate(config_of(nemo, **model), tmp_path / "as-computed")["pooled"]


@pytest.mark.parametrize("times", ["", "0 days 00:00:00,NaT,"])
def test_a_database_in_audformat_is_cross_validated_like_the_corpus_it_was_made_of(done, nemo, tmp_path, times):
    turns = [one.utterances[0] for one in read_corpus("nemo", nemo).split("all")]
    rows = [f"{turn.audio.path.relative_to(nemo)},{times}{turn.speaker},{turn.label}" for turn in turns]
    head = "file,start,end,speaker,emotion" if times else "file,speaker,emotion"
    (tmp_path / "db.emotion.csv").write_text("\n".join([head, *rows]) + "\n")
    options = {"fractions": {"all": 1.0}, "audio_root": str(nemo), "label_order": done[1]["labels"]}
    table = {"data.reader": "table", "data.path": str(tmp_path / "db.emotion.csv"), "data.options": options}
    scores = cross_validate(config_of(nemo, **table), tmp_path / "out")
    assert scores["pooled"] == done[1]["pooled"]
    assert [fold["name"] for fold in scores["folds"]] == SPEAKERS


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, write_iemocap) -> Path:
    return write_iemocap(tmp_path_factory.mktemp("iemocap"))


def iemocap_config(tree: Path, protocol: str, labels: str = "4-class", options=None, **overrides) -> RunConfig:
    own = {"data.reader": "iemocap", "data.labels": labels, "data.options": options or {}}
    own |= {"data.cut.protocol": protocol, "crossval.estimator": "logistic"}
    return config_of(tree, **{**own, **overrides})


@pytest.mark.parametrize(
    ("protocol", "labels", "options", "folds", "tested"),
    [
        ("leave-one-speaker-out-partner-dev", "4-class", {"scenario": "improvised"}, 10, 50),
        ("leave-one-session-out", "4-class", {"scenario": "scripted"}, 5, 45),
        ("stratified-70-20-10", "5-class", {}, 1, 11),
        ("session-5", "10-class", {}, 1, 27),
    ],
)
def test_the_protocols_of_the_documents_run_on_iemocap(tree, tmp_path, protocol, labels, options, folds, tested):
    scores = cross_validate(iemocap_config(tree, protocol, labels, options), tmp_path / "out")
    assert len(scores["folds"]) == folds
    assert scores["utterances"]["tested"] == scores["pooled"]["n"] == tested
    assert scores["scenario"] == options.get("scenario", "mixed")
    assert scores["cut_dialogues"] == 0
    assert scores["interval_over"] == ("folds" if folds > 1 else "dialogues")
    assert scores["pooled"]["accuracy"] > 0.5  # pitch tells the emotion
    assert len(scores["published"]) == 32
    same = {row["document"] for row in scores["published"] if row["same_conditions"]}
    assert same == {"4-class": {"E1", "E3"}, "5-class": {"E2"}, "10-class": {"E4"}}[labels]
    counts = [sum(fold["labels"]["test"].values()) for fold in scores["folds"]]
    assert sum(counts) == tested
    frame = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert not frame.duplicated(["split", "utterance_id"]).any()


@pytest.mark.parametrize("estimator", ["logistic", "none"])
def test_folds_that_cut_dialogues_show_no_part_the_turns_of_another(tree, tmp_path, estimator):
    overrides = {
        "crossval.estimator": estimator,
        "model": {"name": "bigru", "options": {"hidden_dim": 4}},
        "training": {"epochs": 1, "device": "cpu", "batch_size": 8},
    }
    options = {"view": "dialogue", "scenario": "improvised"}
    protocol = "leave-one-speaker-out-partner-dev"
    config = iemocap_config(tree, protocol, options=options, **overrides)
    scores = cross_validate(config, tmp_path / "out")
    assert scores["cut_dialogues"] == 5
    assert scores["utterances"] == {"all": 70, "tested": 70}
    assert scores["pooled"]["n"] == 50
    frame = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    test = frame[frame["split"] == "test"]
    assert sorted(test["turn"]) == sorted(list(range(14)) * 5)  # places in the whole dialogue
    assert (test["fold"] == test["speaker"]).all()
    # The scored predictions are those of the fold's model for the turns of the test speaker only.
    dialogues = read_corpus("iemocap", tree, "4-class", **options).split("all")
    [fold] = [one for one in make_folds(protocol, dialogues) if one.name == "Ses01F"]
    classifier = DialogueClassifier.from_pretrained(tmp_path / "out" / "folds" / "Ses01F", device="cpu")
    columns = [name for name in frame if name.startswith("p_")]
    scored = test[test["fold"] == "Ses01F"].set_index("utterance_id")[columns]

    def predicted(some):
        return classifier.predict(some).set_index("utterance_id").loc[scored.index, columns]

    np.testing.assert_allclose(predicted(select_turns(dialogues, fold.test)), scored, atol=1e-5)
    in_context = predicted([one for one in dialogues if one.id == "all/Ses01F_impro01"])
    assert np.allclose(in_context, scored, atol=1e-5) == (estimator == "logistic")  # which sees no context at all


def test_a_corpus_without_sessions_is_refused_before_anything_is_written(nemo, tmp_path):
    with pytest.raises(CorpusError, match=r"72 of 72 utterances have no session"):
        cross_validate(config_of(nemo, **{"data.cut.protocol": "leave-one-session-out"}), tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown label 'joy'"):
        cross_validate(config_of(nemo, **{"data.leave_out": ["joy"]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_draw_of_a_split_is_not_the_seed_of_the_run(nemo, tmp_path):
    drawn = {}
    for name, (run_seed, split_seed) in {"a": (1, 0), "b": (2, 0), "c": (1, 1)}.items():
        overrides = {"data.cut.protocol": "stratified-70-20-10", "seed": run_seed, "data.cut.seed": split_seed}
        cross_validate(config_of(nemo, **overrides), tmp_path / name)
        frame = pd.read_parquet(tmp_path / name / "predictions.parquet")
        drawn[name] = set(frame.loc[frame["split"] == "test", "utterance_id"])
    assert drawn["a"] == drawn["b"] != drawn["c"]
    trained = {"data.cut.protocol": "stratified-70-20-10", "data.cut.seed": 1, "crossval.estimator": "none"}
    model = {"model": {"name": "utterance"}, "training": {"epochs": 1, "device": "cpu"}}
    cross_validate(config_of(nemo, **trained, **model), tmp_path / "d")
    frame = pd.read_parquet(tmp_path / "d" / "predictions.parquet")
    assert set(frame.loc[frame["split"] == "test", "utterance_id"]) == drawn["c"]


def test_learning_on_one_corpus_and_being_tested_on_another(tree, nemo, tmp_path):
    options = {
        "train": {"reader": "iemocap", "path": str(tree), "labels": "shared-4"},
        "test": {"reader": "nemo", "path": str(nemo), "labels": "shared-4"},
    }
    own = {"data.reader": "cross-corpus", "data.path": None, "data.options": options}
    config = config_of(nemo, **own, **{"data.cut.protocol": "own-splits"})
    scores = cross_validate(config, tmp_path / "out")
    [fold] = scores["folds"]
    assert fold["utterances"]["test"] == scores["pooled"]["n"] == 4 * 4 * 3  # four of six emotions, four speakers
    assert not set(fold["speakers"]["train"]) & {*fold["speakers"]["test"], *fold["speakers"]["dev"]}
    assert scores["published"] == []


def test_the_corpus_is_read_once_for_all_folds(nemo, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "dialogue_ser.training.data.corpus.read_corpus",
        lambda *args, **more: asked.append(args) or read_corpus(*args, **more),
    )
    cut = {"data.cut.protocol": "k-fold-speakers", "data.cut.n_folds": 3}
    config = config_of(nemo, **DIALOGUE_MODEL, **cut, **{"training.epochs": 1})
    scores = cross_validate(config, tmp_path / "read")
    assert len(scores["folds"]) == 3
    assert len(asked) == 1
    given = cross_validate(config, tmp_path / "given", corpus=read_corpus("nemo", nemo))
    assert len(asked) == 1
    assert given["pooled"] == scores["pooled"]


def test_groups_of_speakers_are_cross_validated(nemo, tmp_path):
    cut = {"data.cut.protocol": "k-fold-speakers", "data.cut.n_folds": 3}
    scores = cross_validate(config_of(nemo, **cut), tmp_path / "out")
    assert [fold["name"] for fold in scores["folds"]] == ["group-1", "group-2", "group-3"]
    assert sorted(len(fold["speakers"]["test"]) for fold in scores["folds"]) == [1, 1, 2]
    assert scores["utterances"]["tested"] == 72
    assert not any(set(fold["speakers"]["train"]) & set(fold["speakers"]["test"]) for fold in scores["folds"])


def test_without_a_protocol_every_speaker_is_left_out_and_config_yaml_says_so(done, nemo, tmp_path):
    scores = cross_validate(config_of(nemo, **{"data.cut.protocol": "none"}), tmp_path / "out")
    assert scores["pooled"] == done[1]["pooled"]
    assert load_config(tmp_path / "out" / "config.yaml").data.cut.protocol == "leave-one-speaker-out"


def in_old_words(path: Path, *, is_fold: bool = False) -> None:
    """Rewrite a config.yaml as an early 0.1.0 wrote it, without section data.cut, for all folds or for one fold."""
    values = yaml.safe_load(path.read_text())
    cut = values["data"].pop("cut")
    values["crossval"] |= {"protocol": cut["protocol"], "seed": cut["seed"]}
    if is_fold:
        inner = {"corpus": "nemo", "protocol": cut["protocol"], "fold": cut["fold"], "options": {}, "seed": cut["seed"]}
        values["data"] |= {"reader": "dialogue_ser.evaluation.folds:read_fold", "options": inner}
    path.write_text(yaml.safe_dump(values))


def test_a_cross_validation_that_an_earlier_version_began_goes_on(trained, nemo, tmp_path):
    folder, whole = trained
    out = Path(shutil.copytree(folder / "out", tmp_path / "out"))
    config = config_of(nemo, **DIALOGUE_MODEL)
    (out / "scores.json").unlink()
    in_old_words(out / "config.yaml")
    for fold in SPEAKERS:
        in_old_words(out / "folds" / fold / "config.yaml", is_fold=True)
    *history, summary = (out / "folds" / "BB0" / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert '"summary"' in summary
    (out / "folds" / "BB0" / "metrics.jsonl").write_text("".join(history))  # that fold was not finished
    models = {fold: (out / "folds" / fold / "model" / "model.safetensors").stat().st_mtime_ns for fold in SPEAKERS}
    assert cross_validate(config, out)["pooled"] == whole["pooled"]
    for fold, before in models.items():
        is_new = (out / "folds" / fold / "model" / "model.safetensors").stat().st_mtime_ns != before
        assert is_new == (fold == "BB0")


def test_a_fold_is_trained_alone_and_its_directory_alone_resumes_it(trained, nemo, tmp_path):
    config = config_of(nemo, **DIALOGUE_MODEL, **{"data.cut.fold": "CC0"})
    alone = train(config, tmp_path / "alone", progress=False)
    shutil.copytree(trained[0] / "out", tmp_path / "all")
    frame, beside = (pd.read_parquet(tmp_path / place / "predictions.parquet") for place in ("alone", "all/folds/CC0"))
    pd.testing.assert_frame_equal(frame, beside)
    *history, _ = (tmp_path / "all/folds/CC0/metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "all/folds/CC0/metrics.jsonl").write_text("".join(history))
    (tmp_path / "all/folds/CC0/predictions.parquet").unlink()
    train(load_config(tmp_path / "all/folds/CC0/config.yaml"), tmp_path / "all/folds/CC0", resume=True, progress=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "all/folds/CC0/predictions.parquet"), frame)
    assert alone.config.data.cut.fold == "CC0"
    with pytest.raises(ConfigError, match="crossval runs every fold"):
        cross_validate(config, tmp_path / "out")


def test_warnings_and_what_folds_lack_are_said_once_before_anything_is_computed(tmp_path, caplog):
    # Speakers s0, s1, s3 and s4 have one class each.
    said = {"s0": ["joy"], "s1": ["anger"], "s2": ["joy", "anger"], "s3": ["joy"], "s4": ["anger"]}
    rows = [f"{who},{label},{label}" for who, labels in said.items() for label in labels for _ in range(3)]
    (tmp_path / "own.csv").write_text("\n".join(["speaker,text,label", *rows, "s0,x,Joy", ""]))
    config = RunConfig(metrics=("unknown",))
    settings = {
        "data.reader": "table",
        "data.path": str(tmp_path / "own.csv"),
        "data.options": {"fractions": {"all": 1.0}, "label_map": {"x": "y"}},
        "data.cut.protocol": "leave-one-speaker-out",
        "features.text.encoder": "minilm",
        "crossval.estimator": "linear-svm",
    }
    with pytest.raises(ConfigError, match="unknown metric"):  # this is refused after the folds are made
        cross_validate(apply_overrides(config, settings), tmp_path / "out")
    told = [record.message for record in caplog.records]
    for part in (
        "corpus table: label_map: the table does not hold x",
        "labels differ only in case, blanks or marks",
        "leave-one-speaker-out: In 5 of 5 folds a class has no dev turn",
        "leave-one-speaker-out: In 2 of 5 folds a class has no train turn",
    ):
        assert sum(part in message for message in told) == 1, part


def test_folds_that_read_the_corpus_themselves_give_the_same_and_finished_ones_are_not_repeated(done, nemo, tmp_path):
    out, store = tmp_path / "out", FeatureStore(tmp_path / "store")
    scores = cross_validate(config_of(nemo), out, store=store, engine=InProcess())
    assert [scores[key] for key in ("pooled", "intervals")] == [done[1][key] for key in ("pooled", "intervals")]
    stamps = {fold: (out / "folds" / fold / "fold.parquet").stat().st_mtime_ns for fold in SPEAKERS}
    (out / "scores.json").unlink()
    (out / "folds" / "CC0" / "fold.parquet").unlink()
    assert cross_validate(config_of(nemo), out, store=store)["pooled"] == scores["pooled"]
    again = {fold: (out / "folds" / fold / "fold.parquet").stat().st_mtime_ns for fold in SPEAKERS}
    assert {fold for fold in SPEAKERS if again[fold] != stamps[fold]} == {"CC0"}
    corpus = read_corpus("nemo", nemo)
    with pytest.raises(ConfigError, match="a corpus in memory is only in this process"):
        cross_validate(config_of(nemo), tmp_path / "other", corpus=corpus, engine=InProcess())
