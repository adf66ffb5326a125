"""Counts over a split."""

from pathlib import Path

from dialogue_ser.corpus.counts import ValueSpread, count_split, histogram
from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance


def test_counts_of_a_small_split():
    long = Dialogue(
        "train/a",
        (
            Utterance(id="train/a_0", speaker="Ann", text="one two three", label="joy"),
            Utterance(id="train/a_1", speaker="Bob", label="joy", audio=AudioRef(Path("a.wav"))),
            Utterance(id="train/a_2", speaker="Bob", text="one"),
        ),
    )
    short = Dialogue("train/b", (Utterance(id="train/b_0", speaker="Cy", text="one two", label="anger"),))
    counts = count_split((short, long))
    assert (counts.dialogues, counts.turns, counts.longest, counts.most_speakers) == (2, 4, "train/a", 2)
    assert counts.labels == {"joy": 2, "anger": 1}
    assert list(counts.speakers.items()) == [("Bob", 2), ("Ann", 1), ("Cy", 1)]
    assert (counts.dialogue_turns, counts.words) == ((1, 3), (1, 2, 3))
    assert (counts.with_text, counts.with_audio) == (3, 1)


def test_values_are_counted_by_dimension():
    annotated = ({"valence": 1.0, "arousal": 2.0}, {"valence": 4.0}, {})
    turns = [Utterance(id=f"train/{i}", speaker="Ann", targets=targets) for i, targets in enumerate(annotated)]
    counts = count_split([Dialogue(turn.id, (turn,)) for turn in turns])
    assert counts.with_targets == 2
    assert counts.targets == {
        "valence": ValueSpread(n=2, mean=2.5, std=1.5, smallest=1.0, largest=4.0),
        "arousal": ValueSpread(n=1, mean=2.0, std=0.0, smallest=2.0, largest=2.0),
    }


def test_histograms_count_every_value_once():
    values = [1, 1, 5, 24, 33]
    assert sum(count for _, count in histogram(values)) == len(values)
    assert histogram([1, 1, 1]) == [("1", 3)]
