"""Utterance ids for the rows of a pickle: the ids in the pickle, or those of corpus turns with the same words."""

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

    A dialogue with texts is compared with the corpus dialogue that shares most of its texts, in order. A dialogue
    without texts needs the id of a corpus dialogue with the same number of turns. A single utterance needs the id of an
    utterance of the corpus.
    """
    aligned: dict[str, PickledTurn] = {}
    problems: list[str] = []
    corpus_dialogues = {dialogue.id: dialogue for dialogues in corpus.splits.values() for dialogue in dialogues}
    known_ids = {turn.id for dialogue in corpus_dialogues.values() for turn in dialogue}
    n_splits = Counter(name.partition("/")[2] or name for name in known_ids)
    by_text = _dialogues_by_text(corpus_dialogues)
    grouped: dict[tuple[str | None, str], list[PickledTurn]] = defaultdict(list)
    for turn in turns:
        if turn.dialogue is None:
            _align_single(turn, known_ids, n_splits, corpus, aligned, problems)
        else:
            grouped[turn.split, turn.dialogue].append(turn)
    used: set[str] = set()
    for rows in grouped.values():
        if any(row.text is not None for row in rows):
            dialogue = _most_similar(rows, by_text, corpus_dialogues, used)
            ids = {} if dialogue is None else _ids_by_text(rows, dialogue)
            reason = (
                "no dialogue of the corpus has its words"
                if dialogue is None
                else f"not in {dialogue.id}, or it has other words there"
            )
        else:
            dialogue, reason = _dialogue_by_id(rows, corpus_dialogues)
            ids = {} if dialogue is None else {index: turn.id for index, turn in enumerate(dialogue)}
        if dialogue is not None:
            used.add(dialogue.id)
        for index, row in enumerate(rows):
            if index in ids:
                aligned[ids[index]] = row
            else:
                words = "" if row.text is None else f" {row.text[:60]!r}"
                problems.append(f"{row}{words}: {reason}")
    return aligned, problems


def _align_single(
    turn: PickledTurn,
    known_ids: set[str],
    n_splits: Mapping[str, int],
    corpus: Corpus,
    aligned: dict[str, PickledTurn],
    problems: list[str],
) -> None:
    """Add one turn to ``aligned`` by its own id, with or without its split before it; or add a sentence to problems.

    Args:
        turn: row of a pickle that is keyed by utterance.
        known_ids: utterance ids of the corpus.
        n_splits: id without its split → number of splits that have it.
        corpus: the corpus to align with.
        aligned: turns by utterance id so far.
        problems: sentences so far.
    """
    assert turn.key is not None
    splits = [turn.split] if turn.split else list(corpus.splits)
    names = [turn.key, *(f"{split}/{turn.key}" for split in splits)]
    found = [name for name in names if name in known_ids and name not in aligned]
    if len(found) == 1 and (found[0] == turn.key or turn.split or n_splits[turn.key] == 1):
        aligned[found[0]] = turn
        return
    reason = "several splits have it" if len(found) > 1 else "the corpus has no such utterance"
    problems.append(f"{turn}: {reason}; set --id-pattern instead of --reader")


def _dialogues_by_text(corpus_dialogues: Mapping[str, Dialogue]) -> dict[str, set[str]]:
    """Return the ids of the dialogues in which a text occurs, by the text's letters and digits."""
    found: dict[str, set[str]] = defaultdict(set)
    for dialogue in corpus_dialogues.values():
        for turn in dialogue:
            found[_letters_and_digits(turn.text)].add(dialogue.id)
    return found


def _most_similar(
    rows: Sequence[PickledTurn],
    by_text: Mapping[str, set[str]],
    corpus_dialogues: Mapping[str, Dialogue],
    used: set[str],
) -> Dialogue | None:
    """Return the unused corpus dialogue that shares most texts with the rows. Rare texts count more in a tie."""
    votes: dict[str, float] = defaultdict(float)
    for row in rows:
        names = by_text.get(_letters_and_digits(row.text), set()) - used
        for name in names:
            votes[name] += 1 / len(names)
    if not votes:
        return None
    best = max(votes, key=lambda name: (len(_ids_by_text(rows, corpus_dialogues[name])), votes[name]))
    return corpus_dialogues[best]


def _ids_by_text(rows: Sequence[PickledTurn], dialogue: Dialogue) -> dict[int, str]:
    """Return index of a row → utterance id. Rows and turns with equal words are paired in order."""
    left = [_letters_and_digits(row.text) for row in rows]
    right = [_letters_and_digits(turn.text) for turn in dialogue]
    blocks = SequenceMatcher(a=left, b=right, autojunk=False).get_matching_blocks()
    return {b.a + i: dialogue.utterances[b.b + i].id for b in blocks for i in range(b.size)}


def _dialogue_by_id(
    rows: Sequence[PickledTurn], corpus_dialogues: Mapping[str, Dialogue]
) -> tuple[Dialogue | None, str]:
    """Return the corpus dialogue with the id and the number of turns of the rows, or None and the reason."""
    name, split = rows[0].dialogue, rows[0].split
    candidates = [name, f"{split}/{name}", f"{split}/dia{name}"] if split else [name]
    dialogue = next((corpus_dialogues[str(key)] for key in candidates if str(key) in corpus_dialogues), None)
    if dialogue is None:
        return None, "the corpus has no dialogue of that id, and the pickle has no texts to align by"
    if len(dialogue) != len(rows):
        n_turns = len(dialogue)
        return None, f"{len(rows)} rows, but {dialogue.id} has {n_turns} turns, and the pickle has no texts to align by"
    return dialogue, ""


def _letters_and_digits(text: str | None) -> str:
    """Return the text in lower case without other signs, because pickles and CSV files write them differently."""
    return re.sub(r"[^0-9a-z]+", "", ascii_quotes(text or "").lower()) or (text or "").strip()
