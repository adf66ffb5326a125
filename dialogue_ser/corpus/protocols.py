"""How corpora are cut into folds: every protocol that ``data.cut`` knows, as pure functions of the dialogues."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.corpus.splits import by_fractions
from dialogue_ser.errors import CorpusError

PARTS = ("train", "dev", "test")
#: What the document of E2 (docs/equations.md, Sources) states, in the order of its words.
SHARES: Mapping[str, float] = {"train": 0.7, "dev": 0.2, "test": 0.1}
#: The session that ``session-5`` tests on.
LAST_SESSION = "5"
#: Orders of the speakers that ``k-fold-speakers`` draws, to keep the one with the most equal groups.
_DRAWS = 50


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


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldProtocol:
    """A way to cut a corpus.

    Args:
        make: dialogues, and the settings in ``takes`` by name → folds.
        tests_all: every utterance is tested by exactly one fold; otherwise by one at most, and some by none.
        takes: settings of the cut that ``make`` asks for: ``seed``, ``n_folds``.
        cuts: ``corpus`` = all of it, into train, dev and test; ``train`` = its train split(s), of which a run learns
            from everything but the fold's test part and keeps the corpus's own dev split (such folds have no dev).
    """

    make: Callable[..., tuple[Fold, ...]]
    tests_all: bool
    takes: tuple[str, ...] = ()
    cuts: Literal["corpus", "train"] = "corpus"


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


def leave_one_speaker_out(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Leave one speaker out (LOSO): see :func:`leave_one_group_out`."""
    return leave_one_group_out(_speakers(dialogues))


def leave_one_speaker_out_partner_dev(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """One fold per speaker: tests on it, chooses on the other speaker of its session, learns from the other sessions.

    IEMOCAP's ten folds, as in E1.

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


def leave_one_session_out(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """One fold per session, dev is the next one: see :func:`leave_one_group_out`. It cuts no dialogue.

    Raises:
        CorpusError: turns without a session, or fewer than three sessions.
    """
    return leave_one_group_out(_attribute(dialogues, "session", "leave-one-session-out"))


def session_5(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
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
    """One fold: 70 % of the utterances to learn from, 20 % to choose on, 10 % to test on (E2), drawn by seed.

    Every class has its share of every part, to within a turn or two; unlabelled turns count as a class. Speakers and
    sessions are in all parts, so scores are higher than on new speakers.

    Raises:
        CorpusError: so few utterances that a part would be empty.
    """
    label = {turn.id: turn.label or "" for turn in utterances(dialogues)}
    part = by_fractions(list(label), SHARES, seed, strata=label)
    return (_fold("70-20-10", part, {name: name for name in PARTS}),)


def own_splits(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
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


def k_fold_speakers(dialogues: Sequence[Dialogue], seed: int, n_folds: int) -> tuple[Fold, ...]:
    """One fold per group of speakers: the group is the test set, the next group the dev set, the others teach.

    The seed draws some orders of the speakers. In each order every speaker joins the group that has the fewest
    utterances so far; the order with the most equal groups is kept. Groups so differ by no more utterances than one
    speaker has. scikit-learn's group folds either pass over these numbers or, for unequal speakers, over the seed.

    Args:
        dialogues: of the whole corpus.
        seed: of the orders.
        n_folds: groups, at least three.

    Raises:
        CorpusError: fewer than three folds, or fewer speakers than folds.
    """
    speaker = _speakers(dialogues)
    n_utterances = Counter(speaker.values())
    if n_folds < 3:
        raise CorpusError(
            f"k-fold-speakers: found {n_folds} folds, but train, dev and test need a group each; set data.cut.n_folds "
            "to 3 or more"
        )
    if len(n_utterances) < n_folds:
        raise CorpusError(
            f"k-fold-speakers: {len(n_utterances)} speaker(s) cannot make {n_folds} groups; set data.cut.n_folds to "
            f"{len(n_utterances)} or less, but to 3 at least"
        )
    draw = np.random.default_rng(seed)
    deals = [_dealt(draw.permutation(sorted(n_utterances)).tolist(), n_utterances, n_folds) for _ in range(_DRAWS)]
    group_of, _ = min(deals, key=lambda deal: deal[1])
    digits = len(str(n_folds))
    return leave_one_group_out({turn: f"group-{group_of[who] + 1:0{digits}d}" for turn, who in speaker.items()})


def k_fold_dialogues(dialogues: Sequence[Dialogue], seed: int, n_folds: int) -> tuple[Fold, ...]:
    """Folds of whole dialogues, dealt by seed: one is the test part, all others teach; there is no dev.

    The same ids, seed and number of folds give the same folds anywhere.

    Args:
        dialogues: of the train split(s).
        seed: of the deal.
        n_folds: at least two.

    Raises:
        CorpusError: fewer dialogues than folds.
    """
    names = [f"fold-{number}" for number in range(n_folds)]
    fold_of = by_fractions([one.id for one in dialogues], dict.fromkeys(names, 1 / n_folds), seed)
    groups = {turn.id: fold_of[one.id] for one in dialogues for turn in one}
    return tuple(_fold(name, groups, {name: "test"}) for name in names)


#: protocol → how it cuts; what ``data.cut.protocol`` knows beside ``none``.
FOLDS: Mapping[str, FoldProtocol] = {
    "leave-one-speaker-out": FoldProtocol(make=leave_one_speaker_out, tests_all=True),
    "leave-one-speaker-out-partner-dev": FoldProtocol(make=leave_one_speaker_out_partner_dev, tests_all=True),
    "k-fold-speakers": FoldProtocol(make=k_fold_speakers, tests_all=True, takes=("seed", "n_folds")),
    "leave-one-session-out": FoldProtocol(make=leave_one_session_out, tests_all=True),
    "session-5": FoldProtocol(make=session_5, tests_all=False),
    "stratified-70-20-10": FoldProtocol(make=stratified_70_20_10, tests_all=False, takes=("seed",)),
    "own-splits": FoldProtocol(make=own_splits, tests_all=False),
    "cross-fit": FoldProtocol(make=k_fold_dialogues, tests_all=True, takes=("seed", "n_folds"), cuts="train"),
}


def _fold(name: str, groups: Mapping[str, str], part_of_group: Mapping[str, str]) -> Fold:
    """The fold whose dev and test are the named groups and whose train is every other one."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for turn, group in groups.items():
        parts[part_of_group.get(group, "train")].append(turn)
    return Fold(name=name, **{part: tuple(ids) for part, ids in parts.items()})


def _dealt(order: Sequence[str], n_utterances: Mapping[str, int], n_groups: int) -> tuple[dict[str, int], int]:
    """Speaker → group, each speaker in turn to the smallest group; and by how many utterances groups differ."""
    sizes = [0] * n_groups
    group_of = {}
    for speaker in order:
        group_of[speaker] = sizes.index(min(sizes))
        sizes[group_of[speaker]] += n_utterances[speaker]
    return group_of, max(sizes) - min(sizes)


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
