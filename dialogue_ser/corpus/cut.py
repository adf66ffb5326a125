"""Cut a corpus: the settings name a protocol and one of its folds, and the result is the corpus of that fold."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dialogue_ser.corpus.protocols import FOLDS, PARTS, Fold
from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.corpus.splits import split_by_fractions
from dialogue_ser.durable import short_name
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

#: A cut gives an utterance a new id. This attribute keeps the id that the corpus gave it.
ID_IN_CORPUS = "id_in_corpus"
#: An error message lists at most this many names of folds.
_MAX_NAMED_FOLDS = 12


@dataclass(frozen=True, kw_only=True)  # no slots: jsonargparse calls vars() on a nested default
class CutConfig:
    """How a corpus is cut after it has been read.

    Args:
        protocol: none = use the corpus's own splits; otherwise the name of a protocol, e.g. leave-one-speaker-out
            (docs/crossval.md lists them).
        fold: name of the fold to use, e.g. the speaker that is left out. Leave it empty if the protocol has only one
            fold.
        seed: seed for the protocols that divide the corpus at random. It is not the seed of the run: runs with
            different seeds can then use the same cut.
        n_folds: number of folds. Only the protocols k-fold-speakers and cross-fit use it. With more folds, each model
            learns from more data, but there are more models to train.

    Raises:
        ConfigError: the protocol does not exist, a fold is given without a protocol, or a number is out of range. The
            error names all of these.
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
                f"data.cut.fold: found {self.fold!r} without a protocol; name a protocol with data.cut.protocol, or "
                "leave the fold out"
            )
        for name, least in (("seed", 0), ("n_folds", 2)):
            if getattr(self, name) < least:
                problems.append(f"data.cut.{name}: found {getattr(self, name)}, expected at least {least}")
        if problems:
            raise ConfigError(*problems)


def cut(corpus: Corpus, config: CutConfig, *, train: str = "train", dev: str = "dev") -> Corpus:
    """Return the corpus on which one run is trained and evaluated.

    Without a protocol this is the corpus itself. With a protocol it has the splits train, dev and test of one fold. The
    ids become ``train/<id>``, ``dev/<id>`` and ``test/<id>``; feature files keep the ids of the corpus.

    The protocol ``cross-fit`` keeps the corpus's own ids. Its result holds the train split(s) without the test part of
    the fold, and the dev split. It has no test split.

    Args:
        corpus: the whole corpus.
        config: protocol and fold.
        train: name(s) of the train split(s), joined by ``+``; only ``cross-fit`` uses it.
        dev: name of the dev split; only ``cross-fit`` uses it.

    Raises:
        ConfigError: the fold does not exist, or no fold is named although the protocol has several.
        CorpusError: the protocol cannot be used on this corpus.
    """
    if config.protocol == "none":
        return corpus
    if FOLDS[config.protocol].cuts == "train":
        train_splits = {name: corpus.split(name) for name in train.split("+")}
        fold = _find_fold([one for dialogues in train_splits.values() for one in dialogues], config)
        kept = {name: select_turns(dialogues, fold.train) for name, dialogues in train_splits.items()}
        return replace(corpus, splits={**kept, dev: corpus.split(dev)})
    dialogues = all_dialogues(corpus)
    fold = _find_fold(dialogues, config)
    parts = {part: select_turns(dialogues, getattr(fold, part)) for part in PARTS}
    return replace(corpus, splits={part: _with_part_in_ids(kept, part) for part, kept in parts.items()})


def carve(corpus: Corpus, fractions: Mapping[str, float], seed: int = 0, *, source: str = "train") -> Corpus:
    """Return the corpus with new splits. Whole dialogues are drawn for them at random from one of its splits.

    The id of a drawn turn begins with its new split; feature files keep the ids of the corpus. A warning counts the
    dialogues of each new split.

    Args:
        corpus: the corpus.
        fractions: new split → share of the dialogues of ``source``. The sum must be less than 1.
        seed: seed of the draw.
        source: the split that gives its dialogues.

    Raises:
        ConfigError: a split exists already, or the shares are out of range.
        CorpusError: ``source`` does not exist, or has too few dialogues.
    """
    there = [name for name in fractions if name in corpus.splits]
    if there:
        raise ConfigError(
            f"fractions: the corpus has a split {', '.join(there)} already; leave it out of the fractions"
        )
    dialogues = corpus.split(source)
    shares = {source: 1 - sum(fractions.values()), **fractions}
    split_of = split_by_fractions([dialogue.id for dialogue in dialogues], shares, seed)
    parts = {split: tuple(one for one in dialogues if split_of[one.id] == split) for split in shares}
    drawn = {split: _with_part_in_ids(parts[split], split, instead_of=source) for split in fractions}
    counts = ", ".join(f"{split} {len(found)}" for split, found in drawn.items())
    warning = (
        f"{counts} of the {len(dialogues)} dialogues of {source} were drawn at random (seed {seed}, option fractions)"
    )
    return replace(
        corpus, splits={**corpus.splits, source: parts[source], **drawn}, warnings=(*corpus.warnings, warning)
    )


def make_folds(protocol: str, dialogues: Sequence[Dialogue], seed: int = 0, n_folds: int = 5) -> tuple[Fold, ...]:
    """Make the folds of a protocol and check them.

    Args:
        protocol: name in FOLDS.
        dialogues: all dialogues of the corpus; for ``cross-fit`` only those of the train split(s).
        seed: seed of the protocols that draw at random.
        n_folds: number of folds of the protocols that let you choose it.

    Raises:
        ConfigError: the protocol does not exist, or a number is out of range.
        CorpusError: the protocol cannot be used on this corpus.
    """
    if protocol not in FOLDS:
        raise ConfigError(unknown_name("protocol", protocol, FOLDS))
    config = CutConfig(protocol=protocol, seed=seed, n_folds=n_folds)
    rules = FOLDS[protocol]
    folds = rules.make(dialogues, **{name: getattr(config, name) for name in rules.takes})
    parts = PARTS if rules.cuts == "corpus" else ("train", "test")
    check_folds(folds, [turn.id for turn in utterances(dialogues)], tests_all=rules.tests_all, parts=parts)
    return folds


def check_folds(
    folds: Sequence[Fold], ids: Sequence[str], *, tests_all: bool = True, parts: Sequence[str] = PARTS
) -> None:
    """Check the rules that the folds of every protocol must keep.

    The parts of a fold must not overlap and must not be empty. No utterance may be tested twice.

    Args:
        folds: the folds of one protocol.
        ids: the ids of all utterances of the corpus.
        tests_all: True = every utterance must be tested by exactly one fold; False = by at most one.
        parts: the parts that must not be empty.

    Raises:
        CorpusError: a fold breaks a rule; one sentence for each fold and reason.
    """
    known = set(ids)
    problems = [problem for fold in folds for problem in _part_problems(fold, known, parts)]
    problems += _test_problems(folds, ids, tests_all)
    folders = Counter(folder_name(fold.name) for fold in folds)
    problems += [
        f"folds: {count} of them would share the folder {name!r}; give them names that differ in letters or numbers"
        for name, count in folders.items()
        if count > 1
    ]
    if problems:
        raise CorpusError(*problems)


def _part_problems(fold: Fold, known: Collection[str], parts: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the parts of one fold."""
    counts = Counter(name for part in PARTS for name in getattr(fold, part))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        yield (
            f"fold {fold.name}: {len(twice)} utterances lie in two parts, e.g. {twice[0]}; put each utterance into one "
            "part"
        )
    foreign = [name for name in counts if name not in known]
    if foreign:
        yield f"fold {fold.name}: {len(foreign)} ids are not in the corpus, e.g. {foreign[0]}; remove them"
    for part in parts:
        if not getattr(fold, part):
            yield f"fold {fold.name}: {part} is empty; give it utterances"


def _test_problems(folds: Sequence[Fold], ids: Sequence[str], tests_all: bool) -> Iterator[str]:
    """Yield what is wrong with the test parts of all folds together."""
    tested = Counter(name for fold in folds for name in fold.test)
    wrong = [name for name in ids if tested[name] > 1 or (tests_all and not tested[name])]
    if wrong:
        often, mend = (
            ("exactly once", "the test parts of all folds together must be the corpus")
            if tests_all
            else ("at most once", "the test parts of the folds must not overlap")
        )
        yield f"{len(wrong)} utterances are not tested {often}, e.g. {wrong[0]} ({tested[wrong[0]]} times); {mend}"


def folder_name(fold: str) -> str:
    r"""Return a folder name for a fold. Characters that could lead to another folder become ``_``.

    >>> folder_name("Ses01F"), folder_name("Ann/Bo"), folder_name("..")
    ('Ses01F', 'Ann_Bo', '__')
    """
    text = re.sub(r"[^\w .'&+-]", "_", fold)
    return short_name(text) if text.strip(". ") else "_" * len(text)


def select_turns(dialogues: Sequence[Dialogue], ids: Collection[str]) -> tuple[Dialogue, ...]:
    """Return the dialogues with only those turns whose id is in ``ids``. Dialogues without such a turn are left out.

    If a fold cuts through a dialogue, its turns in the other parts are removed. Neither a context model nor an
    encoder that reads neighbouring turns can see them.
    """
    wanted = set(ids)
    kept = ((dialogue, tuple(turn for turn in dialogue if turn.id in wanted)) for dialogue in dialogues)
    return tuple(Dialogue(dialogue.id, turns) for dialogue, turns in kept if turns)


def count_cut_dialogues(dialogues: Sequence[Dialogue], folds: Sequence[Fold]) -> int:
    """Count the dialogues that a fold cuts: their turns lie in several parts and have lost some of their context."""
    cut_ids: set[str] = set()
    for fold in folds:
        part_of_turn = {turn_id: part for part in PARTS for turn_id in getattr(fold, part)}
        cut_ids |= {dialogue.id for dialogue in dialogues if len({part_of_turn.get(turn.id) for turn in dialogue}) > 1}
    return len(cut_ids)


def all_dialogues(corpus: Corpus) -> tuple[Dialogue, ...]:
    """Return the dialogues of all splits, in order."""
    return tuple(dialogue for dialogues in corpus.splits.values() for dialogue in dialogues)


def _find_fold(dialogues: Sequence[Dialogue], config: CutConfig) -> Fold:
    """Return the fold that the settings name, or the only fold of the protocol."""
    folds = {one.name: one for one in make_folds(config.protocol, dialogues, config.seed, config.n_folds)}
    if not config.fold and len(folds) == 1:
        return next(iter(folds.values()))
    if not config.fold:
        names = list(folds)
        command = "crossval" if FOLDS[config.protocol].cuts == "corpus" else "crossfit"
        more = f", … ({len(names)} in all)" if len(names) > _MAX_NAMED_FOLDS else ""
        shown = ", ".join(names[:_MAX_NAMED_FOLDS])
        raise ConfigError(
            f"data.cut.fold: {config.protocol} has {len(names)} folds ({shown}{more}); name "
            f"one with --data.cut.fold, or run them all with dialogue-ser {command}"
        )
    if config.fold not in folds:
        raise ConfigError(f"data.cut.fold: {unknown_name(f'fold of {config.protocol}', config.fold, folds)}")
    return folds[config.fold]


def _with_part_in_ids(dialogues: Sequence[Dialogue], part: str, instead_of: str | None = None) -> tuple[Dialogue, ...]:
    """Put the name of a part before the ids, or in the place of the split that they begin with."""

    def named(name: str) -> str:
        return f"{part}/{name if instead_of is None else name.removeprefix(f'{instead_of}/')}"

    def with_part(turn: Utterance) -> Utterance:
        return replace(turn, id=named(turn.id), attributes={**turn.attributes, ID_IN_CORPUS: turn.id})

    return tuple(Dialogue(named(dialogue.id), tuple(map(with_part, dialogue))) for dialogue in dialogues)
