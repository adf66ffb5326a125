"""Label maps as data: which classes of a corpus become which classes of a label set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.corpus.validate import problems_of
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """From the classes of a corpus to those of a label set.

    Args:
        classes: of the label set, in order.
        merge: class of the corpus → class of the set, or None; classes that are not named keep their own name. What
            comes out outside ``classes`` is unlabelled.

    >>> LabelMap(classes=("happy", "sad"), merge={"excited": "happy"}).of("excited")
    'happy'
    """

    classes: tuple[str, ...]
    merge: Mapping[str, str | None] = field(default_factory=dict)

    def of(self, label: str | None) -> str | None:
        """The class a class of the corpus becomes; None = unlabelled."""
        mapped = None if label is None else self.merge.get(label, label)
        return mapped if mapped in self.classes else None


#: All classes of IEMOCAP's release: the six that dialogue models use, then the rare ones.
IEMOCAP_CLASSES = (
    "happy", "sad", "neutral", "anger", "excited", "frustrated", "surprise", "fear", "disgust", "other"
)  # fmt: skip
#: What IEMOCAP's turns without a majority (``xxx``) are called in the label set ``all``.
UNDECIDED = "undecided"
#: Classes that several corpora have, for training on one and testing on another.
SHARED_CLASSES: Mapping[str, tuple[str, ...]] = {
    "shared-4": ("anger", "happiness", "neutral", "sadness"),
    "shared-5": ("anger", "fear", "happiness", "neutral", "sadness"),
    "shared-7": ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
}
# Corpus → its classes that have another name among the shared ones. Classes without a counterpart (boredom, frustrated,
# peaceful, powerful, other) are left out. Own choice: RAVDESS's calm, its second baseline, is neutral.
_SHARED_NAMES: Mapping[str, Mapping[str, str | None]] = {
    "dailydialog": {"none": "neutral"},
    "emodb": {},
    "emorynlp": {"joyful": "happiness", "mad": "anger", "sad": "sadness", "scared": "fear"},
    "iemocap": {"happy": "happiness", "excited": "happiness", "sad": "sadness"},
    "meld": {"joy": "happiness"},
    "nemo": {"surprised": "surprise"},
    "ravdess": {
        "calm": "neutral", "happy": "happiness", "sad": "sadness", "angry": "anger", "fearful": "fear",
        "surprised": "surprise",
    },
}  # fmt: skip


def shared_maps(corpus: str) -> dict[str, LabelMap]:
    """A corpus's label maps to SHARED_CLASSES, by the name of the label set."""
    return {name: LabelMap(classes=classes, merge=_SHARED_NAMES[corpus]) for name, classes in SHARED_CLASSES.items()}


#: IEMOCAP's label sets (``data.labels``). Merged classes keep the name of the one that gives it: happy.
IEMOCAP_MAPS: Mapping[str, LabelMap] = {
    "emotion": LabelMap(classes=IEMOCAP_CLASSES),
    "4-class": LabelMap(classes=("happy", "sad", "neutral", "anger"), merge={"excited": "happy"}),
    "5-class": LabelMap(classes=("happy", "sad", "neutral", "anger", "frustrated"), merge={"excited": "happy"}),
    "6-class": LabelMap(classes=IEMOCAP_CLASSES[:6]),
    "10-class": LabelMap(classes=IEMOCAP_CLASSES),
    "all": LabelMap(classes=(*IEMOCAP_CLASSES, UNDECIDED)),
    **shared_maps("iemocap"),
}


def stated_map(
    label_set: LabelSet | None,
    label_map: Mapping[str, str | None] | None = None,
    label_order: Sequence[str] | None = None,
) -> LabelMap:
    """The map a user states with ``data.options.label_map`` and ``data.options.label_order``.

    Args:
        label_set: of the corpus as its reader gives it; None = it has no classes.
        label_map: class → class, null = unlabelled; classes that are not named stay.
        label_order: the classes that result, in order; None = in the order of the corpus's own.

    Raises:
        ConfigError: a corpus without classes, a class it does not have, or one that label_order forgets.

    >>> stated_map(LabelSet("emotion", ("joy", "calm", "fear")), {"calm": "joy", "fear": None}).classes
    ('joy',)
    """
    if label_set is None:
        raise ConfigError("label_map and label_order: the corpus has no classes, only dimensions; leave both out")
    merge = {str(label): None if to is None else str(to) for label, to in (label_map or {}).items()}
    problems = [
        f"label_map: {unknown_name(f'{label_set.name} label', label, label_set)}"
        for label in merge
        if label not in label_set.labels
    ]
    found = dict.fromkeys(merge.get(label, label) for label in label_set)
    order = tuple(map(str, label_order)) if label_order else tuple(label for label in found if label is not None)
    forgotten = [label for label in found if label is not None and label not in order]
    if forgotten:
        problems.append(
            f"label_order: {', '.join(forgotten)} is not in it; add it, or leave it out with label_map "
            f"({{{forgotten[0]}: null}})"
        )
    if not order:
        problems.append("label_map: no class is left; keep at least one")
    if problems:
        raise ConfigError(*problems)
    return LabelMap(classes=order, merge=merge)


def relabel(corpus: Corpus, name: str, label_map: LabelMap) -> Corpus:
    """The corpus in another label set; votes are mapped and added up like labels.

    A turn whose class has no counterpart is unlabelled and loses its votes; it stays as context. A dialogue that had
    labels and keeps none (of single utterances: that utterance) is left out, whatever its targets. Both are counted in
    the warnings. Targets and dimensions stay as they are.

    Args:
        corpus: as its reader gives it.
        name: of the new label set.
        label_map: its classes, and what becomes them.

    Raises:
        CorpusError: every bad row of the corpus, or a split of which nothing is left.
    """
    problems = problems_of(corpus)
    if problems:
        raise CorpusError(*problems)
    splits: dict[str, tuple[Dialogue, ...]] = {}
    warnings = list(corpus.warnings)
    for split, dialogues in corpus.splits.items():
        mapped = [Dialogue(one.id, tuple(_relabelled(turn, label_map) for turn in one)) for one in dialogues]
        splits[split] = tuple(
            new for old, new in zip(dialogues, mapped, strict=True) if _is_labelled(new) or not _is_labelled(old)
        )
        lost = sum(turn.label is not None for turn in utterances(dialogues)) - sum(
            turn.label is not None for turn in utterances(splits[split])
        )
        if not splits[split]:
            problems.append(f"split {split!r}: no turn has a class of {name} ({', '.join(label_map.classes)})")
        elif lost:
            n_out = len(dialogues) - len(splits[split])
            gone = f"; {n_out} dialogues without any other are left out" if n_out else ""
            warnings.append(f"{split}: {lost} turns have no class of {name} and count as unlabelled{gone}")
    if problems:
        raise CorpusError(*(f"{problem}; correct the label map" for problem in problems))
    return replace(corpus, label_set=LabelSet(name, label_map.classes), splits=splits, warnings=tuple(warnings))


def _relabelled(turn: Utterance, label_map: LabelMap) -> Utterance:
    label = label_map.of(turn.label)
    if turn.label is not None and label is None:
        return replace(turn, label=None, votes=None)
    votes: dict[str, float] = {}
    for name, count in (turn.votes or {}).items():
        mapped = label_map.of(name)
        if mapped is not None:
            votes[mapped] = votes.get(mapped, 0.0) + count
    return replace(turn, label=label, votes=votes if sum(votes.values()) > 0 else None)


def _is_labelled(dialogue: Dialogue) -> bool:
    return any(turn.label is not None or turn.votes for turn in dialogue)
