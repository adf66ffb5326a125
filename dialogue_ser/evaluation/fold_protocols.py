"""How corpora are cut into folds: every protocol that `dialogue-ser crossval` knows, as pure functions of the turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.corpus.splits import by_fractions
from dialogue_ser.errors import CorpusError

PARTS = ("train", "dev", "test")
#: What document E2 states, in the order of its words.
SHARES: Mapping[str, float] = {"train": 0.7, "dev": 0.2, "test": 0.1}
#: The session that ``session-5`` tests on.
LAST_SESSION = "5"


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


FoldMaker = Callable[[Sequence[Dialogue], int], tuple[Fold, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldProtocol:
    """A way to cut a corpus.

    Args:
        make: dialogues and a seed, of which only protocols that draw take notice → folds.
        tests_all: every utterance is tested by exactly one fold; otherwise by one at most, and some by none.
    """

    make: FoldMaker
    tests_all: bool


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
    return tuple(
        _fold(name, groups, {name: "test", names[(place + 1) % len(names)]: "dev"}) for place, name in enumerate(names)
    )


def leave_one_speaker_out(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """Leave one speaker out (LOSO): see :func:`leave_one_group_out`."""
    return leave_one_group_out(_speakers(dialogues))


def leave_one_speaker_out_partner_dev(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """One fold per speaker: tests on it, chooses on the other speaker of its session, learns from the other sessions.

    IEMOCAP's ten folds (document E1).

    Raises:
        CorpusError: turns without a session, sessions of other than two speakers, speakers in several sessions (they
            would be learnt from and tested on), or a single session: all of them.
    """
    protocol = "leave-one-speaker-out-partner-dev"
    session, speaker = _attribute(dialogues, "session", protocol), _speakers(dialogues)
    members: dict[str, set[str]] = {}
    for turn, place in session.items():
        members.setdefault(place, set()).add(speaker[turn])
    _check_pairs(members, protocol)
    folds = []
    for _, pair in sorted(members.items()):
        first, second = sorted(pair)
        for test, dev in ((first, second), (second, first)):
            # Pairs share no speaker, so all turns of both lie in this session.
            folds.append(_fold(test, speaker, {test: "test", dev: "dev"}))
    return tuple(folds)


def leave_one_session_out(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """One fold per session, dev is the next one: see :func:`leave_one_group_out`. It cuts no dialogue.

    Raises:
        CorpusError: turns without a session, or fewer than three sessions.
    """
    return leave_one_group_out(_attribute(dialogues, "session", "leave-one-session-out"))


def session_5(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """The fold of :func:`leave_one_session_out` that tests on session 5; sessions 1 to 4 are not tested.

    Raises:
        CorpusError: turns without a session, fewer than three sessions, or none called 5.
    """
    folds = leave_one_group_out(_attribute(dialogues, "session", "session-5"))
    if LAST_SESSION not in {fold.name for fold in folds}:
        found = ", ".join(fold.name for fold in folds)
        raise CorpusError(f"session-5: the corpus has no session 5 (it has {found}); use leave-one-session-out")
    return tuple(fold for fold in folds if fold.name == LAST_SESSION)


def stratified_70_20_10(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """One fold: 70 % of the utterances to learn from, 20 % to choose on, 10 % to test on (document E2), drawn by seed.

    Every class has its share of every part, to within a turn or two; unlabelled turns count as a class. Speakers and
    sessions are in all parts, so scores are higher than on new speakers.

    Raises:
        CorpusError: so few utterances that a part would be empty.
    """
    label = {turn.id: turn.label or "" for turn in utterances(dialogues)}
    part = by_fractions(list(label), SHARES, seed, strata=label)
    return (_fold("70-20-10", part, {name: name for name in PARTS}),)


def own_splits(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """One fold: the corpus's own splits train, dev and test; others are left out.

    Raises:
        CorpusError: a corpus without one of them.
    """
    split = {turn.id: turn.id.partition("/")[0] for turn in utterances(dialogues)}
    missing = [part for part in PARTS if part not in split.values()]
    if missing:
        found = ", ".join(dict.fromkeys(split.values()))
        raise CorpusError(
            f"own-splits: the corpus has no split {' and no split '.join(missing)} (it has {found}); choose a protocol "
            "that cuts it, e.g. leave-one-speaker-out"
        )
    kept = {turn: part for turn, part in split.items() if part in PARTS}
    return (_fold("own-splits", kept, {name: name for name in PARTS}),)


#: protocol → how it cuts; what `dialogue-ser crossval` knows.
FOLDS: Mapping[str, FoldProtocol] = {
    "leave-one-speaker-out": FoldProtocol(make=leave_one_speaker_out, tests_all=True),
    "leave-one-speaker-out-partner-dev": FoldProtocol(make=leave_one_speaker_out_partner_dev, tests_all=True),
    "leave-one-session-out": FoldProtocol(make=leave_one_session_out, tests_all=True),
    "session-5": FoldProtocol(make=session_5, tests_all=False),
    "stratified-70-20-10": FoldProtocol(make=stratified_70_20_10, tests_all=False),
    "own-splits": FoldProtocol(make=own_splits, tests_all=False),
}


def _fold(name: str, groups: Mapping[str, str], part_of_group: Mapping[str, str]) -> Fold:
    """The fold whose dev and test are the named groups and whose train is every other one."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for turn, group in groups.items():
        parts[part_of_group.get(group, "train")].append(turn)
    return Fold(name=name, **{part: tuple(ids) for part, ids in parts.items()})


def _speakers(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    return {turn.id: turn.speaker for turn in utterances(dialogues)}


def _attribute(dialogues: Sequence[Dialogue], name: str, protocol: str) -> dict[str, str]:
    """Value of an attribute by utterance id.

    Raises:
        CorpusError: turns without it.
    """
    turns = list(utterances(dialogues))
    without = [turn.id for turn in turns if not turn.attributes.get(name)]
    if without:
        raise CorpusError(
            f"{protocol}: {len(without)} of {len(turns)} utterances have no {name}, e.g. {without[0]}; use a reader "
            f"that fills the attribute {name!r} (iemocap does), or another protocol, e.g. leave-one-speaker-out"
        )
    return {turn.id: turn.attributes[name] for turn in turns}


def _check_pairs(members: Mapping[str, set[str]], protocol: str) -> None:
    problems = [
        f"{protocol}: session {session} has {len(found)} speaker(s) ({', '.join(sorted(found))}), but one tests and "
        "the other chooses; give it two, or use leave-one-session-out"
        for session, found in sorted(members.items())
        if len(found) != 2
    ]
    for speaker in sorted({speaker for found in members.values() for speaker in found}):
        places = sorted(session for session, found in members.items() if speaker in found)
        if len(places) > 1:
            problems.append(
                f"{protocol}: {speaker} speaks in the sessions {', '.join(places)}, so it would be learnt from and "
                "tested on; use leave-one-speaker-out"
            )
    if len(members) < 2:
        problems.append(f"{protocol}: found {len(members)} session(s), but one is tested and others teach; give two")
    if problems:
        raise CorpusError(*problems)
