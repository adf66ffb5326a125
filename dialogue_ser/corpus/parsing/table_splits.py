"""Assign the turns of a table to splits, by the one rule that the options or the table state."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dialogue_ser.corpus.parsing.turns import Turn
from dialogue_ser.corpus.splits import SPLIT_NAMES, split_by_column, split_by_fractions
from dialogue_ser.errors import CorpusError

#: Shares of a table that names no splits.
USUAL_FRACTIONS: Mapping[str, float] = {"train": 0.8, "dev": 0.1, "test": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How the dialogues of a table are assigned to splits.

    Args:
        column: name of the split column; "" = there is none.
        dialogue_columns: names of the columns that name the dialogue, for messages.
        fractions: split → share of the dialogues; None = the table names the splits.
        seed: seed of the draw.
        stratify: divide the dialogues of each label in these shares.
        keeps_names: keep names such as Validation; otherwise they become train, dev and test.
        is_one_dialogue: whether all rows of a split are one dialogue.
    """

    column: str = ""
    dialogue_columns: tuple[str, ...] = ()
    fractions: Mapping[str, float] | None = None
    seed: int = 0
    stratify: bool = False
    keeps_names: bool = False
    is_one_dialogue: bool = False


def assign_splits(
    turns: Mapping[str, Sequence[Turn]], rule: SplitRule, problems: list[str], warnings: list[str]
) -> dict[str, list[Turn]]:
    """Return split → its turns.

    Args:
        turns: split → the turns of its file. If one file holds all turns, its split is "".
        rule: how they are assigned.
        problems: gets a sentence about each dialogue that cannot be assigned. The turns still get splits then, so that
            the error can name other bad rows too.
        warnings: gets a sentence about everything that was decided here.
    """
    if "" not in turns:
        usual = {} if rule.keeps_names else usual_names(turns, warnings)
        return {usual.get(split, split): list(found) for split, found in turns.items()}
    rows = turns[""]
    try:
        split_of_row = _splits_of_rows(rows, rule, warnings)
    except CorpusError as error:
        problems.extend(error.problems)
        first = {turn.dialogue: turn.split.strip() or "train" for turn in reversed(rows)}
        split_of_row = [first[turn.dialogue] for turn in rows]
    split_turns: dict[str, list[Turn]] = {split: [] for split in dict.fromkeys(split_of_row)}
    for turn, split in zip(rows, split_of_row, strict=True):
        split_turns[split].append(turn)
    return split_turns


def with_split_in_dialogue(turns: Sequence[Turn], warnings: list[str]) -> list[Turn]:
    """Return turns whose dialogues have the split in their name if dialogue ids start again in each split.

    Input to predict on is not divided into splits. Two dialogues with one id would become one dialogue.
    """
    splits = [turn.split.strip() for turn in turns]
    if not _ids_start_again(turns, splits):
        return list(turns)
    warnings.append("dialogue ids start again in each split, so the name of a dialogue is its split and its id")
    return [replace(turn, dialogue=f"{split}-{turn.dialogue}") for turn, split in zip(turns, splits, strict=True)]


def usual_names(names: Iterable[str], warnings: list[str]) -> dict[str, str]:
    """Return name of a split → train, dev or test, for names that mean one of these. ``warnings`` says so.

    Two different names for one split, e.g. dev and validation, both stay as they are.

    >>> usual_names(["Train", "VALIDATION", "test", "extra"], [])
    {'Train': 'train', 'VALIDATION': 'dev', 'test': 'test'}
    """
    meant = {name: SPLIT_NAMES[name.lower()] for name in names if name.lower() in SPLIT_NAMES}
    spellings: dict[str, set[str]] = {}
    for name, usual in meant.items():
        spellings.setdefault(usual, set()).add(name.lower())
    usual_of = {name: usual for name, usual in meant.items() if len(spellings[usual]) == 1}
    renamed = [f"{name} is {usual}" for name, usual in usual_of.items() if name != usual]
    if renamed:
        warnings.append(f"names of splits: {', '.join(renamed)} (option split_names: as-written keeps the names)")
    return usual_of


def _splits_of_rows(rows: Sequence[Turn], rule: SplitRule, warnings: list[str]) -> list[str]:
    ids = list(dict.fromkeys(turn.dialogue for turn in rows))
    if rule.fractions or not rule.column:
        if not rule.fractions and len(ids) < len(USUAL_FRACTIONS):
            # To look at the table or to score it, one split is enough. Training needs more and says so.
            warnings.append(
                f"no column names splits (columns.split), and {len(ids)} dialogues are too few to draw train, dev and "
                "test from them, so all of them are train"
            )
            return ["train"] * len(rows)
        fractions = rule.fractions or _fractions_of_small(len(ids))
        split_of = split_by_fractions(ids, fractions, rule.seed, _strata(rows) if rule.stratify else None)
        if not rule.fractions:
            counts = Counter(split_of.values())
            drawn = ", ".join(f"{split} {counts[split]}" for split in fractions)
            warnings.append(
                f"no column names splits (columns.split), so the {len(ids)} dialogues were drawn at random: {drawn} "
                f"(seed {rule.seed}; option fractions: {{train: 0.8, dev: 0.1, test: 0.1}})"
            )
        return [split_of[turn.dialogue] for turn in rows]
    written = [turn.split.strip() for turn in rows]
    usual = {} if rule.keeps_names else usual_names(dict.fromkeys(written), warnings)
    splits = [usual.get(split, split) for split in written]
    origins = [turn.utterance.origin for turn in rows]
    starts_again = _ids_start_again(rows, splits)
    if rule.is_one_dialogue or starts_again:
        if starts_again and not rule.is_one_dialogue:
            warnings.append(
                f"dialogue ids start again in each split ({starts_again} ids stand in several), so a dialogue is named "
                f"by its split and its id together, as with columns: {{dialogue: {_with_split(rule)}}}"
            )
        # A dialogue is one split and one id. No dialogue can then lie in two splits.
        keys = [f"{split}\0{turn.dialogue}" for split, turn in zip(splits, rows, strict=True)]
        split_by_column(keys, splits, origins)
        return splits
    try:
        split_of = split_by_column([turn.dialogue for turn in rows], splits, origins)
    except CorpusError as error:
        hint = f"; or, if the ids start again in each split, name both: columns: {{dialogue: {_with_split(rule)}}}"
        raise CorpusError(
            *(f"{problem}{hint}" if " puts dialogue " in problem else problem for problem in error.problems)
        ) from error
    return [split_of[turn.dialogue] for turn in rows]


def _with_split(rule: SplitRule) -> str:
    return f"[{', '.join((rule.column, *rule.dialogue_columns))}]"


def _fractions_of_small(n_dialogues: int) -> Mapping[str, float]:
    """Return the usual shares; for a few dialogues shares that give dev and test one of them each."""
    if n_dialogues >= 10:
        return USUAL_FRACTIONS
    return {"train": 1 - 2 / n_dialogues, "dev": 1 / n_dialogues, "test": 1 / n_dialogues}


def _ids_start_again(rows: Sequence[Turn], splits: Sequence[str]) -> int:
    """Return how many dialogue ids stand in several splits if they name another dialogue in each; otherwise 0.

    The utterance ids tell it: if every one of these dialogues has a number twice, its ids start again. Without numbers
    the order tells it: each split is one block of rows, no id goes on from one block to the next, and most ids of the
    smallest split stand in other splits too.
    """
    numbers: dict[str, dict[str, list[str]]] = {}
    for turn, split in zip(rows, splits, strict=True):
        numbers.setdefault(turn.dialogue, {}).setdefault(split, []).append(turn.number)
    shared = [found for found in numbers.values() if len(found) > 1]
    if not shared:
        return 0
    if all(number.isdigit() for found in shared for own in found.values() for number in own):
        repeats = [sum(len(set(own)) for own in found.values()) > len(set().union(*found.values())) for found in shared]
        return len(shared) if all(repeats) else 0
    ends = [place for place, (one, other) in enumerate(pairwise(splits)) if one != other]
    goes_on = any(rows[place].dialogue == rows[place + 1].dialogue for place in ends)
    sizes = Counter(split for found in numbers.values() for split in found)
    smallest = min(sizes, key=lambda split: sizes[split])
    n_shared = sum(smallest in found for found in shared)
    are_blocks = len(ends) + 1 == len(sizes) and not goes_on
    return len(shared) if are_blocks and 2 * n_shared >= sizes[smallest] else 0


def _strata(turns: Sequence[Turn]) -> dict[str, str]:
    """Return dialogue → its most frequent label. If several are most frequent, take the first one in the alphabet."""
    counts: dict[str, Counter[str]] = {}
    for turn in turns:
        counts.setdefault(turn.dialogue, Counter()).update([turn.utterance.label or ""])
    return {name: min(count, key=lambda label: (-count[label], label)) for name, count in counts.items()}
