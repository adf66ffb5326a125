"""Splits as data: pure functions that say which dialogue goes where."""

from collections.abc import Mapping, Sequence

import numpy as np

from dialogue_ser.errors import ConfigError, CorpusError


def by_column(dialogue_ids: Sequence[str], values: Sequence[str], origins: Sequence[str]) -> dict[str, str]:
    """Split of each dialogue, from a column of the rows.

    Args:
        dialogue_ids: one per row.
        values: the split each row names.
        origins: where each row stands, for messages.

    Returns:
        Dialogue id → split, in order of first appearance.

    Raises:
        CorpusError: rows that name no split, or dialogues whose rows name several: all of them.

    >>> by_column(["a", "a", "b"], ["train", "train", "dev"], ["row 2", "row 3", "row 4"])
    {'a': 'train', 'b': 'dev'}
    """
    first: dict[str, tuple[str, str]] = {}
    problems = []
    for dialogue, value, origin in zip(dialogue_ids, values, origins, strict=True):
        split = value.strip()
        if not split or "/" in split:
            problems.append(f"{origin}: split {value!r}; write a name such as train, without '/'")
            continue
        there = first.setdefault(dialogue, (split, origin))
        if there[0] != split:
            problems.append(
                f"{origin}: puts dialogue {dialogue} into {split!r}, {there[1]} puts it into {there[0]!r}; a dialogue "
                "belongs to one split"
            )
    if problems:
        raise CorpusError(*problems)
    return {dialogue: split for dialogue, (split, _) in first.items()}


def by_fractions(
    dialogue_ids: Sequence[str],
    fractions: Mapping[str, float],
    seed: int = 0,
    strata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Split whole dialogues at random in given shares; the same ids, shares and seed give the same splits anywhere.

    The order of ``dialogue_ids`` does not matter. With strata every split gets its share of each stratum, as far as
    whole dialogues allow.

    Args:
        dialogue_ids: unique ids.
        fractions: split → share, positive, adding up to 1.
        seed: of the shuffle.
        strata: dialogue id → stratum, e.g. its most frequent label; None = no strata.

    Returns:
        Dialogue id → split, in the order of ``dialogue_ids``.

    Raises:
        ConfigError: shares that are not positive or do not add up to 1, or a negative seed.
        CorpusError: so few dialogues that a split would be empty.

    >>> from collections import Counter
    >>> ids = [f"d{number}" for number in range(10)]
    >>> Counter(by_fractions(ids, {"train": 0.8, "dev": 0.1, "test": 0.1}).values())
    Counter({'train': 8, 'dev': 1, 'test': 1})
    """
    if seed < 0:
        raise ConfigError(f"seed {seed} of the splits: expected at least 0")
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ConfigError(f"fractions {dict(fractions)}: shares must be positive and add up to 1, e.g. 0.8, 0.1, 0.1")
    shuffled = sorted(dialogue_ids)
    np.random.default_rng(seed).shuffle(shuffled)
    if strata is not None:
        shuffled.sort(key=lambda dialogue: strata[dialogue])  # stable: stays shuffled inside a stratum
    counts = dict.fromkeys(fractions, 0)
    chosen: dict[str, str] = {}
    for done, dialogue in enumerate(shuffled, start=1):
        # The split that lags furthest behind its share: exact shares overall, and near-exact in any run of dialogues.
        split = max(fractions, key=lambda name: fractions[name] * done - counts[name])
        counts[split] += 1
        chosen[dialogue] = split
    empty = [split for split, count in counts.items() if not count]
    if empty:
        raise CorpusError(
            f"{len(shuffled)} dialogues are too few for the shares {dict(fractions)}: {', '.join(empty)} would be "
            "empty; add dialogues or change the shares"
        )
    return {dialogue: chosen[dialogue] for dialogue in dialogue_ids}
