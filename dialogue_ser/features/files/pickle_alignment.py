"""Utterance ids for the rows of a pickle: the ids in the pickle, or those of the corpus turns that rows prove to be."""

import string
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import partial

from dialogue_ser.corpus.schema import Corpus, Utterance
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.files.pickle_dialogues import Group, Place, in_pools, place_without_texts, possible_splits
from dialogue_ser.features.files.pickle_layouts import PickledTurn
from dialogue_ser.features.files.pickle_places import find_places
from dialogue_ser.features.files.pickle_words import Comparison, Labels, Words

_FIELDS = ("key", "split", "dialogue", "utterance")


def name_by_pattern(turns: Sequence[PickledTurn], pattern: str | None) -> tuple[dict[str, PickledTurn], list[str]]:
    """Return the turns by utterance id, and one sentence for each turn that gets no id.

    Args:
        turns: rows of a pickle.
        pattern: pattern of the id with the fields ``{key}`` (as the pickle writes it), ``{dialogue}``, ``{split}`` and
            ``{utterance}`` (the key, or the part after the dialogue in a key like ``12_3``); None = ``{key}``.

    Raises:
        FeatureError: the pickle has no ids. Positions are no ids, because real corpora have gaps.
        ConfigError: the pattern has another field.
    """
    if any(turn.key is None for turn in turns):
        raise FeatureError(
            "the pickle has no utterance ids, only an order of rows, and an order is no id (MELD leaves ids out); give "
            "the corpus to align the rows with: --reader meld --path FOLDER"
        )
    pattern = pattern or "{key}"
    fields = _fields_of(pattern)
    if not fields <= set(_FIELDS) or not fields:
        raise ConfigError(f"--id-pattern {pattern!r}: use {', '.join(f'{{{name}}}' for name in _FIELDS)}")
    named: dict[str, PickledTurn] = {}
    problems = []
    for turn in turns:
        assert turn.key is not None
        dialogue, _, utterance = turn.key.rpartition("_") if turn.dialogue is None else (turn.dialogue, "", turn.key)
        if "split" in fields and turn.split is None:
            problems.append(f"{turn}: --id-pattern contains {{split}}, but the pickle does not say its split")
            continue
        name = pattern.format(key=turn.key, split=turn.split, dialogue=dialogue, utterance=utterance)
        if name in named:
            problems.append(f"{turn}: its id {name!r} is already used by {named[name]}; set --id-pattern or --reader")
            continue
        named[name] = turn
    return named, problems


def _fields_of(pattern: str) -> set[str]:
    """Return the names in braces. The whole pattern stands for a field that is not a plain name, e.g. ``{key:d}``."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError:  # e.g. one brace too many
        return {pattern}
    return {name if not (spec or conversion) else pattern for _, name, spec, conversion in parts if name is not None}


def align_with_corpus(turns: Sequence[PickledTurn], corpus: Corpus) -> tuple[dict[str, PickledTurn], list[str]]:
    """Return the turns by the utterance ids of a corpus, and one sentence for each turn that fits no utterance.

    A dialogue with texts is placed by its number and its words (:mod:`~dialogue_ser.features.files.pickle_places`), its
    rows by their words in order. A dialogue without texts is placed by its id, or by its number, if the numbers of
    turns are equal. A single utterance needs the id of an utterance of the corpus. A turn never gets an utterance of
    another split than the pickle states, nor of another label than its own label stands for. What fits several
    utterances gets none.
    """
    groups = _groups(turns)
    with_texts = [group for group in groups if any(row.text is not None for row in group.rows)]
    without_texts = [group for group in groups if all(row.text is None for row in group.rows)]
    comparison = Comparison(Labels())
    found: dict[Group, Place] = {}
    for _ in range(2):  # the first time without labels, to learn what they stand for
        comparison = Comparison(Labels.learnt(_labelled_pairs(found, comparison)))
        found = in_pools(with_texts, corpus, partial(find_places, comparison=comparison))
        found |= in_pools(without_texts, corpus, place_without_texts, taken=found.values())
    aligned: dict[str, PickledTurn] = {}
    problems: list[str] = []
    known = {key for dialogues in corpus.splits.values() for d in dialogues for key in Words.of(t.text for t in d).keys}
    for group in groups:
        place = found.get(group)
        paired = {} if place is None else _pairs(group, place, comparison)
        for index, row in enumerate(group.rows):
            if index in paired:
                aligned[paired[index].id] = row
            elif place is None:
                problems.append(f"{_described(row)}: {_why_no_place(group, corpus, known)}")
            else:
                problems.append(f"{_described(row)}: {_why_no_turn(group, index, place, comparison)}")
    _align_single_turns([turn for turn in turns if turn.dialogue is None], corpus, aligned, problems)
    return aligned, problems


def _groups(turns: Sequence[PickledTurn]) -> list[Group]:
    """Return the dialogues of a pickle."""
    rows: dict[tuple[str, str | None], list[PickledTurn]] = defaultdict(list)
    for turn in turns:
        if turn.dialogue is not None:
            rows[turn.dialogue, turn.split].append(turn)
    return [Group(key, split, tuple(found)) for (key, split), found in rows.items()]


def _pairs(group: Group, place: Place, comparison: Comparison) -> dict[int, Utterance]:
    """Return index of a row → its turn, for the rows of a placed dialogue that have one."""
    turns = place.dialogue.utterances
    if all(row.text is None for row in group.rows):
        both = zip(group.rows, turns, strict=True)
        return {n: turn for n, (row, turn) in enumerate(both) if not comparison.labels.contradict(row, turn)}
    pairs = comparison.pairs(group.rows, group.words, place.dialogue, place.words)
    return {n: turns[m] for n, m in pairs.items()}


def _labelled_pairs(found: Mapping[Group, Place], comparison: Comparison) -> list[tuple[PickledTurn, Utterance]]:
    """Return the rows and the turns of all placed dialogues."""
    pairs = [(group, _pairs(group, place, comparison)) for group, place in found.items()]
    return [(group.rows[n], turn) for group, paired in pairs for n, turn in paired.items()]


def _described(row: PickledTurn) -> str:
    return str(row) if row.text is None else f"{row} {row.text[:60]!r}"


def _why_no_place(group: Group, corpus: Corpus, known: Container[str | None]) -> str:
    """Return why a dialogue of a pickle got no dialogue of the corpus."""
    where = f" of split {group.split}" if group.split else ""
    if all(row.text is None for row in group.rows):
        return _why_no_place_without_texts(group, corpus)
    if not any(key is not None and key in known for key in group.words.keys):
        return "no dialogue of the corpus has its words"
    return (
        f"nothing proves which dialogue{where} it is: several dialogues have its words, or that of its number has "
        "other words, or its words are in another split"
    )


def _why_no_place_without_texts(group: Group, corpus: Corpus) -> str:
    """Return why a dialogue without texts got no dialogue of the corpus."""
    dialogues = {dialogue.id: dialogue for found in corpus.splits.values() for dialogue in found}
    reason = "the corpus has no dialogue of that id"
    if named := next((dialogues[name] for name in group.names if name in dialogues), None):
        reason = f"{len(group.rows)} rows, but {named.id} has {len(named)} turns"
        if len(named) == len(group.rows):
            reason = "most dialogues of the pickle have another number of turns than the dialogues of their ids"
    return f"{reason}, and the pickle has no texts to align by"


def _why_no_turn(group: Group, index: int, place: Place, comparison: Comparison) -> str:
    """Return why a row got no turn of its dialogue."""
    row, key, turns = group.rows[index], group.words.keys[index], place.dialogue.utterances
    same = [turn for turn, its_key in zip(turns, place.words.keys, strict=True) if its_key == key is not None]
    if row.text is None:
        same = [turns[index]] if len(turns) == len(group.rows) else []
    if not same:
        return f"not in {place.dialogue.id}, or it has other words there"
    if all(comparison.labels.contradict(row, turn) for turn in same):
        meaning = comparison.labels.meaning[str(row.label)]
        return f"its label {row.label} stands for {meaning}, but {same[0].id} has {same[0].label}"
    return f"its words are at several places of {place.dialogue.id}, or not in this order"


def _align_single_turns(
    turns: Sequence[PickledTurn], corpus: Corpus, aligned: dict[str, PickledTurn], problems: list[str]
) -> None:
    """Add turns to ``aligned`` by their own ids, with or without the split before it; or add sentences to problems."""
    split_of = {turn.id: split for split, dialogues in corpus.splits.items() for d in dialogues for turn in d}
    stated = {turn.split for turn in turns}
    claims: dict[str, list[PickledTurn]] = defaultdict(list)
    for turn in turns:
        possible = possible_splits(turn.split, stated, corpus)
        names = dict.fromkeys([str(turn.key), *(f"{split}/{turn.key}" for split in corpus.splits if split in possible)])
        found = [name for name in names if name in split_of]
        fitting = [name for name in found if split_of[name] in possible]
        if len(fitting) == 1:
            claims[fitting[0]].append(turn)
            continue
        reason = "several splits have it" if fitting else "the corpus has no such utterance"
        if found and not fitting:
            reason = f"the corpus has it in split {split_of[found[0]]}"
        problems.append(f"{turn}: {reason}; set --id-pattern instead of --reader")
    for name, found_turns in claims.items():
        if len(found_turns) == 1:
            aligned[name] = found_turns[0]
        else:
            problems.extend(f"{turn}: {len(found_turns)} rows mean the utterance {name}" for turn in found_turns)
