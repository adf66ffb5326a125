"""Find the corpus dialogue of each dialogue of a pickle, by its words and its number.

The numbers of the dialogues in a pickle run through the dialogues of the corpus in order. Words that occur in only one
dialogue on both sides show whether this is so. A dialogue with such words is fixed by them. Between two fixed ones:

- if the numbers have the same distance as the places in the corpus, the numbers say where each dialogue belongs;
- otherwise dialogues are paired in order so that most rows have their words. A dialogue is placed only if every best
  pairing agrees on its place.

If the numbers do not run in order, or if there are none, the names of the dialogues are tried. The words of all other
dialogues must fit one dialogue only. Nothing here depends on the order of a dictionary or a set.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from dialogue_ser.features.files.pickle_dialogues import (
    Group,
    Place,
    by_word,
    fixed_by_words,
    named_places,
    numbers_of,
)
from dialogue_ser.features.files.pickle_words import Comparison, monotone_pairs

#: Share of the fixed dialogues whose places must rise with their numbers.
_SHARE_IN_ORDER = 0.95
#: Share of the rows that must have their words in the dialogues that they name.
_SHARE_NAMED = 0.8
#: Dialogues of a pickle and of the corpus, multiplied, that are paired in order at most.
_MOST_PAIRS = 1_000_000


def find_places(groups: Sequence[Group], places: Sequence[Place], comparison: Comparison) -> dict[Group, Place]:
    """Return the place of each dialogue that has only one possible place. No place is given twice.

    At least half of the rows have their words at their place.

    Args:
        groups: dialogues of a pickle.
        places: dialogues of the corpus where they may belong, in order.
        comparison: compares their words.
    """
    found = _possible_places(groups, places, comparison)
    return {group: place for group, place in found.items() if 2 * _n_equal(group, place, comparison) >= len(group.rows)}


def _possible_places(groups: Sequence[Group], places: Sequence[Place], comparison: Comparison) -> Mapping[Group, Place]:
    """Return the places of dialogues, also of those that share few words with their places."""
    fixed = fixed_by_words(groups, places)
    numbers = numbers_of(groups)
    if numbers is not None:
        ordered = sorted(groups, key=lambda group: numbers[group])
        backbone = _longest_rise([(group, fixed[group]) for group in ordered if group in fixed])
        if len(backbone) >= _SHARE_IN_ORDER * len(fixed):
            return _by_number(ordered, numbers, places, backbone, comparison)
    return _by_name_or_words(groups, places, fixed, comparison)


def _longest_rise(pairs: Sequence[tuple[Group, Place]]) -> list[tuple[Group, Place]]:
    """Return the most pairs whose places rise."""
    ends: list[int] = []
    end_at: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place.index)
        before.append(end_at[length - 1] if length else -1)
        ends[length:], end_at[length:] = [place.index, *ends[length + 1 :]], [number, *end_at[length + 1 :]]
    chain = []
    last = end_at[-1] if end_at else -1
    while last >= 0:
        chain.append(pairs[last])
        last = before[last]
    return chain[::-1]


def _by_number(
    ordered: Sequence[Group],
    numbers: Mapping[Group, int],
    places: Sequence[Place],
    backbone: Sequence[tuple[Group, Place]],
    comparison: Comparison,
) -> dict[Group, Place]:
    """Return the places of dialogues whose numbers run in the order of the corpus.

    Args:
        ordered: the dialogues by number.
        numbers: their numbers.
        places: dialogues of the corpus, in order.
        backbone: the fixed dialogues, in order.
        comparison: compares the words of dialogues.
    """
    found = dict(backbone)
    position = {place: i for i, place in enumerate(places)}
    rank = {group: i for i, group in enumerate(ordered)}
    offset = _proven_offset(backbone, numbers, rank, position)
    ends: list[tuple[Group, Place] | None] = [None, *backbone, None]
    for left, right in pairwise(ends):
        between = ordered[rank[left[0]] + 1 if left else 0 : rank[right[0]] if right else len(ordered)]
        free = places[position[left[1]] + 1 if left else 0 : position[right[1]] if right else len(places)]
        if not between:
            continue
        said = None
        if left and right:
            said = _said_by_numbers(between, numbers, free, left, right, position)
        elif offset is not None:
            place_at = {position[place] + offset: place for place in free}
            said = {group: place_at.get(numbers[group]) for group in between}
        if said is None:
            said = _in_order(between, free, comparison)
        found |= {group: place for group, place in said.items() if place is not None}
    return found


def _said_by_numbers(
    between: Sequence[Group],
    numbers: Mapping[Group, int],
    free: Sequence[Place],
    left: tuple[Group, Place],
    right: tuple[Group, Place],
    position: Mapping[Place, int],
) -> dict[Group, Place | None] | None:
    """Return what the numbers say about the dialogues between two fixed ones; None if they prove nothing.

    They count dialogues (then the two are as far from each other in the corpus), or they are the numbers in the ids of
    one split. If both are so and disagree about a dialogue, it gets no place.
    """
    countings = [position]
    ids = {place: place.number for place in (left[1], *free, right[1])}
    if left[1].split == right[1].split:
        countings.append({place: number for place, number in ids.items() if number is not None})
    answers = []
    for counting in countings:
        first, last = counting.get(left[1]), counting.get(right[1])
        if first is not None and last is not None and last - first == numbers[right[0]] - numbers[left[0]]:
            place_at = {counting[place]: place for place in free if place in counting}
            answers.append({group: place_at.get(first + numbers[group] - numbers[left[0]]) for group in between})
    if not answers:
        return None
    return {group: answers[0][group] if answers[0][group] is answers[-1][group] else None for group in between}


def _proven_offset(
    backbone: Sequence[tuple[Group, Place]],
    numbers: Mapping[Group, int],
    rank: Mapping[Group, int],
    position: Mapping[Place, int],
) -> int | None:
    """Return number - place, if it is the same for all fixed dialogues and holds across a gap in the numbers.

    Without a gap, a pickle whose dialogues were numbered anew after some were left out would look the same.
    """
    offsets = {numbers[group] - position[place] for group, place in backbone}
    if len(offsets) != 1:
        return None
    has_gap = any(
        numbers[right] - numbers[left] > rank[right] - rank[left] for (left, _), (right, _) in pairwise(backbone)
    )
    return offsets.pop() if has_gap else None


def _in_order(between: Sequence[Group], free: Sequence[Place], comparison: Comparison) -> dict[Group, Place | None]:
    """Return the places of dialogues that every best pairing in order gives them."""
    if not free or len(between) * len(free) > _MOST_PAIRS:
        return {}
    weights = np.array([[_n_equal(group, place, comparison) for place in free] for group in between], np.int64)
    _, certain = monotone_pairs(weights)
    return {between[g]: free[p] for g, p in certain.items()}


def _by_name_or_words(
    groups: Sequence[Group], places: Sequence[Place], fixed: Mapping[Group, Place], comparison: Comparison
) -> dict[Group, Place]:
    """Return the places that dialogues name, if most names fit, and those of dialogues whose words fit one place."""
    found = _by_name(groups, places, comparison)
    taken = set(found.values())
    found |= {group: place for group, place in fixed.items() if group not in found and place not in taken}
    taken = set(found.values())
    places_of = by_word(place for place in places if place not in taken)
    claims: dict[Group, Place] = {}
    for group in groups:
        candidates = dict.fromkeys(
            place for key in group.words.keys if key is not None for place in places_of.get(key, ())
        )
        if group in found or not candidates:
            continue
        n_equal = {place: _n_equal(group, place, comparison) for place in candidates}
        most = max(n_equal.values())
        best = [place for place, n in n_equal.items() if n == most]
        if most and len(best) == 1:
            claims[group] = best[0]
    n_claims = Counter(claims.values())
    return found | {group: place for group, place in claims.items() if n_claims[place] == 1}


def _by_name(groups: Sequence[Group], places: Sequence[Place], comparison: Comparison) -> dict[Group, Place]:
    """Return the places that the keys of dialogues name, if nearly all rows have their words there."""
    named = named_places(groups, places)
    n_equal = {group: _n_equal(group, place, comparison) for group, place in named.items()}
    if sum(n_equal.values()) < _SHARE_NAMED * sum(len(group.rows) for group in named):
        return {}
    return named


def _n_equal(group: Group, place: Place, comparison: Comparison) -> int:
    """Return how many rows of a dialogue have their words at a place, in order."""
    return comparison.n_equal(group.rows, group.words, place.dialogue, place.words)
