"""After downsampling every class has the same number of labelled turns, and dialogues keep all their turns."""

from collections import Counter

import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import CorpusError
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.data.balance import downsample
from dialogue_ser.training.run import train


def _alone(*labels: str | None) -> list[Dialogue]:
    """Return dialogues of one turn each."""
    return [
        Dialogue(f"d{i}", (Utterance(id=f"u{i}", speaker="Ann", label=label, votes={"a": 1.0}),))
        for i, label in enumerate(labels)
    ]


def test_every_class_has_as_many_turns_as_the_rarest_had() -> None:
    found = downsample(_alone(*"aaaaaaa", *"bb", *"ccc", None), seed=1)
    assert Counter(turn.label for turn in utterances(found.dialogues)) == {"a": 2, "b": 2, "c": 2}
    assert found.to_dict() == {
        "before": {"a": 7, "b": 2, "c": 3}, "after": {"a": 2, "b": 2, "c": 2}, "dropped_dialogues": 7
    }  # fmt: skip
    assert [turn.votes for turn in utterances(found.dialogues)] == [{"a": 1.0}] * 6


def test_a_surplus_turn_of_a_dialogue_stays_without_label_and_votes() -> None:
    turns = tuple(
        Utterance(id=f"u{i}", speaker="Ann", text=str(i), label=label, votes={"a": 2.0})
        for i, label in enumerate(("a", "a", "b", None))
    )
    found = downsample([Dialogue("d", turns), *_alone("b")[:0]], seed=1)
    [dialogue] = found.dialogues
    assert [turn.text for turn in dialogue] == ["0", "1", "2", "3"]
    labels = [turn.label for turn in dialogue]
    assert sorted(label for label in labels if label) == ["a", "b"]
    assert [turn.votes is None for turn in dialogue] == [label is None for label in labels]
    assert found.n_dropped == 0


def test_a_dialogue_without_labelled_turns_is_dropped_at_any_length() -> None:
    pair = Dialogue("pair", (Utterance(id="x", speaker="Ann"), Utterance(id="y", speaker="Bo", votes={"a": 1.0})))
    found = downsample([pair, *_alone("a", "b")], seed=1)
    assert [dialogue.id for dialogue in found.dialogues] == ["d0", "d1"]
    assert found.n_dropped == 1


def test_the_seed_draws_and_the_same_seed_draws_the_same() -> None:
    dialogues = _alone(*"a" * 40, *"bbbb")
    kept = [tuple(one.id for one in downsample(dialogues, seed).dialogues) for seed in (1, 1, 2)]
    assert kept[0] == kept[1] != kept[2]
    everything = {one.id for seed in range(80) for one in downsample(dialogues, seed).dialogues}
    assert everything == {one.id for one in dialogues}, "any turn may stay"


def test_without_any_label_there_is_nothing_to_balance() -> None:
    with pytest.raises(CorpusError, match=r"training\.balance: no training turn has a label"):
        downsample(_alone(None), seed=1)


def test_a_run_learns_from_the_balanced_turns_alone_and_records_the_counts(tiny, tmp_path) -> None:
    config = tiny.tiny_config(**{"training.epochs": 1, "training.balance": "downsample"})
    run = train(config, tmp_path / "run")
    corpus = tiny.read_tiny()
    counts = Counter(turn.label for turn in utterances(corpus.split("train")) if turn.label)
    summary = RunFiles(run.folder).summary
    assert summary["balance"]["before"] == counts
    assert len(set(counts.values())) > 1
    assert summary["balance"]["after"] == dict.fromkeys(sorted(counts), min(counts.values()))
    frame = RunFiles(run.folder).predictions.split("train").frame
    assert Counter(frame["gold"].dropna()) == counts, "what is predicted and scored stays whole"
    steps = [row for row in RunFiles(run.folder).history if row["kind"] == "step"]
    n_dialogues = len(corpus.split("train")) - summary["balance"]["dropped_dialogues"]
    assert len(steps) == -(-n_dialogues // 4) < -(-len(corpus.split("train")) // 4)
