"""Valence, arousal and dominance of a generated IEMOCAP: folds by session, an estimator and a dialogue model."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.corpus.schema import VAD
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.evaluation.compare import compare
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.report.crossval_page import write_crossval_report
from dialogue_ser.training.config.run_config import (
    CrossvalConfig,
    DataConfig,
    FeatureConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)

SESSIONS = "leave-one-session-out"


@register_encoder("test-tone-by-band", modality="audio")
def tone_by_band(waveforms, sample_rate_hz):
    power = [np.abs(np.fft.rfft(wave, 4096)) ** 2 for wave in waveforms]
    return np.array([[np.log(1e-9 + band.mean()) for band in np.array_split(one[:512], 24)] for one in power])


@pytest.fixture(scope="module")
def tree(tmp_path_factory, write_iemocap) -> Path:
    return write_iemocap(tmp_path_factory.mktemp("iemocap"))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    return FeatureStore(tmp_path_factory.mktemp("store"))


def config_of(tree: Path, **changes) -> RunConfig:
    config = RunConfig(
        name="vad",
        task="regression",
        data=DataConfig(reader="iemocap", path=str(tree), labels="vad", cut=CutConfig(protocol=SESSIONS)),
        features={"audio": FeatureConfig(encoder="test-tone-by-band", transforms=("impute", "standardise"))},
        crossval=CrossvalConfig(estimator="ridge", inverse_regularisation=(0.01, 0.1, 1.0)),
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def ridge(tree, store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("ridge") / "out"
    cross_validate(config_of(tree), out, store=store)
    return out


def concordance(gold, predicted) -> float:
    """Lin's formula, in plain numbers."""
    shift = gold.mean() - predicted.mean()
    covariance = ((gold - gold.mean()) * (predicted - predicted.mean())).mean()
    return 2 * covariance / (gold.var() + predicted.var() + shift**2)


def test_every_rated_turn_is_tested_once_and_scored_as_by_hand(ridge) -> None:
    scores = json.loads((ridge / "scores.json").read_text())
    assert scores["dimensions"] == list(VAD)
    assert scores["utterances"] == {"all": 141, "tested": 141}  # one of 142 turns has no rating at all
    assert [fold["dimensions"]["test"]["valence"] for fold in scores["folds"]] == [28, 28, 28, 28, 29]
    frame = pd.read_parquet(ridge / "predictions.parquet").query("split == 'test'")
    for name in VAD:
        known = frame[frame[f"gold_{name}"].notna()]
        gold, predicted = known[f"gold_{name}"].to_numpy(), known[f"predicted_{name}"].to_numpy()
        found = scores["pooled"]["per_dimension"][name]
        assert found["n"] == len(known)
        assert found["ccc"] == pytest.approx(concordance(gold, predicted))
        assert found["pearson_r"] == pytest.approx(np.corrcoef(gold, predicted)[0, 1])
        assert found["mae"] == pytest.approx(np.abs(gold - predicted).mean())
    mean = np.mean([scores["pooled"]["per_dimension"][name]["ccc"] for name in VAD])
    assert scores["pooled"]["ccc"] == pytest.approx(mean)
    assert scores["pooled"]["ccc"] > 0.3  # pitch tells the emotion, and the emotion its ratings
    low, high = (scores["intervals"]["ccc"][end] for end in ("low", "high"))
    assert low < scores["pooled"]["ccc"] < high


def test_each_folds_model_is_saved_with_its_scale_and_predicts_its_own_numbers(ridge, tree) -> None:
    described = json.loads((ridge / "folds" / "1" / "model" / "config.json").read_text())["task"]
    assert described["dimensions"] == list(VAD)
    assert len(described["centres"]) == len(described["scales"]) == 3
    classifier = DialogueClassifier.from_pretrained(ridge / "folds" / "1" / "model")
    from dialogue_ser.corpus.readers import read_corpus

    turns = [one for one in read_corpus("iemocap", tree, "vad").split("all") if one.id.startswith("all/Ses01")]
    frame = pd.read_parquet(ridge / "predictions.parquet").query("split == 'test' and fold == '1'")
    found = classifier.predict(turns).set_index("utterance_id").loc[frame["utterance_id"]]
    for name in VAD:
        np.testing.assert_allclose(found[f"predicted_{name}"], frame[f"predicted_{name}"], atol=1e-5)
    with pytest.raises(ConfigError, match="predict_proba: the model predicts values"):
        classifier.predict_proba(turns)


def test_the_page_shows_dimensions_and_no_class(ridge, real_pictures) -> None:
    page = re.sub(r"data:image[^\"]*", "", write_crossval_report(ridge).read_text())
    for text in ("Dimension by dimension", "Largest errors", "Pearson r", "valence"):
        assert text in page
    for text in ("UA", "Confusion", "macro"):
        assert text not in page.split("<style")[0] + page.split("</style>")[1].split('id="run"')[0]
    assert (ridge / "figures" / "values.png").stat().st_size > 5000


def test_a_dialogue_model_learns_them_in_folds_too_and_compares_with_the_estimator(
    ridge, tree, store, tmp_path
) -> None:
    whole = replace(config_of(tree).data, options={"view": "dialogue"}, targets=("arousal", "valence"))
    config = config_of(
        tree,
        data=whole,
        model=ModelConfig(name="emotion-rnn", options={"party_dim": 8, "global_dim": 8, "emotion_dim": 8}),
        training=TrainingConfig(epochs=2, batch_size=4),
        crossval=CrossvalConfig(estimator="none"),
    )
    scores = cross_validate(config, tmp_path / "out", store=store)
    assert scores["dimensions"] == ["arousal", "valence"]
    assert set(scores["fold_mean"]) == {"ccc", "pearson_r", "mae", "mse"}
    again = cross_validate(replace(config, crossval=CrossvalConfig(estimator="ridge")), tmp_path / "ridge", store=store)
    found = compare([tmp_path / "ridge"], [tmp_path / "out"], metric="mae").difference
    assert found.a == pytest.approx(again["pooled"]["mae"])
    assert found.b == pytest.approx(scores["pooled"]["mae"])


def test_settings_of_the_other_task_are_refused_by_name(tree, store, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"crossval\.estimator: logistic does not learn a regression; use ridge"):
        cross_validate(config_of(tree, crossval=CrossvalConfig(estimator="logistic")), tmp_path / "a", store=store)
    with pytest.raises(CorpusError, match="has no classes, only valence, arousal, dominance; learn these"):
        cross_validate(
            config_of(tree, task="classification", loss=RunConfig().loss, training=RunConfig().training),
            tmp_path / "b",
            store=store,
        )
    unknown = replace(config_of(tree).data, targets=("valance",))
    with pytest.raises(ConfigError, match=r"data\.targets: unknown dimension 'valance'; did you mean 'valence'\?"):
        cross_validate(config_of(tree, data=unknown), tmp_path / "c", store=store)
    with pytest.raises(ConfigError, match=r"loss\.kind: nll is no loss of regression; use ccc or mse"):
        config_of(tree, loss=RunConfig().loss)
    assert not list(tmp_path.iterdir())
