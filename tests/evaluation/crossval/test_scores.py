import pandas as pd
import pytest

from dialogue_ser.corpus.cut import CutConfig, make_folds, select_turns
from dialogue_ser.corpus.protocols import PARTS
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.evaluation.crossval.fold_run import FoldResult
from dialogue_ser.evaluation.crossval.scores import crossval_scores, frame_of_all_folds, scenario_of
from dialogue_ser.training.config.run_config import DataConfig, RunConfig

LABELS = ("calm", "cross")


def turn(name, speaker, label, **attributes):
    return Utterance(id=f"all/{name}", speaker=speaker, label=label, attributes=attributes)


@pytest.fixture(scope="module")
def corpus():
    """Three dialogues of two speakers, the last one scripted, the others improvised. Each third turn has no label."""
    dialogues = []
    for number in "123":
        scenario = "scripted" if number == "3" else "improvised"
        who = (f"S{number}F", f"S{number}M", f"S{number}F", f"S{number}M")
        labels = ("calm", "cross", None, "calm")
        turns = (
            turn(f"d{number}_{i}", speaker, label, session=number, scenario=scenario)
            for i, (speaker, label) in enumerate(zip(who, labels, strict=True))
        )
        dialogues.append(Dialogue(f"all/d{number}", tuple(turns)))
    label_set = LabelSet("emotion", LABELS)
    return Corpus(name="x", label_set=label_set, splits={"all": tuple(dialogues)}, warnings=("odd",))


def results_of(corpus, protocol):
    """Return results of folds that predict calm for every turn."""
    dialogues = corpus.splits["all"]
    results = []
    for fold in make_folds(protocol, dialogues):
        rows = [
            {"split": part, "dialogue_id": d.id, "utterance_id": t.id, "turn": place, "speaker": t.speaker,
             "text": "", "gold": t.label, "predicted": "calm", "p_calm": 0.9, "p_cross": 0.1}
            for part in ("dev", "test")
            for d in select_turns(dialogues, getattr(fold, part))
            for place, t in enumerate(d)
        ]  # fmt: skip
        results.append(FoldResult(fold=fold, frame=pd.DataFrame(rows), chosen={"best_epoch": 1}, seconds=0.5))
    return results


def scored(corpus, protocol, reader="iemocap"):
    config = RunConfig(name="x", data=DataConfig(reader=reader, cut=CutConfig(protocol=protocol)))
    results = results_of(corpus, protocol)
    return crossval_scores(config, corpus, results, frame_of_all_folds(results, corpus.splits["all"]))


def test_turns_keep_their_place_in_the_whole_dialogue_when_a_fold_cuts_it(corpus):
    frame = frame_of_all_folds(results_of(corpus, "leave-one-speaker-out-partner-dev"), corpus.splits["all"])
    own = frame[(frame["fold"] == "S1M") & (frame["split"] == "test")]
    assert own["utterance_id"].tolist() == ["all/d1_1", "all/d1_3"]
    assert own["turn"].tolist() == [1, 3]


def test_what_one_must_know_to_believe_the_scores_stands_beside_them(corpus):
    scores = scored(corpus, "leave-one-speaker-out-partner-dev")
    assert scores["scenario"] == "mixed"
    assert scores["utterances"] == {"all": 12, "tested": 12}
    assert scores["cut_dialogues"] == 3
    assert scores["notes"] == ["odd"]
    assert scores["pooled"]["accuracy"] == pytest.approx(6 / 9)
    whole = scored(corpus, "leave-one-session-out")
    assert (whole["cut_dialogues"], whole["utterances"]["tested"]) == (0, 12)
    assert len(whole["published"]) == 32
    assert scored(corpus, "leave-one-session-out", reader="table")["published"] == []


def test_sessions_and_scenarios_have_scores_of_their_own(corpus):
    attributes = scored(corpus, "leave-one-session-out")["attributes"]
    assert attributes.keys() == {"session", "scenario"}
    assert {name: row["n"] for name, row in attributes["scenario"].items()} == {"improvised": 6, "scripted": 3}
    assert attributes["session"]["2"]["accuracy"] == pytest.approx(2 / 3)


def test_folds_count_their_classes(corpus):
    first = scored(corpus, "leave-one-speaker-out-partner-dev")["folds"][0]
    assert first["name"] == "S1F"
    assert first["utterances"] == {"train": 8, "dev": 2, "test": 2}
    assert first["labels"] == {
        "train": {"calm": 4, "cross": 2}, "dev": {"calm": 1, "cross": 1}, "test": {"calm": 1, "cross": 0}
    }  # fmt: skip
    assert first["speakers"] == {"train": ["S2F", "S2M", "S3F", "S3M"], "dev": ["S1M"], "test": ["S1F"]}
    assert sum(first["utterances"][part] for part in PARTS) == len(list(utterances(corpus.splits["all"])))


def test_a_corpus_of_one_scenario_is_called_by_it(corpus):
    turns = list(utterances(corpus.splits["all"]))
    assert scenario_of(turns[:8]) == "improvised"
    assert scenario_of(turns[8:]) == "scripted"
    assert scenario_of([Utterance(id="a", speaker="b")]) == ""
