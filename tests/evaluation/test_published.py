from collections import Counter

import pytest

from dialogue_ser.corpus.protocols import FOLDS
from dialogue_ser.corpus.readers import READERS
from dialogue_ser.evaluation.published import READ, SCORES, published_rows, published_rows_for
from dialogue_ser.training.config.presets import preset_names

# Per cent as the documents print them, copied by hand. E3: WA, UA in the order of its tables.
E3 = {
    "improvised": "72.08 58.53  70.05 63.27  69.56 54.62  72.34 58.31  71.3 61.6  68.8 59.4  63.8 62.85",
    "scripted": "63.04 52.73  68.56 60.37  67.12 59.02",
    "mixed": "70.82 55.53  62.03 51.96  65.05 58.39  68.11 63.15",
}
E2 = {"ICON": "58.3 50.7 63.8", "bc-LSTM": "73.6 57.1 75.6", "own": "72.4 47.8 76.9"}


def of(document):
    return [row for row in published_rows() if row.document == document]


def percent(value):
    return pytest.approx([float(number) for number in value.split()])


def test_e1_prints_four_scores_with_their_spread_for_two_models():
    quoted, own = of("E1")
    assert (quoted.is_quoted, own.is_quoted) == (True, False)
    for row, text in (
        (quoted, "73.23 4.07 74.26 4.22 73.23 4.07 73.7 4"),
        (own, "65.56 2.07 66.34 2.52 64.31 2.14 66.23 1.32"),
    ):
        assert list(row.scores) == ["wa", "precision", "recall", "f05"]
        assert [100 * number for pair in row.scores.values() for number in pair] == percent(text)
        assert (row.classes, row.protocol, row.scenario) == (4, "leave-one-speaker-out-partner-dev", "")


def test_e2_prints_accuracy_of_text_audio_and_both_for_three_systems():
    modalities = [("text",), ("audio",), ("audio", "text")]
    for system, text in E2.items():
        rows = [row for row in of("E2") if (row.system == system if row.is_quoted else system == "own")]
        assert [row.modalities for row in rows] == modalities
        assert [100 * row.scores["wa"][0] for row in rows] == percent(text)
        assert {row.classes for row in rows} == {5 if system == "own" else None}


def test_e3_prints_wa_and_ua_by_scenario():
    for scenario, text in E3.items():
        rows = [row for row in of("E3") if row.scenario == scenario]
        assert [100 * row.scores[name][0] for row in rows for name in ("wa", "ua")] == percent(text)
        assert all(row.protocol == "" for row in rows)


def test_e4_prints_one_accuracy_for_ten_emotions_and_quotes_two():
    row, *quoted = of("E4")
    assert dict(row.scores) == {"wa": (0.35, None)}
    assert (row.classes, row.is_quoted) == (10, False)
    assert "200 utterances" in row.system
    assert [100 * one.scores["wa"][0] for one in quoted] == percent("88.2 91.2")
    assert {(one.is_quoted, one.classes, one.scenario) for one in quoted} == {(True, None, "")}


def test_rows_name_what_the_package_knows():
    rows = published_rows()
    six = {"DialogueGCN": 1, "DialogueCRN": 1, "COSMIC": 1, "SACL": 1}  # the documents on dialogues have six classes
    found = Counter(row.document for row in rows if row.corpus == "iemocap")
    assert found == {"E1": 2, "E2": 9, "E3": 14, "E4": 3, **six}
    assert {row.protocol for row in rows} - {""} <= set(FOLDS)
    assert all(row.scores.keys() <= SCORES.keys() for row in rows)
    assert {row.corpus for row in rows} <= set(READERS)
    assert {row.read for row in rows} <= set(READ)
    assert {row.epoch for row in rows} <= {"", "dev", "test"}
    assert {row.preset for row in rows} - {""} <= set(preset_names())
    assert all(0 < value < 1 for row in rows for value, _ in row.scores.values())


def test_numbers_on_meld_say_what_was_read_and_which_epoch_was_kept():
    rows = [row for row in published_rows() if row.corpus == "meld"]
    assert all(row.features and row.modalities and row.classes in (3, 7) for row in rows)
    by_name = {row.system: row for row in rows}
    assert dict(by_name["TextSimple"].scores) == {"weighted_f1": (0.564, None), "wa": (0.5207, None)}
    large = [row for row in rows if row.document == "EmoBERTa"]
    assert [row.scores["weighted_f1"][0] for row in large] == [0.6346, 0.6455, 0.6423, 0.6561, 0.6507]
    assert {(row.epoch, row.features) for row in large} == {("dev", "text, RoBERTa-large trained")}
    assert by_name["EmotionFlow-base"].scores["weighted_f1"] == (0.6505, None)
    assert {by_name[name].epoch for name in ("M3NET", "GraphSmile", "SDT")} == {"test"}


def test_rows_beside_a_run_are_those_of_its_corpus_its_conditions_first():
    rows = published_rows_for("iemocap", 4, "scripted")
    assert len(rows) == 32
    assert [row["same_conditions"] for row in rows] == [True] * 5 + [False] * 27  # E1 states no scenario
    assert {row["scenario"] for row in rows[:5]} == {"", "scripted"}
    assert rows[0]["scores"]["wa"] == {"value": 0.7323, "std": 0.0407}
    assert published_rows_for("nemo", 6, "") == []


def test_documents_on_dialogues_of_iemocap_have_six_classes_and_say_where_the_number_was_read():
    rows = [row for row in published_rows_for("iemocap", 6, "mixed") if row["same_conditions"]]
    found = {row["document"]: (100 * row["scores"]["weighted_f1"]["value"], row["read"]) for row in rows}
    assert {name: score for name, (score, _) in found.items()} == pytest.approx(
        {"DialogueGCN": 64.18, "DialogueCRN": 67.53, "COSMIC": 65.3, "SACL": 69.22}
    )
    assert {read for _, read in found.values()} == {"listing", "readme"}
