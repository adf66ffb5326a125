"""What cannot be trained is told before anything is written."""

from dataclasses import replace
from pathlib import Path

import pytest

from dialogue_ser.corpus.schema import Corpus, Dialogue
from dialogue_ser.errors import CorpusError
from dialogue_ser.training import prepare
from dialogue_ser.training.run import train


def bare(corpus: Corpus, *splits: str, votes: bool = False) -> Corpus:
    """The corpus with the labels of some splits taken away, or turned into a tie of votes."""

    def without(dialogue: Dialogue) -> Dialogue:
        tie = {"calm": 1.0, "glad": 1.0} if votes else None
        return replace(dialogue, utterances=tuple(replace(turn, label=None, votes=tie) for turn in dialogue))

    return replace(
        corpus,
        splits={
            name: tuple(map(without, dialogues)) if name in splits else dialogues
            for name, dialogues in corpus.splits.items()
        },
    )


def test_splits_without_labels_are_named_and_nothing_is_written(tiny, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(prepare, "read_corpus", lambda *_, **__: bare(tiny.read_tiny(), "train", "dev"))
    with pytest.raises(CorpusError) as caught:
        train(tiny.tiny_config(), tmp_path / "run")
    first, second = caught.value.problems
    assert "no turn of split 'train' is labelled" in first
    assert "no turn of split 'dev' is labelled" in second
    assert not (tmp_path / "run").exists()


def test_votes_are_labels_to_learn_from_only_where_labels_are_soft(tiny, monkeypatch) -> None:
    monkeypatch.setattr(prepare, "read_corpus", lambda *_, **__: bare(tiny.read_tiny(), "train", votes=True))
    config = tiny.tiny_config(**{"loss.soft_labels": True})
    assert len(prepare.load_data(config).train) == 19
    with pytest.raises(CorpusError, match="split 'train'"):
        prepare.load_data(tiny.tiny_config())
