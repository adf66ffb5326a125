"""Dialogues of a pickle and of a corpus: their names, their numbers, their splits and their rare words."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from dialogue_ser.corpus.schema import Corpus, Dialogue
from dialogue_ser.features.files.pickle_layouts import PickledTurn
from dialogue_ser.features.files.pickle_words import Words

#: Share of the dialogues without texts that must have the number of turns of their places.
_SHARE_FITTING = 0.9
#: Share of the corpus's dev dialogues that must be recognised in a train that may hold dev.
_SHARE_OF_DEV = 0.2
_T = TypeVar("_T", "Group", "Place")
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d{1,18})(?:\.0)?")


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of one dialogue of a pickle, in order.

    Args:
        key: id of the dialogue in the pickle.
        split: split that the pickle states; None = none.
        rows: its rows.
    """

    key: str
    split: str | None
    rows: tuple[PickledTurn, ...]

    @cached_property
    def words(self) -> Words:
        """The words of the rows."""
        return Words.of(row.text for row in self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of corpus dialogues that the key may mean."""
        split = f"{self.split}/" if self.split else ""
        return (self.key, f"{split}{self.key}", f"{split}dia{self.key}")


@dataclass(frozen=True, eq=False)
class Place:
    """A dialogue of the corpus.

    Args:
        index: its position among all dialogues of the corpus.
        split: its split.
        dialogue: the dialogue.
    """

    index: int
    split: str
    dialogue: Dialogue

    @cached_property
    def words(self) -> Words:
        """The words of its turns."""
        return Words.of(turn.text for turn in self.dialogue)

    @cached_property
    def number(self) -> int | None:
        """The number at the end of its id; None if there is none."""
        found = _NUMBERED.fullmatch(self.dialogue.id)
        return int(found["number"]) if found else None


def in_pools(
    groups: Sequence[Group],
    corpus: Corpus,
    find: Callable[[Sequence[Group], Sequence[Place]], Mapping[Group, Place]],
    taken: Iterable[Place] = (),
) -> dict[Group, Place]:
    """Return the places of dialogues, each in the split that the pickle states.

    A pickle that states only train and test, for all its dialogues, may have dev in its train. This is so if dialogues
    of dev are recognised there. Dialogues without a split come last; they may be in what is left of all splits.

    Args:
        groups: dialogues of a pickle.
        corpus: the corpus.
        find: finds the places of some dialogues among some places.
        taken: places that are given already.
    """
    places = [Place(i, split, d) for i, (split, d) in enumerate((s, d) for s, ds in corpus.splits.items() for d in ds)]
    given = {place.index for place in taken}
    found: dict[Group, Place] = {}
    stated = {group.split for group in groups}
    for split in sorted(stated, key=lambda split: (split is None, split or "")):
        some = [group for group in groups if group.split == split]
        free = [place for place in places if place.index not in given]
        possible = possible_splits(split, stated, corpus)
        pool = [place for place in free if place.split in possible]
        if split == "train" and stated <= {"train", "test"} and "dev" in corpus.splits:
            with_dev = [place for place in free if place.split in ("train", "dev")]
            n_dev = sum(place.split == "dev" for place in fixed_by_words(some, with_dev).values())
            pool = with_dev if n_dev >= _SHARE_OF_DEV * len(corpus.splits["dev"]) else pool
        found |= find(some, pool)
        given |= {place.index for place in found.values()}
    return found


def possible_splits(stated: str | None, all_stated: Collection[str | None], corpus: Corpus) -> set[str]:
    """Return the splits of a corpus where a turn may be.

    Args:
        stated: split that the pickle states for it; None = none.
        all_stated: splits that the pickle states for any turn.
        corpus: the corpus. If it has none of train, dev and test, it is not cut, and the stated split says nothing. If
            both sides have train and one other split, this is the same one, whatever it is called.
    """
    splits = set(corpus.splits)
    if stated is None or not splits & {"train", "dev", "test"}:
        return splits
    if stated != "train" and len(all_stated) == len(splits) == 2 and "train" in splits & set(all_stated):
        return splits - {"train"}
    return splits & {stated}


def place_without_texts(groups: Sequence[Group], places: Sequence[Place]) -> dict[Group, Place]:
    """Return the places of dialogues without texts: nearly all of them must have the number of turns of their places.

    The places are those that their keys name, or, if there are as many dialogues as places, those of their numbers in
    order. If both fit, they must agree.
    """
    by_name = named_places(groups, places)
    numbers = numbers_of(groups)
    by_number: dict[Group, Place] = {}
    if numbers is not None and len(groups) == len(places) > 1:
        by_number = dict(zip(sorted(groups, key=lambda group: numbers[group]), places, strict=True))
    answers = []
    for answer, least in ((by_name, _SHARE_FITTING), (by_number, 1.0)):
        fitting = {group: place for group, place in answer.items() if len(group.rows) == len(place.dialogue)}
        if fitting and len(fitting) >= least * len(groups):
            answers.append(fitting)
    if not answers:
        return {}
    return {group: place for group, place in answers[0].items() if answers[-1].get(group) is place}


def fixed_by_words(groups: Sequence[Group], places: Sequence[Place]) -> dict[Group, Place]:
    """Return the place of each dialogue that most of its rare words fix: those of one dialogue on both sides."""
    groups_of, places_of = by_word(groups), by_word(places)
    votes: Counter[tuple[Group, Place]] = Counter()
    for key, found in groups_of.items():
        if len(found) == 1 and len(places_of.get(key, ())) == 1:
            votes[found[0], places_of[key][0]] += 1
    of_group, of_place = Counter[Group](), Counter[Place]()
    for (group, place), n in votes.items():
        of_group[group] += n
        of_place[place] += n
    return {g: p for (g, p), n in votes.items() if 2 * n > of_group[g] and 2 * n > of_place[p]}


def by_word(dialogues: Iterable[_T]) -> dict[str, list[_T]]:
    """Return the dialogues in which a text occurs, by the text."""
    found: dict[str, list[_T]] = defaultdict(list)
    for dialogue in dialogues:
        for key in dict.fromkeys(dialogue.words.keys):
            if key is not None:
                found[key].append(dialogue)
    return found


def numbers_of(groups: Sequence[Group]) -> dict[Group, int] | None:
    """Return the numbers of dialogues that are called by numbers, or by one name and a number; else None."""
    found = [(group, _NUMBERED.fullmatch(group.key)) for group in groups]
    matches = [match for _, match in found if match]
    numbers = {group: int(match["number"]) for group, match in found if match}
    is_numbering = len({match["before"] for match in matches}) == 1 and len(set(numbers.values())) == len(groups)
    return numbers if is_numbering else None


def named_places(groups: Sequence[Group], places: Sequence[Place]) -> dict[Group, Place]:
    """Return the places whose ids are the keys of dialogues."""
    place_of = {place.dialogue.id: place for place in places}
    named = {
        group: place_of[name] for group in groups if (name := next((n for n in group.names if n in place_of), None))
    }
    n_claims = Counter(named.values())
    return {group: place for group, place in named.items() if n_claims[place] == 1}
