"""Labels that look like mistakes give a warning that names them and the remedy; other labels give none."""

import time

import pytest
import yaml

from dialogue_ser.corpus.label_checks import label_counts, label_warnings
from dialogue_ser.corpus.label_maps import IEMOCAP_CLASSES
from dialogue_ser.corpus.readers.dailydialog import CLASSES as DAILYDIALOG
from dialogue_ser.corpus.readers.emodb import CLASSES as EMODB
from dialogue_ser.corpus.readers.emorynlp import CLASSES as EMORYNLP
from dialogue_ser.corpus.readers.meld import LABEL_SETS as MELD
from dialogue_ser.corpus.readers.ravdess import CLASSES as RAVDESS


def only_warning(counts: dict[str, int]) -> str:
    (warning,) = label_warnings(counts)
    return warning


def proposed_map(warning: str) -> dict:
    return yaml.safe_load(warning.partition("label_map ")[2].rpartition(" (")[0])


def test_spellings_are_mapped_to_the_most_frequent_one():
    warning = only_warning({"JOY": 1, "Joy": 1, "anger": 1, "joy": 3})
    assert "'joy' (3 turns), 'JOY' (1 turn), 'Joy' (1 turn)" in warning
    assert proposed_map(warning) == {"JOY": "joy", "Joy": "joy"}


@pytest.mark.parametrize(("typo", "meant"), [("angr", "anger"), ("angre", "anger"), ("surprize", "surprise")])
def test_a_rare_misspelling_is_named(typo, meant):
    assert proposed_map(only_warning({typo: 1, meant: 3, "joy": 4})) == {typo: meant}


@pytest.mark.parametrize(
    "counts",
    [
        {"anger": 30, "angr": 20},  # not rare
        {"happy": 90, "unhappy": 3},
        {"class1": 90, "class2": 1},
        {"sad": 90, "mad": 1},
        {"1": 90, "-1": 3, "10": 1, "01": 1},
        {"positive": 90, "negative": 1},
        {"anger": 30, "angr": 0},  # a class without turns
    ],
)
def test_classes_that_only_look_alike_give_no_warning(counts):
    assert list(label_warnings(counts)) == []


@pytest.mark.parametrize(
    "classes", [IEMOCAP_CLASSES, DAILYDIALOG, EMODB, EMORYNLP, RAVDESS, *(one.labels for one in MELD.values())]
)
def test_the_classes_of_the_public_corpora_give_no_warning(classes):
    for rare in classes:
        assert list(label_warnings({**dict.fromkeys(classes, 100), rare: 1})) == []


def test_cells_with_several_labels_are_left_out_or_mapped():
    warning = only_warning({"joy,surprise": 1, "['anger', 'disgust']": 1, "joy": 2, "anger": 3})
    assert "'joy,surprise' (1 turn); \"['anger', 'disgust']\" (1 turn)" in warning
    assert proposed_map(warning) == {"joy,surprise": None, "['anger', 'disgust']": None}


def test_equal_looking_letters_are_shown_by_their_escapes():
    warning = only_warning({"né": 3, "ne\u0301": 2})
    assert "'ne\\u0301' (2 turns)" in warning
    assert proposed_map(warning) == {"ne\u0301": "né"}


def test_many_mistakes_are_one_short_warning():
    warning = only_warning({f"joy,{number}": 1 for number in range(150)} | {"joy": 9})
    assert len(warning) < 1000
    assert "… and 140 more" in warning


def test_texts_in_the_column_of_labels_are_named_quickly():
    started = time.monotonic()
    assert "5,000 classes" in only_warning({f"text number {number}, and so on": 1 for number in range(5000)})
    assert time.monotonic() - started < 1


def test_classes_without_turns_are_counted():
    assert label_counts(["joy", None, "Joy"], ["joy", "anger"]) == {"joy": 1, "anger": 0, "Joy": 1}


def test_labels_that_look_like_empty_cells_are_mapped_to_null():
    warning = only_warning({"joy": 9, "nan": 2, "N/A": 1, "none": 3})
    assert proposed_map(warning) == {"nan": None, "N/A": None}
