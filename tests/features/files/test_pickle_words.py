import numpy as np
import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.files.pickle_layouts import PickledTurn
from dialogue_ser.features.files.pickle_words import Comparison, Labels, Words, comparable, monotone_pairs


def row(text: str, label: str | None = None) -> PickledTurn:
    return PickledTurn(key=None, dialogue="0", position=0, text=text, split=None, rows={}, label=label)


def spoken(*turns: str) -> Dialogue:
    """Return a dialogue of turns ``text`` or ``text/label``."""
    parts = [turn.partition("/")[::2] for turn in turns]
    made = (Utterance(id=f"d{i}", speaker="A", text=text, label=label or None) for i, (text, label) in enumerate(parts))
    return Dialogue("d", tuple(made))


def pairs(rows: list[PickledTurn], dialogue: Dialogue, labels: Labels | None = None) -> dict[int, int]:
    comparison = Comparison(labels or Labels())
    return comparison.pairs(rows, Words.of(r.text for r in rows), dialogue, Words.of(t.text for t in dialogue))


def test_a_monotone_pairing_is_the_best_one_and_only_what_all_best_ones_share_is_certain():
    rng = np.random.default_rng(0)
    for _ in range(60):
        weights = rng.integers(0, 3, (rng.integers(1, 5), rng.integers(1, 5)))
        every = [(0, frozenset())]
        for n in range(weights.shape[0]):
            more = [
                (total + weights[n, m], chain | {(n, m)})
                for total, chain in every
                for m in range(weights.shape[1])
                if weights[n, m] and all(m > other for _, other in chain)
            ]
            every += more
        best = max(total for total, _ in every)
        shared = frozenset.intersection(*(chain for total, chain in every if total == best))
        assert monotone_pairs(weights) == (best, dict(sorted(shared)))


def test_rows_are_paired_by_words_and_a_word_with_two_places_stays_alone():
    dialogue = spoken("Yes", "Yes!", "No", "Maybe")
    assert pairs([row("yes"), row("no"), row("maybe")], dialogue) == {1: 2, 2: 3}
    assert pairs([row("yes"), row("yes"), row("no")], dialogue) == {0: 0, 1: 1, 2: 2}
    assert pairs([row("yes"), row("what"), row("no"), row("maybe")], dialogue) == {0: 0, 2: 2, 3: 3}, "none left out"


def test_a_dialogue_of_thousands_of_turns_is_paired_with_the_same_one_and_never_slowly_with_another():
    texts = [str(i % 7) for i in range(3000)]
    assert pairs([row(text) for text in texts], spoken(*texts)) == {n: n for n in range(3000)}
    assert pairs([row(text) for text in texts], spoken(*texts[:-1])) == {}


def test_a_label_that_stands_for_another_one_forbids_a_pair_and_may_decide_between_two():
    labels = Labels({"0": "calm", "1": "glad"})
    dialogue = spoken("Yes/calm", "Yes/glad", "No/calm")
    assert pairs([row("yes", "1"), row("no", "0")], dialogue, labels) == {0: 1, 1: 2}
    assert pairs([row("yes", "0"), row("no", "1")], dialogue, labels) == {0: 0}
    assert pairs([row("yes", "7"), row("no", None)], dialogue, labels) == {1: 2}, "7 has no meaning"


@pytest.mark.parametrize(
    ("counts", "meaning"),
    [
        ({("0", "calm"): 9, ("1", "glad"): 3}, {"0": "calm", "1": "glad"}),
        ({("0", "calm"): 95, ("0", "glad"): 5, ("1", "glad"): 1}, {"0": "calm"}),  # one row proves nothing
        ({("0", "calm"): 5, ("0", "glad"): 5}, {}),  # they do not agree
        ({("0", "calm"): 90, ("1", "glad"): 6, ("1", "cross"): 4}, {"0": "calm"}),  # 1 joins two labels
    ],
)
def test_labels_are_learnt_only_if_both_sides_agree(counts, meaning):
    every = [pair for pair, n in counts.items() for _ in range(n)]
    seen = [(row("x", ours), Utterance(id="u", speaker="A", label=theirs)) for ours, theirs in every]
    assert dict(Labels.learnt(seen).meaning) == meaning


def test_words_are_compared_without_case_signs_accents_and_wrong_encodings():
    assert comparable("It’s HERE!") == comparable("it's here")
    assert comparable("adiós") == comparable("adiós".encode().decode("latin1")) == comparable("adio\u0301s")
    assert comparable("你好。") == comparable("你好") != comparable("你们")
    assert comparable("...") != comparable("?")
