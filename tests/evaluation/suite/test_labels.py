import pytest

from dialogue_ser.evaluation.suite.labels import equal_labels, label_problem


@pytest.mark.parametrize("label", ["a/b", "a\\b", "..", "", " a", "a:b", "a\nb", "a\u202eb", "a?", "x" * 61, "😀" * 50])
def test_what_cannot_be_a_folder_everywhere_is_no_label(label):
    assert "also the name of a folder" in label_problem(label)


@pytest.mark.parametrize("label", ["a b", "имя", "名前", "é", "bigru-2.1", "x" * 60])
def test_words_of_any_language_are_labels(label):
    assert label_problem(label) == ""


def test_labels_that_a_file_system_may_not_tell_apart_are_found():
    assert list(equal_labels(["Straße", "STRASSE", "caf\u00e9", "cafe\u0301", "other"])) == [
        ("STRASSE", "Straße"),
        ("cafe\u0301", "caf\u00e9"),
    ]
