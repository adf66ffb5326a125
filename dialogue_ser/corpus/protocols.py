"""The protocols that ``data.cut`` knows. Each is a pure function that cuts dialogues into folds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.corpus.splits import split_by_fractions
from dialogue_ser.errors import CorpusError

PARTS = ("train", "dev", "test")
#: The shares that the document of E2 states (docs/equations.md, Sources), in its order.
SHARES: Mapping[str, float] = {"train": 0.7, "dev": 0.2, "test": 0.1}
#: The session that ``session-5`` tests on.
LAST_SESSION = "5"
#: ``k-fold-speakers`` draws this many orders of the speakers and keeps the one whose groups have the most equal sizes.
_N_ORDERS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One fold.

    Args:
        name: unique in the protocol, e.g. the speaker that is left out.
        train: ids of the utterances on which a model is trained.
        dev: ids of the utterances that choose the epoch and the settings.
        test: ids of the utterances on which the model is tested.
    """

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldProtocol:
    """A way to cut a corpus.

    Args:
        make: function that makes the folds. It gets the dialogues, and the settings in ``takes`` by name.
        tests_all: True = exactly one fold tests each utterance; False = some utterances may be tested by no fold.
        takes: settings of the cut that ``make`` needs: ``seed``, ``n_folds``.
        cuts: ``corpus`` = the folds divide the whole corpus into train, dev and test. ``train`` = the folds divide only
            the train split(s), and have no dev part. A run then trains on everything in them except the fold's test
            part, and keeps the corpus's own dev split.
    """

    make: Callable[..., tuple[Fold, ...]]
    tests_all: bool
    takes: tuple[str, ...] = ()
    cuts: Literal["corpus", "train"] = "corpus"


def leave_one_group_out(groups: Mapping[str, str]) -> tuple[Fold, ...]:
    """Make one fold per group (speaker, session, …): the group is test, and the next group in sorted order is dev.

    For the last group the first group is dev. This rule needs no seed, and every group is dev once.

    Args:
        groups: utterance id → group.

    Raises:
        CorpusError: there are fewer than three groups, so nothing is left for training.

    >>> [(fold.name, fold.dev, fold.train) for fold in leave_one_group_out({"u1": "b", "u2": "a", "u3": "c"})]
    [('a', ('u1',), ('u3',)), ('b', ('u3',), ('u2',)), ('c', ('u2',), ('u1',))]
    """
    names = sorted(set(groups.values()))
    if len(names) < 3:
        raise CorpusError(
            f"leave one out: found {len(names)} group(s) ({', '.join(names)}), but train, dev and test need one each; "
            "use a corpus with at least three, or another protocol (--data.cut.protocol; own-splits keeps the splits)"
        )
    return tuple(
        _fold(name, groups, {name: "test", names[(number + 1) % len(names)]: "dev"})
        for number, name in enumerate(names)
    )


def leave_one_speaker_out(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Leave one speaker out (LOSO): one fold per speaker, see :func:`leave_one_group_out`."""
    return leave_one_group_out(_speaker_by_turn(dialogues))


def leave_one_speaker_out_partner_dev(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Make one fold per speaker: the speaker is test, the other speaker of the session is dev, and the rest is train.

    On IEMOCAP these are the ten folds of E1.

    Raises:
        CorpusError: a turn has no session, a session does not have exactly two speakers, a speaker is in several
            sessions (and would be both in train and in test), or there is only one session. The error lists all cases.
    """
    protocol = "leave-one-speaker-out-partner-dev"
    session_by_turn, speaker_by_turn = _attribute_by_turn(dialogues, "session", protocol), _speaker_by_turn(dialogues)
    speakers_by_session: dict[str, set[str]] = {}
    for turn, session in session_by_turn.items():
        speakers_by_session.setdefault(session, set()).add(speaker_by_turn[turn])
    _check_pairs(speakers_by_session, protocol)
    folds = []
    for _, pair in sorted(speakers_by_session.items()):
        first, second = sorted(pair)
        for test, dev in ((first, second), (second, first)):
            # A speaker belongs to one session only, so these two parts are exactly the session.
            folds.append(_fold(test, speaker_by_turn, {test: "test", dev: "dev"}))
    return tuple(folds)


def leave_one_session_out(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Make one fold per session; dev is the next session, see :func:`leave_one_group_out`. No dialogue is cut.

    Raises:
        CorpusError: a turn has no session, or there are fewer than three sessions.
    """
    return leave_one_group_out(_attribute_by_turn(dialogues, "session", "leave-one-session-out"))


def session_5(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Make only the fold of :func:`leave_one_session_out` that tests on session 5. Sessions 1 to 4 are not tested.

    Raises:
        CorpusError: a turn has no session, there are fewer than three sessions, or no session is called 5.
    """
    folds = leave_one_group_out(_attribute_by_turn(dialogues, "session", "session-5"))
    if LAST_SESSION not in {fold.name for fold in folds}:
        found = ", ".join(fold.name for fold in folds)
        raise CorpusError(f"session-5: the corpus has no session 5 (it has {found}); use leave-one-session-out")
    return tuple(fold for fold in folds if fold.name == LAST_SESSION)


def stratified_70_20_10(dialogues: Sequence[Dialogue], seed: int = 0) -> tuple[Fold, ...]:
    """Make one fold: 70 % of the utterances are train, 20 % dev and 10 % test (E2), drawn by seed.

    Every class has these shares, to within a turn or two; unlabelled turns count as a class. All speakers and sessions
    are in all parts, so the scores are higher than they would be on new speakers.

    Raises:
        CorpusError: there are so few utterances that a part would be empty.
    """
    label_by_turn = {turn.id: turn.label or "" for turn in utterances(dialogues)}
    part_by_turn = split_by_fractions(list(label_by_turn), SHARES, seed, strata=label_by_turn)
    return (_fold("70-20-10", part_by_turn, {name: name for name in PARTS}),)


def own_splits(dialogues: Sequence[Dialogue]) -> tuple[Fold, ...]:
    """Make one fold from the corpus's own splits train, dev and test. Other splits are left out.

    Raises:
        CorpusError: the corpus lacks one of these splits.
    """
    split_by_turn = {turn.id: turn.id.partition("/")[0] for turn in utterances(dialogues)}
    missing = [part for part in PARTS if part not in split_by_turn.values()]
    if missing:
        found = ", ".join(dict.fromkeys(split_by_turn.values()))
        raise CorpusError(
            f"own-splits: the corpus has no split {' and no split '.join(missing)} (it has {found}); choose a protocol "
            "that cuts it, e.g. leave-one-speaker-out"
        )
    kept = {turn: split for turn, split in split_by_turn.items() if split in PARTS}
    return (_fold("own-splits", kept, {name: name for name in PARTS}),)


def k_fold_speakers(dialogues: Sequence[Dialogue], seed: int, n_folds: int) -> tuple[Fold, ...]:
    """Make one fold per group of speakers: the group is test, the next group is dev, and the others are train.

    The seed draws some orders of the speakers. In each order every speaker joins the group that has the fewest
    utterances so far. The order whose groups have the most equal sizes is kept. The sizes of two groups differ at most
    by the number of utterances of one speaker. scikit-learn's group folds are not used: some ignore how many utterances
    a speaker has, the others ignore the seed if the speakers differ in this.

    Args:
        dialogues: all dialogues of the corpus.
        seed: seed of the orders.
        n_folds: number of groups, at least three.

    Raises:
        CorpusError: there are fewer than three folds, or fewer speakers than folds.
    """
    speaker_by_turn = _speaker_by_turn(dialogues)
    n_utterances = Counter(speaker_by_turn.values())
    if n_folds < 3:
        raise CorpusError(
            f"k-fold-speakers: found {n_folds} folds, but train, dev and test need a group each; set data.cut.n_folds "
            "to 3 or more"
        )
    if len(n_utterances) < n_folds:
        raise CorpusError(
            f"k-fold-speakers: {len(n_utterances)} speaker(s) cannot make {n_folds} groups; set data.cut.n_folds to "
            f"at least 3 and at most {len(n_utterances)}, or use a corpus with more speakers"
        )
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(sorted(n_utterances)).tolist() for _ in range(_N_ORDERS)]
    groupings = [_group_speakers(order, n_utterances, n_folds) for order in orders]
    group_of, _ = min(groupings, key=lambda grouping: grouping[1])
    digits = len(str(n_folds))
    return leave_one_group_out(
        {turn: f"group-{group_of[speaker] + 1:0{digits}d}" for turn, speaker in speaker_by_turn.items()}
    )


def k_fold_dialogues(dialogues: Sequence[Dialogue], seed: int, n_folds: int) -> tuple[Fold, ...]:
    """Divide whole dialogues into folds at random. Each fold is test once, and the others are train. There is no dev.

    The same ids, seed and number of folds give the same folds on every machine.

    Args:
        dialogues: the dialogues of the train split(s).
        seed: seed of the random division.
        n_folds: number of folds, at least two.

    Raises:
        CorpusError: there are fewer dialogues than folds.
    """
    names = [f"fold-{number}" for number in range(n_folds)]
    fold_of = split_by_fractions([one.id for one in dialogues], dict.fromkeys(names, 1 / n_folds), seed)
    groups = {turn.id: fold_of[one.id] for one in dialogues for turn in one}
    return tuple(_fold(name, groups, {name: "test"}) for name in names)


#: Name of a protocol → how it cuts. ``data.cut.protocol`` takes these names, and ``none``.
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
    """Make the fold whose groups go to the parts in ``part_of_group``; all other groups go to train."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for turn, group in groups.items():
        parts[part_of_group.get(group, "train")].append(turn)
    return Fold(name=name, **{part: tuple(ids) for part, ids in parts.items()})


def _group_speakers(order: Sequence[str], n_utterances: Mapping[str, int], n_groups: int) -> tuple[dict[str, int], int]:
    """Put each speaker, in order, into the group that is smallest so far.

    Returns:
        Speaker → group, and by how many utterances the largest and the smallest group differ.
    """
    sizes = [0] * n_groups
    group_of = {}
    for speaker in order:
        group_of[speaker] = sizes.index(min(sizes))
        sizes[group_of[speaker]] += n_utterances[speaker]
    return group_of, max(sizes) - min(sizes)


def _speaker_by_turn(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    return {turn.id: turn.speaker for turn in utterances(dialogues)}


def _attribute_by_turn(dialogues: Sequence[Dialogue], name: str, protocol: str) -> dict[str, str]:
    """Return utterance id → value of an attribute.

    Raises:
        CorpusError: some turns do not have the attribute.
    """
    turns = list(utterances(dialogues))
    without = [turn.id for turn in turns if not turn.attributes.get(name)]
    if without:
        raise CorpusError(
            f"{protocol}: {len(without)} of {len(turns)} utterances have no {name}, e.g. {without[0]}; use a reader "
            f"that fills the attribute {name!r} (iemocap does), or another protocol, e.g. leave-one-speaker-out"
        )
    return {turn.id: turn.attributes[name] for turn in turns}


def _check_pairs(speakers_by_session: Mapping[str, set[str]], protocol: str) -> None:
    problems = [
        f"{protocol}: session {session} has {len(found)} speaker(s) ({', '.join(sorted(found))}), but it needs one for "
        "test and one for dev; give it two speakers, or use leave-one-session-out"
        for session, found in sorted(speakers_by_session.items())
        if len(found) != 2
    ]
    for speaker in sorted({speaker for found in speakers_by_session.values() for speaker in found}):
        sessions = sorted(session for session, found in speakers_by_session.items() if speaker in found)
        if len(sessions) > 1:
            problems.append(
                f"{protocol}: {speaker} speaks in the sessions {', '.join(sessions)}, so this speaker would be in "
                "train and in test; use leave-one-speaker-out"
            )
    if len(speakers_by_session) < 2:
        problems.append(
            f"{protocol}: found {len(speakers_by_session)} session(s), but one is tested and the others are train; use "
            "a corpus with at least two sessions"
        )
    if problems:
        raise CorpusError(*problems)
