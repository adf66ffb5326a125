"""E1 to E4 (docs/equations.md): a generated, odd IEMOCAP goes through their protocols, counted by hand.

The turns stand in tests/support/synthetic_iemocap.py. On top of them: two turns without sound, a transcript that
lacks a line, votes for no class, a file with CRLF and trailing blanks. None of that may move a turn to another
class, part or fold.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.corpus.protocols import FOLDS, PARTS
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.run_config import CrossvalConfig, DataConfig, FeatureConfig, RunConfig

SILENT = ("Ses01F_impro01_F001", "Ses03M_script01_1_M002")  # sad and neutral
PARTNER, SESSIONS = "leave-one-speaker-out-partner-dev", "leave-one-session-out"
SPEAKERS = [f"Ses0{session}{sex}" for session in range(1, 6) for sex in "FM"]


@register_encoder("test-loudness-by-band", modality="audio")
def loudness_by_band(waveforms, sample_rate_hz):
    power = [np.abs(np.fft.rfft(wave, 4096)) ** 2 for wave in waveforms]
    return np.array([[np.log(1e-9 + band.mean()) for band in np.array_split(one[:512], 24)] for one in power])


@pytest.fixture(scope="module")
def tree(tmp_path_factory, write_iemocap) -> Path:
    folder = write_iemocap(tmp_path_factory.mktemp("iemocap"), missing=SILENT)
    evaluations, transcripts = "dialog/EmoEvaluation", "dialog/transcriptions"
    _change(folder / "Session2" / evaluations / "Ses02F_impro01.txt", "C-E1:\tSadness;", "C-E1:\tPride;")
    _change(folder / "Session3" / evaluations / "Ses03F_impro01.txt", "\n", "  \r\n")
    _change(folder / "Session4" / transcripts / "Ses04F_impro01.txt", "Ses04F_impro01_M001 [", "M001 [")
    return folder


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    return FeatureStore(tmp_path_factory.mktemp("store"))


def config_of(data: DataConfig, protocol: str) -> RunConfig:
    return RunConfig(
        data=replace(data, on_bad="mask", cut=CutConfig(protocol=protocol)),
        features={"audio": FeatureConfig(encoder="test-loudness-by-band", transforms=("impute", "standardise"))},
        crossval=CrossvalConfig(estimator="logistic", inverse_regularisation=(1.0,)),
    )


def iemocap(tree: Path, labels: str, scenario: str) -> DataConfig:
    return DataConfig(reader="iemocap", path=str(tree), labels=labels, options={"scenario": scenario})


def counts_of(scores) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Fold → turns of every class, in the classes' order, in train, dev and test."""
    return {fold["name"]: tuple(tuple(fold["labels"][part].values()) for part in PARTS) for fold in scores["folds"]}


def sessions(each: tuple[int, ...], last: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return folds by session. The first four sessions are alike. Dev is the next one, train the other three."""
    alike = tuple(3 * n for n in each)
    with_last = tuple(2 * n + m for n, m in zip(each, last, strict=True))
    return dict.fromkeys("123", (with_last, each, each)) | {"4": (alike, last, each), "5": (alike, each, last)}


# Classes in order: happy (with excited), sad, neutral, anger. Every speaker has as many improvised turns of each.
IMPROVISED = ((16, 8, 8, 8), (2, 1, 1, 1), (2, 1, 1, 1))
WOMAN, MAN, TEACHERS = (3, 2, 2, 2), (4, 2, 2, 2), (28, 16, 16, 16)
MIXED = {name: (TEACHERS, MAN, WOMAN) if name.endswith("F") else (TEACHERS, WOMAN, MAN) for name in SPEAKERS}
# … and frustrated: 115 turns, of which 80.5, 23 and 11.5.
SHARES = ((25, 14, 14, 14, 14), (7, 4, 4, 4, 4), (3, 2, 2, 2, 2))
# happy, sad, neutral, anger, excited, frustrated, surprise, fear, disgust, other; the last two are in session 5 only.
TEN, TEN_AND_RARE = (4, 4, 4, 4, 3, 4, 1, 1, 0, 0), (4, 4, 4, 4, 3, 4, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("document", "protocol", "labels", "scenario", "expected"),
    [
        ("E1", PARTNER, "4-class", "improvised", dict.fromkeys(SPEAKERS, IMPROVISED)),
        ("E1", PARTNER, "4-class", "mixed", MIXED),
        ("E2", "stratified-70-20-10", "5-class", "mixed", {"70-20-10": SHARES}),
        ("E3", SESSIONS, "4-class", "improvised", sessions((4, 2, 2, 2), (4, 2, 2, 2))),
        ("E3", SESSIONS, "4-class", "scripted", sessions((3, 2, 2, 2), (3, 2, 2, 2))),
        ("E3", SESSIONS, "4-class", "mixed", sessions((7, 4, 4, 4), (7, 4, 4, 4))),
        ("E4", SESSIONS, "10-class", "mixed", sessions(TEN, TEN_AND_RARE)),
        ("none", "session-5", "10-class", "mixed", {"5": sessions(TEN, TEN_AND_RARE)["5"]}),
        ("none", "leave-one-speaker-out", "4-class", "improvised", dict.fromkeys(SPEAKERS, IMPROVISED)),
    ],
)
def test_every_fold_of_every_document_has_its_emotions(
    tree, store, tmp_path, document, protocol, labels, scenario, expected
):
    scores = cross_validate(config_of(iemocap(tree, labels, scenario), protocol), tmp_path / "out", store=store)
    assert counts_of(scores) == expected
    n_tested = sum(sum(parts[2]) for parts in expected.values())
    assert scores["pooled"]["n"] == scores["utterances"]["tested"] == n_tested
    assert [sum(row) for row in scores["pooled"]["confusion"]] == list(
        np.sum([parts[2] for parts in expected.values()], axis=0)
    )
    assert scores["pooled"]["accuracy"] > 0.5  # pitch tells the emotion
    assert scores["scenario"] == scenario
    if FOLDS[protocol].tests_all:  # silent turns are scored like all others
        frame = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
        tested = {name.removeprefix("all/") for name in frame.loc[frame["split"] == "test", "utterance_id"]}
        asked = [name for name in SILENT if scenario == "mixed" or ("impro" in name) == (scenario == "improvised")]
        assert set(asked) <= tested
        assert any(note.startswith(f"{len(asked)} turns have no clip") for note in scores["notes"])


@pytest.mark.parametrize(
    ("preset", "labels", "scenario", "protocol"),
    [
        ("source-fusion-attention", "4-class", "mixed", PARTNER),
        ("source-bert-vgg", "5-class", "mixed", "stratified-70-20-10"),
        ("source-asr-attention", "4-class", "improvised", SESSIONS),
        ("source-asr-attention-acoustic", "4-class", "improvised", SESSIONS),
        ("source-asr-attention-linguistic", "4-class", "improvised", SESSIONS),
        ("source-alexnet-bert", "10-class", "mixed", SESSIONS),
    ],
)
def test_the_documents_presets_ask_for_what_is_counted_here(preset, labels, scenario, protocol):
    config = load_preset(preset)
    assert (config.data.reader, config.data.labels) == ("iemocap", labels)
    assert config.data.options.get("scenario", "mixed") == scenario
    assert (config.data.cut.protocol, config.crossval.estimator) == (protocol, "none")


def test_odd_lines_are_told_and_change_no_class(tree):
    corpus = read_corpus("iemocap", tree, "10-class", on_bad="mask", view="dialogue")
    told = "\n".join(corpus.warnings)
    assert "2 votes are for no class and do not count (Session2/" in told  # of both turns that are sad
    assert "1 turns have no transcript (Ses04F_impro01_M001)" in told
    assert "2 turns have no clip and are masked" in told
    turns = {turn.id.removeprefix("all/"): turn for turn in utterances(corpus.split("all"))}
    assert turns["Ses02F_impro01_F001"].votes == {"sad": 2}
    assert (turns["Ses04F_impro01_M001"].text, turns["Ses04F_impro01_M001"].label) == (None, "happy")
    assert {name for name, turn in turns.items() if turn.audio is None} == set(SILENT)
    first, second, third, fourth = (turns[f"Ses03F_impro01_{name}"] for name in ("F000", "M000", "F001", "M001"))
    assert [turn.votes for turn in (first, second, third)] == [
        {"neutral": 3},
        {"anger": 2, "frustrated": 1},
        {"sad": 3},
    ]
    assert fourth.votes == {"happy": 2, "excited": 1}
    assert (third.start_seconds, third.end_seconds, fourth.start_seconds) == (4.5, 5.0, 4.75)  # they overlap


AUDFORMAT = """file,start,end,emotion
audio/a.wav,0 days 00:00:00,0 days 00:00:01,high-arousal
audio/a.wav,0 days 00:00:01,0 days 00:00:02,low-arousal
audio/a.wav,0 days 00:00:02,NaT,neutral
audio/b.wav,0 days 00:00:00,0 days 00:00:01.000000,high-arousal
audio/b.wav,0 days 00:00:01,,
"""


def test_what_was_learnt_on_iemocap_is_tested_on_segments_in_audformat(tree, store, tmp_path, iemocap_facts):
    """The second corpus of E4, BioS-DB, cut into segments. Its anger and sadness mean high and low arousal."""
    (tmp_path / "audio").mkdir()
    tones = {"a": ("ang", "sad", "neu"), "b": ("ang", "neu", "neu")}
    for name, codes in tones.items():
        sound = np.concatenate([iemocap_facts.tone(code, 3, 0, 1.0) for code in codes])
        iemocap_facts.write_wav(tmp_path / "audio" / f"{name}.wav", sound)
    (tmp_path / "db.segments.csv").write_text(AUDFORMAT)
    table = {"fractions": {"all": 1.0}, "label_map": {"high-arousal": "anger", "low-arousal": "sadness"}}
    options = {
        "train": {"reader": "iemocap", "path": str(tree), "labels": "shared-4", "options": {"scenario": "improvised"}},
        "test": {"reader": "table", "path": str(tmp_path / "db.segments.csv"), "options": table},
    }
    config = config_of(DataConfig(reader="cross-corpus", labels="arousal", options=options), "own-splits")
    scores = cross_validate(config, tmp_path / "out", store=store)
    assert scores["labels"] == ["anger", "neutral", "sadness"]  # nobody is happy in the second corpus
    assert counts_of(scores) == {"own-splits": ((8, 8, 8), (2, 2, 2), (2, 1, 1))}
    assert scores["pooled"]["accuracy"] == 1.0
    assert any("turns with labels that are not in the map: happiness 16" in note for note in scores["notes"])
