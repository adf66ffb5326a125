"""A cut of a corpus is data: a protocol, the fold that is wanted, and the corpus of that fold."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from dialogue_ser.corpus.protocols import FOLDS, PARTS, Fold
from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

#: Attribute that keeps the corpus's own id of an utterance where a cut gives it another one.
ID_IN_CORPUS = "id_in_corpus"
#: As many names of folds as an error lists.
_MOST_NAMED = 12


@dataclass(frozen=True, kw_only=True)  # no slots: jsonargparse asks the vars() of a nested default
class CutConfig:
    """How a corpus is cut after it has been read.

    Args:
        protocol: none = the corpus's own splits; or a name in FOLDS, e.g. leave-one-speaker-out.
        fold: name of one fold, e.g. the speaker that is left out; a protocol with a single fold needs none.
        seed: of protocols that draw; apart from the run's, so that runs of several seeds share one cut.
        n_folds: of protocols that let you choose: k-fold-speakers, cross-fit.

    Raises:
        ConfigError: no such protocol, a fold without a protocol, or numbers out of range; names all of them.
    """

    protocol: str = "none"
    fold: str = ""
    seed: int = 0
    n_folds: int = 5

    def __post_init__(self) -> None:
        problems = []
        if self.protocol not in ("none", *FOLDS):
            problems.append(f"data.cut.protocol: {unknown_name('protocol', self.protocol, ['none', *FOLDS])}")
        if self.protocol == "none" and self.fold:
            problems.append(
                f"data.cut.fold: found {self.fold!r} without a protocol; name one with data.cut.protocol, or leave it "
                "away"
            )
        for name, least in (("seed", 0), ("n_folds", 2)):
            if getattr(self, name) < least:
                problems.append(f"data.cut.{name}: found {getattr(self, name)}, expected at least {least}")
        if problems:
            raise ConfigError(*problems)


def cut(corpus: Corpus, config: CutConfig, *, train: str = "train", dev: str = "dev") -> Corpus:
    """The corpus that one run learns from and is judged on.

    Without a protocol it is the corpus as it is. Otherwise it has the splits train, dev and test of one fold, where ids
    become ``train/<id>``, ``dev/<id>`` and ``test/<id>``; feature files keep those of the corpus. ``cross-fit`` keeps
    the corpus's own ids: it leaves the train split(s) without the fold, the dev split, and nothing else.

    Args:
        corpus: the whole.
        config: protocol and fold.
        train: of ``cross-fit``: the train split(s), joined by ``+``.
        dev: of ``cross-fit``: the dev split.

    Raises:
        ConfigError: no such fold, or none is named and there are several.
        CorpusError: the corpus does not allow the protocol.
    """
    if config.protocol == "none":
        return corpus
    if FOLDS[config.protocol].cuts == "train":
        learnt = {name: corpus.split(name) for name in train.split("+")}
        fold = _wanted([one for some in learnt.values() for one in some], config)
        kept = {name: part_of(some, fold.train) for name, some in learnt.items()}
        return replace(corpus, splits={**kept, dev: corpus.split(dev)})
    dialogues = all_dialogues(corpus)
    fold = _wanted(dialogues, config)
    return replace(corpus, splits={part: _renamed(part_of(dialogues, getattr(fold, part)), part) for part in PARTS})


def make_folds(protocol: str, dialogues: Sequence[Dialogue], seed: int = 0, n_folds: int = 5) -> tuple[Fold, ...]:
    """The folds of a protocol, checked.

    Args:
        protocol: name in FOLDS.
        dialogues: of the whole corpus; of ``cross-fit`` those of the train split(s).
        seed: of protocols that draw.
        n_folds: of protocols that let you choose.

    Raises:
        ConfigError: no such protocol, or a number out of range.
        CorpusError: the corpus does not allow it.
    """
    if protocol not in FOLDS:
        raise ConfigError(unknown_name("protocol", protocol, FOLDS))
    config = CutConfig(protocol=protocol, seed=seed, n_folds=n_folds)
    how = FOLDS[protocol]
    folds = how.make(dialogues, **{name: getattr(config, name) for name in how.takes})
    parts = PARTS if how.cuts == "corpus" else ("train", "test")
    check_folds(folds, [turn.id for turn in utterances(dialogues)], tests_all=how.tests_all, parts=parts)
    return folds


def check_folds(
    folds: Sequence[Fold], ids: Sequence[str], *, tests_all: bool = True, parts: Sequence[str] = PARTS
) -> None:
    """What every protocol must keep: parts that do not overlap and are not empty, and no utterance tested twice.

    Args:
        folds: of one protocol.
        ids: of every utterance of the corpus.
        tests_all: every utterance must be tested by exactly one fold; otherwise by one at most.
        parts: that may not be empty.

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
            f"fold {fold.name}: {part} is empty; give it utterances" for part in parts if not getattr(fold, part)
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


def _wanted(dialogues: Sequence[Dialogue], config: CutConfig) -> Fold:
    """The fold that is named, or the only one."""
    folds = {one.name: one for one in make_folds(config.protocol, dialogues, config.seed, config.n_folds)}
    if not config.fold and len(folds) == 1:
        return next(iter(folds.values()))
    if not config.fold:
        names = list(folds)
        command = "crossval" if FOLDS[config.protocol].cuts == "corpus" else "crossfit"
        more = f", … ({len(names)} in all)" if len(names) > _MOST_NAMED else ""
        raise ConfigError(
            f"data.cut.fold: {config.protocol} has {len(names)} folds ({', '.join(names[:_MOST_NAMED])}{more}); name "
            f"one with --data.cut.fold, or run them all with dialogue-ser {command}"
        )
    if config.fold not in folds:
        raise ConfigError(f"data.cut.fold: {unknown_name(f'fold of {config.protocol}', config.fold, folds)}")
    return folds[config.fold]


def _renamed(dialogues: Sequence[Dialogue], part: str) -> tuple[Dialogue, ...]:
    def renamed(turn: Utterance) -> Utterance:
        return replace(turn, id=f"{part}/{turn.id}", attributes={**turn.attributes, ID_IN_CORPUS: turn.id})

    return tuple(Dialogue(f"{part}/{dialogue.id}", tuple(map(renamed, dialogue))) for dialogue in dialogues)
