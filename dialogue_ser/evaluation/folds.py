"""Folds as data: which utterances each fold of a protocol learns from, chooses on and is tested on."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

PARTS = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One fold.

    Args:
        name: unique inside the protocol, e.g. the speaker left out.
        train: ids of the utterances it learns from.
        dev: ids that choose.
        test: ids it is tested on.
    """

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


FoldMaker = Callable[[Sequence[Dialogue]], tuple[Fold, ...]]


def leave_one_group_out(groups: Mapping[str, str]) -> tuple[Fold, ...]:
    """One fold per group (speaker, session, …): it is the test set, the next group in sorted order the dev set.

    After the last group comes the first. What speaks for the next group: it needs no seed, and every group is dev once.

    Args:
        groups: utterance id → group.

    Raises:
        CorpusError: fewer than three groups, so that nothing is left to learn from.

    >>> [(fold.name, fold.dev, fold.train) for fold in leave_one_group_out({"u1": "b", "u2": "a", "u3": "c"})]
    [('a', ('u1',), ('u3',)), ('b', ('u3',), ('u2',)), ('c', ('u2',), ('u1',))]
    """
    names = sorted(set(groups.values()))
    if len(names) < 3:
        raise CorpusError(
            f"leave one out: found {len(names)} group(s) ({', '.join(names)}), but train, dev and test need one each; "
            "use a corpus with at least three"
        )
    folds = []
    for place, name in enumerate(names):
        dev = names[(place + 1) % len(names)]
        parts: dict[str, list[str]] = {part: [] for part in PARTS}
        for utterance, group in groups.items():
            parts["test" if group == name else "dev" if group == dev else "train"].append(utterance)
        folds.append(Fold(name=name, **{part: tuple(ids) for part, ids in parts.items()}))
    return tuple(folds)


def leave_one_speaker_out(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Leave one speaker out (LOSO): see :func:`leave_one_group_out`."""
    return leave_one_group_out({turn.id: turn.speaker for turn in utterances(dialogues)})


#: protocol → dialogues to folds; what `dialogue-ser crossval` can cut by.
FOLDS: Mapping[str, FoldMaker] = {"leave-one-speaker-out": leave_one_speaker_out}


def make_folds(protocol: str, dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """The folds of a protocol, checked.

    Raises:
        ConfigError: no such protocol.
        CorpusError: the corpus does not allow it.
    """
    if protocol not in FOLDS:
        raise ConfigError(unknown_name("protocol", protocol, FOLDS))
    folds = FOLDS[protocol](dialogues)
    check_folds(folds, [turn.id for turn in utterances(dialogues)])
    return folds


def check_folds(folds: Sequence[Fold], ids: Sequence[str]) -> None:
    """What every protocol must keep: parts that do not overlap, and each utterance tested exactly once over all folds.

    Raises:
        CorpusError: it does not; one sentence per fold and reason.
    """
    problems = []
    for fold in folds:
        counts = Counter(name for part in PARTS for name in getattr(fold, part))
        twice = [name for name, count in counts.items() if count > 1]
        empty = [part for part in PARTS if not getattr(fold, part)]
        if twice:
            problems.append(
                f"fold {fold.name}: {len(twice)} utterances lie in two parts, e.g. {twice[0]}; give one each"
            )
        problems += [f"fold {fold.name}: {part} is empty; give it utterances" for part in empty]
    tested = Counter(name for fold in folds for name in fold.test)
    wrong = [name for name in ids if tested[name] != 1] + [name for name in tested if name not in set(ids)]
    if wrong:
        problems.append(
            f"{len(wrong)} utterances are not tested exactly once, e.g. {wrong[0]} ({tested[wrong[0]]} times); "
            "the folds' test parts must make up the corpus"
        )
    if problems:
        raise CorpusError(*problems)


def part_of(dialogues: Sequence[Dialogue], ids: Collection[str]) -> tuple[Dialogue, ...]:
    """The dialogues with only the turns whose id is wanted; dialogues without any are left out."""
    wanted = set(ids)
    kept = ((dialogue, tuple(turn for turn in dialogue if turn.id in wanted)) for dialogue in dialogues)
    return tuple(Dialogue(dialogue.id, turns) for dialogue, turns in kept if turns)


def all_dialogues(corpus: Corpus) -> tuple[Dialogue, ...]:
    """Dialogues of every split, in order."""
    return tuple(dialogue for dialogues in corpus.splits.values() for dialogue in dialogues)


def read_fold(
    path: str | Path | None,
    labels: str,
    corpus: str,
    protocol: str,
    fold: str,
    options: Mapping[str, Any] | None = None,
    on_bad: str = "error",
) -> Corpus:
    """A reader: another corpus cut into train, dev and test of one fold, so that ``training.run.train`` can run on it.

    Ids become ``train/<id>``, ``dev/<id>`` and ``test/<id>``.

    Args:
        path: of the other corpus.
        labels: label set.
        corpus: reader of the other corpus.
        protocol: name in FOLDS.
        fold: its name.
        options: of the other reader.
        on_bad: as in :func:`~dialogue_ser.corpus.readers.read_corpus`.

    Raises:
        ConfigError: no such protocol or fold.
        CorpusError, MissingDataError: the corpus cannot be read or cut.
    """
    whole = read_corpus(corpus, path, labels, on_bad=on_bad, **(options or {}))
    dialogues = all_dialogues(whole)
    found = {one.name: one for one in make_folds(protocol, dialogues)}
    if fold not in found:
        raise ConfigError(unknown_name(f"fold of {protocol}", fold, found))
    splits = {part: _renamed(part_of(dialogues, getattr(found[fold], part)), part) for part in PARTS}
    return replace(whole, splits=splits, warnings=())


def _renamed(dialogues: Sequence[Dialogue], part: str) -> tuple[Dialogue, ...]:
    return tuple(
        Dialogue(f"{part}/{dialogue.id}", tuple(replace(turn, id=f"{part}/{turn.id}") for turn in dialogue))
        for dialogue in dialogues
    )
