"""The same dialogue in two splits, and the same audio under several ids, are counted and named in one warning."""

from pathlib import Path

import pytest

from dialogue_ser.corpus.duplicates import repeated_audio, repeated_dialogues
from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance


def corpus_of(**splits: list[list[str | None]]) -> Corpus:
    """Make a corpus from split → dialogues → texts. Each dialogue has speakers of its own."""
    made = {
        split: tuple(
            Dialogue(
                f"{split}/d{number}",
                tuple(
                    Utterance(id=f"{split}/d{number}_utt{place}", speaker=f"{split}{number}", text=text, label="joy")
                    for place, text in enumerate(texts)
                ),
            )
            for number, texts in enumerate(dialogues)
        )
        for split, dialogues in splits.items()
    }
    return Corpus(name="own", label_set=LabelSet("emotion", ("joy", "anger")), splits=made)


def with_audio(*clips: tuple[str, AudioRef, str]) -> Corpus:
    """Make a corpus of single turns from split, audio and label."""
    splits: dict[str, tuple[Dialogue, ...]] = {}
    for number, (split, audio, label) in enumerate(clips):
        turn = Utterance(id=f"{split}/{number}", speaker="A", audio=audio, label=label)
        splits[split] = (*splits.get(split, ()), Dialogue(turn.id, (turn,)))
    return Corpus(name="own", label_set=LabelSet("emotion", ("joy", "anger")), splits=splits)


def test_a_dialogue_in_two_splits_is_named_whatever_its_case_punctuation_and_speakers():
    corpus = corpus_of(train=[["Hey.", "Hey!"], ["Other."]], dev=[["New."]], test=[["hey", "HEY …"], ["Mine."]])
    (warning,) = repeated_dialogues(corpus)
    assert warning.startswith(
        "test: 1 of 2 dialogues has the same texts as a dialogue of train, with other case or punctuation "
        "(test/d0 = train/d0, 2 turns)"
    )


def test_each_two_splits_have_one_warning():
    same: list[list[str | None]] = [[f"Text number {number}"] for number in range(9)]
    first, second, third = repeated_dialogues(corpus_of(train=same, dev=same, test=same[:3]))
    assert first.startswith(
        "dev: 9 of 9 dialogues have the same texts as dialogues of train (dev/d0 = train/d0, 1 turn"
    )
    assert "; … 4 more)" in first
    assert second.startswith("test: 3 of 3 dialogues have the same texts as dialogues of train (")
    assert third.startswith("test: 3 of 3 dialogues have the same texts as dialogues of dev (")


@pytest.mark.parametrize(
    "splits",
    [
        {"train": [["Hey."], ["Hey."]]},  # one split
        {"train": [["Hey.", "You."]], "test": [["Hey."], ["You.", "Hey."]]},  # a part, another order
        {"train": [[None], ["?!"]], "test": [[None], ["..."]]},  # no words are equal
    ],
)
def test_other_dialogues_give_no_warning(splits):
    assert list(repeated_dialogues(corpus_of(**splits))) == []


@pytest.fixture
def clips(tmp_path) -> Path:
    for name, content in {"a": b"same", "b": b"same", "c": b"else", "d": b"longer"}.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
    return tmp_path


def test_equal_files_and_equal_spans_are_one_warning_and_those_in_two_splits_come_first(clips):
    a, b, c, d = (AudioRef(clips / f"{name}.wav") for name in "abcd")
    (warning,) = repeated_audio(
        with_audio(
            ("train", d, "joy"), ("train", d, "anger"), ("train", a, "joy"), ("test", b, "joy"), ("test", c, "joy")
        )
    )
    assert warning == (
        "2 clips are the audio of several utterances, 1 of them in several splits, 1 of them with different labels: "
        "train/2 = test/3 (a.wav, b.wav); train/0 = train/1 (d.wav)"
    )


def test_other_spans_of_one_file_are_other_audio(clips):
    whole, first, second = (AudioRef(clips / "a.wav", *span) for span in ((None, None), (0.0, 1.0), (1.0, 2.0)))
    assert list(repeated_audio(with_audio(*(("train", one, "joy") for one in (whole, first, second))))) == []
    start = AudioRef(clips / "b.wav", None, 1.0)  # the same beginning of an equal file
    assert len(list(repeated_audio(with_audio(("train", first, "joy"), ("train", start, "joy"))))) == 1


def test_only_files_of_equal_size_are_read(clips, monkeypatch):
    read = []
    monkeypatch.setattr("dialogue_ser.corpus.duplicates.file_sha256", lambda path: read.append(path.name) or "hash")
    list(repeated_audio(with_audio(*(("train", AudioRef(clips / f"{name}.wav"), "joy") for name in "abd"))))
    assert read == ["a.wav", "b.wav"]


def test_files_that_cannot_be_read_are_left_to_decoding(clips):
    gone = [("train", AudioRef(clips / f"{name}.wav"), "joy") for name in ("gone", "missing")]
    assert list(repeated_audio(with_audio(*gone))) == []
