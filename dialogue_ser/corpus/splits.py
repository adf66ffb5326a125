"""Pure functions that assign each dialogue to a split."""

from collections.abc import Mapping, Sequence

import numpy as np

from dialogue_ser.errors import ConfigError, CorpusError

#: Name of a split, in lower case → the split that it means.
SPLIT_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


def split_by_column(dialogue_ids: Sequence[str], values: Sequence[str], origins: Sequence[str]) -> dict[str, str]:
    """Assign each dialogue to the split that a column of its rows names.

    Args:
        dialogue_ids: the dialogue id of each row.
        values: the split that each row names.
        origins: file and number of each row, for error messages.

    Returns:
        Dialogue id → split, in order of first appearance.

    Raises:
        CorpusError: a row names no split, or the rows of a dialogue name several. The error lists all such rows.

    >>> split_by_column(["a", "a", "b"], ["train", "train", "dev"], ["row 2", "row 3", "row 4"])
    {'a': 'train', 'b': 'dev'}
    """
    first_rows: dict[str, tuple[str, str]] = {}
    problems = []
    for dialogue, value, origin in zip(dialogue_ids, values, origins, strict=True):
        split = value.strip()
        if not split or "/" in split:
            problems.append(f"{origin}: split {value!r} is not valid; write a name such as train, without '/'")
            continue
        first_split, first_origin = first_rows.setdefault(dialogue, (split, origin))
        if first_split != split:
            problems.append(
                f"{origin}: puts dialogue {dialogue} into {split!r}, but {first_origin} puts it into {first_split!r}; "
                "write the same split in all rows of a dialogue"
            )
    if problems:
        raise CorpusError(*problems)
    return {dialogue: split for dialogue, (split, _) in first_rows.items()}


def split_by_fractions(
    dialogue_ids: Sequence[str],
    fractions: Mapping[str, float],
    seed: int = 0,
    strata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Assign whole dialogues to splits at random, in given shares.

    The same ids, shares and seed give the same splits on every machine. The order of ``dialogue_ids`` does not matter.
    With strata every split gets its share of each stratum, as nearly as whole dialogues allow.

    Args:
        dialogue_ids: unique ids.
        fractions: split → share. All shares are positive and their sum is 1.
        seed: seed of the shuffle.
        strata: dialogue id → stratum, e.g. the dialogue's most frequent label; None = no strata.

    Returns:
        Dialogue id → split, in the order of ``dialogue_ids``.

    Raises:
        ConfigError: a share is not positive, the sum of the shares is not 1, or the seed is negative.
        CorpusError: there are so few dialogues that a split would be empty.

    >>> from collections import Counter
    >>> ids = [f"d{number}" for number in range(10)]
    >>> Counter(split_by_fractions(ids, {"train": 0.8, "dev": 0.1, "test": 0.1}).values())
    Counter({'train': 8, 'dev': 1, 'test': 1})
    """
    _check_fractions(fractions, seed)
    shuffled = sorted(dialogue_ids)
    np.random.default_rng(seed).shuffle(shuffled)
    if strata is not None:
        shuffled.sort(key=lambda dialogue: strata[dialogue])  # a stable sort: each stratum stays shuffled
    counts = dict.fromkeys(fractions, 0)
    split_of: dict[str, str] = {}
    for n_dialogues, dialogue in enumerate(shuffled, start=1):
        # The split that misses most of its share gets the dialogue. So the shares are right at the end, and nearly
        # right in every part of the shuffled list, e.g. in a stratum.
        split = max(fractions, key=lambda name: fractions[name] * n_dialogues - counts[name])
        counts[split] += 1
        split_of[dialogue] = split
    empty = [split for split, count in counts.items() if not count]
    if empty:
        raise CorpusError(
            f"{len(shuffled)} dialogues are too few for the shares {dict(fractions)}: {', '.join(empty)} would be "
            "empty; add dialogues or change the shares"
        )
    return {dialogue: split_of[dialogue] for dialogue in dialogue_ids}


def _check_fractions(fractions: Mapping[str, float], seed: int) -> None:
    if seed < 0:
        raise ConfigError(f"seed {seed} of the splits: expected at least 0")
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ConfigError(f"fractions {dict(fractions)}: shares must be positive and add up to 1, e.g. 0.8, 0.1, 0.1")
