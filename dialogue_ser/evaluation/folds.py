"""Folds of a corpus: made and checked, their parts as dialogues, and one fold as a corpus with splits."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name
from dialogue_ser.evaluation.fold_protocols import FOLDS, PARTS, Fold
from dialogue_ser.features.precomputed import ID_IN_CORPUS


def make_folds(protocol: str, dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """The folds of a protocol, checked.

    Args:
        protocol: name in FOLDS.
        dialogues: of the whole corpus.
        seed: of protocols that draw.

    Raises:
        ConfigError: no such protocol, or a negative seed.
        CorpusError: the corpus does not allow it.
    """
    if protocol not in FOLDS:
        raise ConfigError(unknown_name("protocol", protocol, FOLDS))
    folds = FOLDS[protocol].make(dialogues, seed)
    check_folds(folds, [turn.id for turn in utterances(dialogues)], tests_all=FOLDS[protocol].tests_all)
    return folds


def check_folds(folds: Sequence[Fold], ids: Sequence[str], *, tests_all: bool = True) -> None:
    """What every protocol must keep: parts that do not overlap and are not empty, and no utterance tested twice.

    Args:
        folds: of one protocol.
        ids: of every utterance of the corpus.
        tests_all: every utterance must be tested by exactly one fold; otherwise by one at most.

    Raises:
        CorpusError: it does not; one sentence per fold and reason.
    """
    known = set(ids)
    problems = []
    for fold in folds:
        counts = Counter(name for part in PARTS for name in getattr(fold, part))
        twice = [name for name, count in counts.items() if count > 1]
        foreign = [name for name in counts if name not in known]
        if twice:
            problems.append(
                f"fold {fold.name}: {len(twice)} utterances lie in two parts, e.g. {twice[0]}; give one each"
            )
        if foreign:
            problems.append(f"fold {fold.name}: {len(foreign)} ids are not of the corpus, e.g. {foreign[0]}")
        problems += [
            f"fold {fold.name}: {part} is empty; give it utterances" for part in PARTS if not getattr(fold, part)
        ]
    tested = Counter(name for fold in folds for name in fold.test)
    wrong = [name for name in ids if tested[name] > 1 or (tests_all and not tested[name])]
    if wrong:
        often, mend = (
            ("exactly once", "the folds' test parts must make up the corpus")
            if tests_all
            else ("at most once", "the folds' test parts must not overlap")
        )
        problems.append(
            f"{len(wrong)} utterances are not tested {often}, e.g. {wrong[0]} ({tested[wrong[0]]} times); {mend}"
        )
    folders = Counter(folder_name(fold.name) for fold in folds)
    problems += [f"folds: {count} of them share the folder {name!r}" for name, count in folders.items() if count > 1]
    if problems:
        raise CorpusError(*problems)


def folder_name(fold: str) -> str:
    r"""A fold's name as that of a folder: whatever a speaker is called, it leads nowhere else.

    >>> folder_name("Ses01F"), folder_name("Ann/Bo"), folder_name("..")
    ('Ses01F', 'Ann_Bo', '__')
    """
    text = re.sub(r"[^\w .'&+-]", "_", fold)
    return text if text.strip(". ") else "_" * len(text)


def part_of(dialogues: Sequence[Dialogue], ids: Collection[str]) -> tuple[Dialogue, ...]:
    """The dialogues with only the turns whose id is wanted; dialogues without any are left out.

    Where a fold cuts through a dialogue, nothing sees the turns of its other parts: neither context models nor encoders
    that read neighbours.
    """
    wanted = set(ids)
    kept = ((dialogue, tuple(turn for turn in dialogue if turn.id in wanted)) for dialogue in dialogues)
    return tuple(Dialogue(dialogue.id, turns) for dialogue, turns in kept if turns)


def cut_dialogues(dialogues: Sequence[Dialogue], folds: Sequence[Fold]) -> int:
    """Dialogues whose turns lie in several parts of some fold: they are met without part of their context."""
    cut: set[str] = set()
    for fold in folds:
        part = {name: number for number, place in enumerate(PARTS) for name in getattr(fold, place)}
        cut |= {dialogue.id for dialogue in dialogues if len({part.get(turn.id) for turn in dialogue}) > 1}
    return len(cut)


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
    seed: int = 0,
    on_bad: str = "error",
) -> Corpus:
    """A reader: another corpus cut into train, dev and test of one fold, so that ``training.run.train`` can run on it.

    Ids become ``train/<id>``, ``dev/<id>`` and ``test/<id>``; feature files keep those of the corpus.

    Args:
        path: of the other corpus.
        labels: label set.
        corpus: reader of the other corpus.
        protocol: name in FOLDS.
        fold: its name.
        options: of the other reader.
        seed: of protocols that draw.
        on_bad: as in :func:`~dialogue_ser.corpus.readers.read_corpus`.

    Raises:
        ConfigError: no such protocol or fold.
        CorpusError, MissingDataError: the corpus cannot be read or cut.
    """
    whole = read_corpus(corpus, path, labels, on_bad=on_bad, **(options or {}))
    dialogues = all_dialogues(whole)
    found = {one.name: one for one in make_folds(protocol, dialogues, seed)}
    if fold not in found:
        raise ConfigError(unknown_name(f"fold of {protocol}", fold, found))
    splits = {part: _renamed(part_of(dialogues, getattr(found[fold], part)), part) for part in PARTS}
    return replace(whole, splits=splits, warnings=())


def _renamed(dialogues: Sequence[Dialogue], part: str) -> tuple[Dialogue, ...]:
    def renamed(turn: Utterance) -> Utterance:
        return replace(turn, id=f"{part}/{turn.id}", attributes={**turn.attributes, ID_IN_CORPUS: turn.id})

    return tuple(Dialogue(f"{part}/{dialogue.id}", tuple(map(renamed, dialogue))) for dialogue in dialogues)
