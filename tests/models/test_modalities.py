"""Which input belongs to which modality, and what a system says when one is missing."""

import pytest

from dialogue_ser.models.modalities import by_kind, kind_of, say_missing


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text", "text"),
        ("text2", "text"),
        ("words", "text"),
        ("audio", "audio"),
        ("Speech_emotion", "audio"),
        ("video", "visual"),
        ("visual", "visual"),
        ("face", "visual"),
        ("praat", "praat"),
        ("context", "context"),
    ],
)
def test_the_beginning_of_a_name_says_the_modality(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_inputs_of_one_modality_keep_their_order() -> None:
    found = by_kind(["text10", "audio", "text2", "text"])
    assert found == {"text": ["text10", "text2", "text"], "audio": ["audio"]}
    assert list(found) == ["text", "audio"]


def test_a_system_names_what_the_run_lacks_and_what_it_does_instead(caplog: pytest.LogCaptureFixture) -> None:
    say_missing("mmgcn", ["audio", "visual", "text"], ["text1", "praat"], "it uses text alone")
    assert caplog.messages == ["model mmgcn: the run has no audio and no visual features, so it uses text alone"]


def test_nothing_is_said_if_nothing_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    say_missing("mmgcn", ["audio", "text"], ["text1", "audio"], "it uses text alone")
    assert caplog.messages == []
