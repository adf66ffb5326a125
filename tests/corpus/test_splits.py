"""Dialogues are assigned to splits by column or by fractions."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_ser.corpus.splits import split_by_column, split_by_fractions
from dialogue_ser.errors import ConfigError, CorpusError

SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}
IDS = [f"d{number}" for number in range(100)]


def test_fractions_give_exact_shares_of_whole_dialogues():
    assert Counter(split_by_fractions(IDS, SHARES).values()) == {"train": 70, "dev": 10, "test": 20}


def test_fractions_depend_on_the_seed_and_on_nothing_else():
    assert split_by_fractions(IDS, SHARES, seed=3) == split_by_fractions(list(reversed(IDS)), SHARES, seed=3)
    assert split_by_fractions(IDS, SHARES, seed=3) != split_by_fractions(IDS, SHARES, seed=4)


def test_a_known_draw_never_changes():
    chosen = split_by_fractions([f"d{number}" for number in range(10)], {"train": 0.8, "test": 0.2}, seed=0)
    assert [name for name, split in chosen.items() if split == "test"] == ["d0", "d2"]


def test_stratified_fractions_share_out_each_stratum():
    strata = {name: "rare" if number < 10 else "common" for number, name in enumerate(IDS)}
    chosen = split_by_fractions(IDS, SHARES, seed=1, strata=strata)
    rare = Counter(chosen[name] for name in IDS if strata[name] == "rare")
    assert all(abs(rare[split] - 10 * share) <= 1 for split, share in SHARES.items())
    assert Counter(chosen.values()) == {"train": 70, "dev": 10, "test": 20}


@given(st.integers(3, 60), st.integers(0, 5), st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_every_dialogue_goes_to_one_split_within_one_of_its_share(n, seed, weights):
    shares = {f"s{number}": weight / sum(weights) for number, weight in enumerate(weights)}
    ids = [f"d{number}" for number in range(n)]
    try:
        chosen = split_by_fractions(ids, shares, seed=seed)
    except CorpusError:
        assert min(shares.values()) * n < 1
        return
    assert list(chosen) == ids
    counts = Counter(chosen.values())
    assert all(abs(counts[name] - share * n) <= 1 for name, share in shares.items())


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.5, "dev": -0.5}, {"train": 1.0, "dev": 0.0}])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ConfigError, match="must be positive and add up to 1"):
        split_by_fractions(IDS, shares)


def test_too_few_dialogues_are_refused():
    with pytest.raises(CorpusError, match=r"2 dialogues are too few .* dev, test would be empty"):
        split_by_fractions(["a", "b"], {"train": 0.8, "dev": 0.1, "test": 0.1})


def test_the_error_about_a_dialogue_in_two_splits_names_both_rows():
    with pytest.raises(CorpusError) as caught:
        split_by_column(
            ["a", "a", "b", "c"], ["train", "dev", " ", "x/y"], [f"row {number}" for number in (2, 3, 4, 5)]
        )
    found = caught.value.problems
    assert len(found) == 3
    assert "row 3: puts dialogue a into 'dev', but row 2 puts it into 'train'" in found[0]
