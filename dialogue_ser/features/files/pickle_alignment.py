"""Ids for rows that somebody else ordered: the id the file gives, or the turn of a corpus with the same words."""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from dialogue_ser.corpus.schema import Corpus, Dialogue
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.files.pickle_layouts import PickledTurn
from dialogue_ser.features.text.word_tokenizer import ascii_quotes

_FIELDS = ("key", "split", "dialogue", "utterance")


def named_by_pattern(turns: Sequence[PickledTurn], pattern: str | None) -> tuple[dict[str, PickledTurn], list[str]]:
    """Turns by utterance id, and a sentence for each that has none.

    Args:
        turns: rows of a pickle.
        pattern: of the id: ``{key}`` as the pickle has it, ``{dialogue}``, ``{utterance}`` (the key, or what follows
            the dialogue in a key like ``12_3``), ``{split}``; None = ``{key}``.

    Raises:
        FeatureError: the pickle has no ids; positions are none, because real corpora have gaps.
        ConfigError: a pattern with another field.
    """
    if any(turn.key is None for turn in turns):
        raise FeatureError(
            "the pickle has rows in an order but no utterance ids, and an order is no id (MELD leaves ids out); name "
            "the corpus to align them with: --reader meld --path FOLDER"
        )
    pattern = pattern or "{key}"
    fields = _fields_of(pattern)
    if not fields <= set(_FIELDS) or not fields:
        raise ConfigError(f"--id-pattern {pattern!r}: use {', '.join(f'{{{name}}}' for name in _FIELDS)}")
    placed: dict[str, PickledTurn] = {}
    problems = []
    for turn in turns:
        assert turn.key is not None
        dialogue, _, utterance = turn.key.rpartition("_") if turn.dialogue is None else (turn.dialogue, "", turn.key)
        if "split" in fields and turn.split is None:
            problems.append(f"{turn}: the pickle does not say its split, which --id-pattern names")
            continue
        name = pattern.format(key=turn.key, split=turn.split, dialogue=dialogue, utterance=utterance)
        if name in placed:
            problems.append(f"{turn}: its id {name!r} is taken by {placed[name]}; set --id-pattern, or --reader")
            continue
        placed[name] = turn
    return placed, problems


def _fields_of(pattern: str) -> set[str]:
    """Names in braces; one that does not exist stands for everything that is no plain name."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError:  # a brace too many
        return {pattern}
    return {name if not (spec or conversion) else pattern for _, name, spec, conversion in parts if name is not None}


def aligned(turns: Sequence[PickledTurn], corpus: Corpus) -> tuple[dict[str, PickledTurn], list[str]]:
    """Turns by the corpus's utterance ids, and a sentence for each that fits nowhere.

    Dialogues with texts are laid beside the corpus's dialogue that shares most of them, in order; without texts a
    dialogue must have the corpus's id and as many rows as the corpus has turns; single utterances need the corpus's id.
    """
    placed: dict[str, PickledTurn] = {}
    problems: list[str] = []
    everything = {dialogue.id: dialogue for dialogues in corpus.splits.values() for dialogue in dialogues}
    known = {turn.id for dialogue in everything.values() for turn in dialogue}
    ends = Counter(name.partition("/")[2] or name for name in known)
    by_text = _dialogues_by_text(everything)
    grouped: dict[tuple[str | None, str], list[PickledTurn]] = defaultdict(list)
    for turn in turns:
        if turn.dialogue is None:
            _place_alone(turn, known, ends, corpus, placed, problems)
        else:
            grouped[turn.split, turn.dialogue].append(turn)
    used: set[str] = set()
    for rows in grouped.values():
        if any(row.text is not None for row in rows):
            dialogue = _most_alike(rows, by_text, everything, used)
            pairs = {} if dialogue is None else _matched(rows, dialogue)
            why = (
                "no dialogue of the corpus shares its words"
                if dialogue is None
                else f"not in {dialogue.id}, or other words"
            )
        else:
            dialogue, why = _by_id(rows, everything)
            ids = () if dialogue is None else (turn.id for turn in dialogue)
            pairs = dict(zip(range(len(rows)), ids, strict=dialogue is not None))
        if dialogue is not None:
            used.add(dialogue.id)
        for index, row in enumerate(rows):
            if index in pairs:
                placed[pairs[index]] = row
            else:
                said = "" if row.text is None else f" {row.text[:60]!r}"
                problems.append(f"{row}{said}: {why}")
    return placed, problems


def _place_alone(
    turn: PickledTurn,
    known: set[str],
    ends: Mapping[str, int],
    corpus: Corpus,
    placed: dict[str, PickledTurn],
    problems: list[str],
) -> None:
    """An utterance by its own id, with or without the split before it."""
    assert turn.key is not None
    splits = [turn.split] if turn.split else list(corpus.splits)
    names = [turn.key, *(f"{split}/{turn.key}" for split in splits)]
    found = [name for name in names if name in known and name not in placed]
    if len(found) == 1 and (found[0] == turn.key or turn.split or ends[turn.key] == 1):
        placed[found[0]] = turn
        return
    why = "several splits have it" if len(found) > 1 else "the corpus has no such utterance"
    problems.append(f"{turn}: {why}; say how ids are made with --id-pattern instead")


def _dialogues_by_text(everything: Mapping[str, Dialogue]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for dialogue in everything.values():
        for turn in dialogue:
            found[_plain(turn.text)].add(dialogue.id)
    return found


def _most_alike(
    rows: Sequence[PickledTurn], by_text: Mapping[str, set[str]], everything: Mapping[str, Dialogue], used: set[str]
) -> Dialogue | None:
    """The corpus's dialogue, not taken yet, with which the rows share most texts; rare ones count more."""
    votes: Counter[str] = Counter()
    for row in rows:
        names = by_text.get(_plain(row.text), set()) - used
        for name in names:
            votes[name] += 1 / len(names)  # type: ignore[assignment]
    if not votes:
        return None
    best = max(votes, key=lambda name: (len(_matched(rows, everything[name])), votes[name]))
    return everything[best]


def _matched(rows: Sequence[PickledTurn], dialogue: Dialogue) -> dict[int, str]:
    """Index of a row → utterance id; both in order, equal words only."""
    left, right = [_plain(row.text) for row in rows], [_plain(turn.text) for turn in dialogue]
    blocks = SequenceMatcher(a=left, b=right, autojunk=False).get_matching_blocks()
    return {b.a + i: dialogue.utterances[b.b + i].id for b in blocks for i in range(b.size)}


def _by_id(rows: Sequence[PickledTurn], everything: Mapping[str, Dialogue]) -> tuple[Dialogue | None, str]:
    name, split = rows[0].dialogue, rows[0].split
    candidates = [name, f"{split}/{name}", f"{split}/dia{name}"] if split else [name]
    dialogue = next((everything[str(key)] for key in candidates if str(key) in everything), None)
    if dialogue is None:
        return None, "the corpus has no dialogue of that id, and the pickle no texts to align by"
    if len(dialogue) != len(rows):
        return (
            None,
            f"{len(rows)} rows, but {dialogue.id} has {len(dialogue)} turns, and there are no texts to align by",
        )
    return dialogue, ""


def _plain(text: str | None) -> str:
    """Letters and digits only: pickles differ from the CSVs in quotes, spaces and case."""
    return re.sub(r"[^0-9a-z]+", "", ascii_quotes(text or "").lower()) or (text or "").strip()
