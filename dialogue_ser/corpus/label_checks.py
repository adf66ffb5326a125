"""Warnings about labels that look like mistakes: a class in two spellings, misspellings, several labels in a cell."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import yaml

from dialogue_ser.corpus.label_words import EMPTY_WORDS, parts_of, plain

#: A label is rare beside another one if it has at most this share of its turns, or one turn.
_RARE_SHARE = 0.1
#: Share of equal letters from which two words look like spellings of one word.
_LOOKS_EQUAL = 0.8
#: More classes than this are no emotions. Their spelling is then not compared, which would take long.
_MOST_CLASSES = 200
_SHOWN = 10


def label_warnings(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield one warning for each kind of mistake that the labels of a corpus seem to hold. Each names its remedy.

    Args:
        counts: label → number of turns that have it, over all splits. A class without turns has the number 0.

    >>> for warning in label_warnings({"joy": 9, "Joy": 2, "anger": 4, "angr": 1}):
    ...     print(warning)
    labels differ only in case, blanks or marks, and are different classes: 'joy' (9 turns), 'Joy' (2 turns); to make \
them one class: label_map {Joy: joy} (--data.options.label_map)
    labels look like misspellings of others: 'angr' (1 turn) of 'anger' (4 turns); if they are: label_map \
{angr: anger} (--data.options.label_map)
    """
    if len(counts) > _MOST_CLASSES:
        yield (
            f"the labels are {len(counts):,} classes, e.g. {_shown([repr(label) for label in counts])}; check that "
            "the column of the labels is the right one"
        )
        return
    plain_of = {label: plain(label) for label in counts}
    several = [label for label in counts if parts_of(label, frozenset(plain_of[one] for one in counts if one != label))]
    if several:
        shown = _shown([_quoted(label, counts) for label in several])
        yield (
            f"cells seem to hold several labels, and each of these cells is a class of its own: {shown}; a turn has "
            f"one label: write one, or map the cell to a class or to null: label_map "
            f"{_flow(dict.fromkeys(several))} (--data.options.label_map)"
        )
    others = {label: count for label, count in counts.items() if label not in several}
    spellings = _spellings(others)
    if spellings:
        shown = _shown([", ".join(_quoted(label, counts) for label in group) for group in spellings])
        yield (
            f"labels differ only in case, blanks or marks, and are different classes: {shown}; to make them one class: "
            f"label_map {_flow({label: group[0] for group in spellings for label in group[1:]})} "
            "(--data.options.label_map)"
        )
    empty = [label for label in others if label.strip().casefold() in EMPTY_WORDS]
    if empty:
        shown = _shown([_quoted(label, counts) for label in empty])
        yield (
            f"labels look like cells without a label, and are classes: {shown}; if nobody labelled these turns: "
            f"label_map {_flow(dict.fromkeys(empty))} (--data.options.label_map)"
        )
    known = {label for group in spellings for label in group[1:]}
    typos = _misspellings({label: count for label, count in others.items() if label not in known})
    if typos:
        shown = _shown([f"{_quoted(label, counts)} of {_quoted(meant, counts)}" for label, meant in typos.items()])
        yield (
            f"labels look like misspellings of others: {shown}; if they are: label_map {_flow(typos)} "
            "(--data.options.label_map)"
        )


def _spellings(counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return groups of labels that are one label in different spellings, in each group the most frequent one first."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(plain(label) or label, []).append(label)
    return [
        tuple(sorted(group, key=lambda label: (-counts[label], not label.islower(), label)))
        for group in groups.values()
        if len(group) > 1
    ]


def _misspellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Return rare label → the frequent label that looks like it."""
    found: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (counts[label], label)):
        near = [
            other
            for other, count in counts.items()
            if 0 < counts[label] <= max(1, _RARE_SHARE * count) and counts[label] < count and _look_equal(label, other)
        ]
        if near:
            found[label] = max(near, key=lambda other: (counts[other], other))
    return found


def _look_equal(label: str, other: str) -> bool:
    one, two = plain(label), plain(other)
    # Words that differ in their numbers are different classes. So are happy and unhappy: few slips change the first
    # letter of a word.
    if one[:1] != two[:1] or re.sub(r"\D", "", one) != re.sub(r"\D", "", two) or min(len(one), len(two)) < 3:
        return False
    return sorted(one) == sorted(two) or SequenceMatcher(None, one, two).ratio() >= _LOOKS_EQUAL


def _quoted(label: str, counts: Mapping[str, int]) -> str:
    # A letter with a separate accent looks like one letter. Its escape shows that it is another text.
    text = repr(label) if unicodedata.is_normalized("NFC", label) else ascii(label)
    return f"{text} ({counts[label]} turn{'' if counts[label] == 1 else 's'})"


def _shown(items: Sequence[str]) -> str:
    more = f"; … and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more


def _flow(mapping: Mapping[str, str | None]) -> str:
    """Return a mapping as YAML in one line that can be pasted between single quotes of a shell.

    >>> _flow({"Joy": "joy", "joy,sad": None, "no": "0"})
    '{Joy: joy, "joy,sad": null, "no": "0"}'
    """
    shown = list(mapping.items())[:_SHOWN]
    cells = [f"{_word(label)}: {'null' if new is None else _word(new)}" for label, new in shown]
    return "{" + ", ".join([*cells, *(["…"] if len(mapping) > _SHOWN else [])]) + "}"


def _word(text: str) -> str:
    is_plain = re.fullmatch(r"\w[\w .-]*", text) is not None and text == text.strip()
    return (
        text
        if is_plain and yaml.safe_load(text) == text
        else json.dumps(text, ensure_ascii=not unicodedata.is_normalized("NFC", text))
    )


def label_counts(labels: Sequence[str | None], classes: Sequence[str]) -> dict[str, int]:
    """Return label → number of its turns; classes without turns have 0.

    >>> label_counts(["joy", None, "joy"], ["joy", "anger"])
    {'joy': 2, 'anger': 0}
    """
    found = Counter(label for label in labels if label is not None)
    return {**dict.fromkeys(classes, 0), **found}
