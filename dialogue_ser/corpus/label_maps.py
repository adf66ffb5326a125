"""Label maps: which class of a corpus becomes which class of a label set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dialogue_ser.corpus.label_words import emotion_of
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """Map the classes of a corpus to the classes of a label set.

    Args:
        classes: the classes of the label set, in order.
        merge: class of the corpus → class of the label set, or None = unlabelled. A class that is not named here keeps
            its own name. A class whose name is then not in ``classes`` becomes unlabelled.

    >>> LabelMap(classes=("happy", "sad"), merge={"excited": "happy"}).class_of("excited")
    'happy'
    """

    classes: tuple[str, ...]
    merge: Mapping[str, str | None] = field(default_factory=dict)

    def class_of(self, label: str | None) -> str | None:
        """Return the class of the label set for a class of the corpus; None = unlabelled."""
        mapped = None if label is None else self.merge.get(label, label)
        return mapped if mapped in self.classes else None


#: All classes of IEMOCAP's release: first the six that dialogue models use, then the rare ones.
IEMOCAP_CLASSES = (
    "happy", "sad", "neutral", "anger", "excited", "frustrated", "surprise", "fear", "disgust", "other"
)  # fmt: skip
#: In the label set ``all``, the class of IEMOCAP's turns without a majority (``xxx``).
UNDECIDED = "undecided"
#: Label sets whose classes several corpora have. With them a model can be trained on one corpus and tested on another.
SHARED_CLASSES: Mapping[str, tuple[str, ...]] = {
    "shared-4": ("anger", "happiness", "neutral", "sadness"),
    "shared-5": ("anger", "fear", "happiness", "neutral", "sadness"),
    "shared-7": ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
}
# Corpus → its classes whose name differs from the name of the shared class. Classes without a shared class (boredom,
# frustrated, peaceful, powerful, other) are left out. Own choice: RAVDESS's calm becomes neutral, because both are
# baselines of that corpus.
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
    """Return a corpus's label maps to SHARED_CLASSES, by the name of the label set."""
    return {name: LabelMap(classes=classes, merge=_SHARED_NAMES[corpus]) for name, classes in SHARED_CLASSES.items()}


#: IEMOCAP's label sets (``data.labels``). Where happy and excited are merged, the class is called happy.
IEMOCAP_MAPS: Mapping[str, LabelMap] = {
    "emotion": LabelMap(classes=IEMOCAP_CLASSES),
    "4-class": LabelMap(classes=("happy", "sad", "neutral", "anger"), merge={"excited": "happy"}),
    "5-class": LabelMap(classes=("happy", "sad", "neutral", "anger", "frustrated"), merge={"excited": "happy"}),
    "6-class": LabelMap(classes=IEMOCAP_CLASSES[:6]),
    "10-class": LabelMap(classes=IEMOCAP_CLASSES),
    "all": LabelMap(classes=(*IEMOCAP_CLASSES, UNDECIDED)),
    **shared_maps("iemocap"),
}


#: Label sets that a table can have too (reader ``table``). Its labels are words, see EMOTION_WORDS; the map is from
#: the emotions there to the classes of the set.
WORD_MAPS: Mapping[str, LabelMap] = {
    **{name: LabelMap(classes=classes, merge={"excited": "happiness"}) for name, classes in SHARED_CLASSES.items()},
    **{
        name: replace(IEMOCAP_MAPS[name], merge={"happiness": "happy", "sadness": "sad", **IEMOCAP_MAPS[name].merge})
        for name in ("4-class", "5-class", "6-class", "10-class")
    },
}


def label_map_by_words(name: str, first_rows: Mapping[str, str]) -> LabelMap:
    """Make the map from labels that are words for emotions to the classes of a label set.

    A word for an emotion that is not in the set becomes unlabelled, e.g. bored in shared-4.

    Args:
        name: name of the label set, a key of WORD_MAPS.
        first_rows: label → file and number of the first row that has it, for the error.

    Raises:
        CorpusError: labels are no words that the library knows. The error names all of them.

    >>> label_map_by_words("shared-4", {"hap": "row 2", "Angry": "row 3", "bored": "row 4"}).merge
    {'hap': 'happiness', 'Angry': 'anger', 'bored': None}
    """
    words = WORD_MAPS[name]
    merge: dict[str, str | None] = {}
    problems = []
    for label, origin in first_rows.items():
        emotion = emotion_of(label)
        if label in words.classes:
            merge[label] = label
        elif emotion is not None:
            merge[label] = words.class_of(emotion)
        else:
            problems.append(
                f"{origin}: {label!r} is no word for an emotion that the label set {name} knows; map it to a class "
                f"({', '.join(words.classes)}) or to null: label_map {{{json.dumps(label, ensure_ascii=False)}: null}} "
                "(--data.options.label_map)"
            )
    if problems:
        raise CorpusError(*problems)
    return LabelMap(classes=words.classes, merge=merge)


def label_map_as_text(label_map: Mapping[Any, Any] | None) -> dict[str, str | None]:
    """Return a stated label map with texts instead of numbers, as files hold labels.

    Raises:
        ConfigError: YAML has read a word such as yes, no, on or off as true or false.

    >>> label_map_as_text({0: 1, "joy": None})
    {'0': '1', 'joy': None}
    """
    stated = label_map or {}
    words = [str(word).lower() for pair in stated.items() for word in pair if isinstance(word, bool)]
    if words:
        raise ConfigError(
            f"label_map: found {' and '.join(dict.fromkeys(words))}; write words such as yes, no, on and off in "
            "quotes, because YAML reads them as true and false"
        )
    return {str(label): None if new is None else str(new) for label, new in stated.items()}


def label_map_from_options(
    label_set: LabelSet | None,
    label_map: Mapping[str, str | None] | None = None,
    label_order: Sequence[str] | None = None,
) -> LabelMap:
    """Make the label map that a user states with ``data.options.label_map`` and ``data.options.label_order``.

    Args:
        label_set: the label set of the corpus that the reader returned; None = it has no classes.
        label_map: class → new class, null = unlabelled. Classes that are not named stay as they are.
        label_order: the new classes, in order; None = in the order of the corpus's own classes.

    Raises:
        ConfigError: the corpus has no classes, the map names a class that the corpus does not have, or label_order
            lacks a class.

    >>> stated = label_map_from_options(LabelSet("emotion", ("joy", "calm", "fear")), {"calm": "joy", "fear": None})
    >>> stated.classes
    ('joy',)
    """
    if label_set is None:
        raise ConfigError("label_map and label_order: the corpus has no classes, only dimensions; leave both out")
    merge = label_map_as_text(label_map)
    problems = [
        f"label_map: {unknown_name(f'{label_set.name} label', label, label_set)}"
        for label in merge
        if label not in label_set.labels
    ]
    found = dict.fromkeys(merge.get(label, label) for label in label_set)
    order = tuple(map(str, label_order)) if label_order else tuple(label for label in found if label is not None)
    not_ordered = [label for label in found if label is not None and label not in order]
    if not_ordered:
        problems.append(
            f"label_order: {', '.join(not_ordered)} is not in it; add it, or leave the class out with label_map "
            f"({{{not_ordered[0]}: null}})"
        )
    if not order:
        problems.append("label_map: no class is left; keep at least one")
    if problems:
        raise ConfigError(*problems)
    return LabelMap(classes=order, merge=merge)


def relabel(corpus: Corpus, name: str, label_map: LabelMap) -> Corpus:
    """Return the corpus with another label set. Votes are mapped like labels; the votes of merged classes are added.

    A turn whose class has no new class becomes unlabelled and loses its votes. It stays as context. A dialogue that had
    labels and keeps none is left out, even if it has targets. (In a corpus of single utterances this is the utterance.)
    The warnings count both. Targets and dimensions stay as they are.

    Args:
        corpus: the corpus that the reader returned.
        name: name of the new label set.
        label_map: map to the classes of the new label set.

    Raises:
        CorpusError: the corpus has bad rows (the error lists all), or nothing is left of a split.
    """
    problems = corpus_problems(corpus)
    if problems:
        raise CorpusError(*problems)
    splits: dict[str, tuple[Dialogue, ...]] = {}
    warnings = list(corpus.warnings)
    for split, dialogues in corpus.splits.items():
        mapped = [Dialogue(one.id, tuple(_relabel_turn(turn, label_map) for turn in one)) for one in dialogues]
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
            left_out = f"; {n_out} dialogues without any other label are left out" if n_out else ""
            warnings.append(f"{split}: {lost} turns have no class of {name} and count as unlabelled{left_out}")
    if problems:
        raise CorpusError(*(f"{problem}; correct the label map" for problem in problems))
    return replace(corpus, label_set=LabelSet(name, label_map.classes), splits=splits, warnings=tuple(warnings))


def relabel_by_words(corpus: Corpus, name: str, label_order: Sequence[str] | None = None) -> Corpus:
    """Return a corpus whose labels are words for emotions with the classes of a label set (:func:`relabel`).

    Args:
        corpus: the corpus. Its label set may hold any words.
        name: name of the label set, a key of WORD_MAPS.
        label_order: the classes of the set in another order; None = the order of the set.

    Raises:
        ConfigError: label_order does not hold exactly the classes of the set.
        CorpusError: labels are no words that the library knows, or :func:`relabel` refuses the corpus.
    """
    first_rows: dict[str, str] = {}
    for turn in (turn for dialogues in corpus.splits.values() for turn in utterances(dialogues)):
        for label in (turn.label, *(turn.votes or ())):
            if label is not None:
                first_rows.setdefault(label, turn.origin)
    label_map = label_map_by_words(name, first_rows)
    order = tuple(map(str, label_order or label_map.classes))
    if sorted(order) != sorted(label_map.classes):
        raise ConfigError(
            f"label_order {', '.join(order)}: the label set {name} has the classes {', '.join(label_map.classes)}; "
            "name each once, or leave label_order out"
        )
    return relabel(corpus, name, replace(label_map, classes=order))


def _relabel_turn(turn: Utterance, label_map: LabelMap) -> Utterance:
    label = label_map.class_of(turn.label)
    if turn.label is not None and label is None:
        return replace(turn, label=None, votes=None)
    votes: dict[str, float] = {}
    for name, count in (turn.votes or {}).items():
        mapped = label_map.class_of(name)
        if mapped is not None:
            votes[mapped] = votes.get(mapped, 0.0) + count
    return replace(turn, label=label, votes=votes if sum(votes.values()) > 0 else None)


def _is_labelled(dialogue: Dialogue) -> bool:
    return any(turn.label is not None or turn.votes for turn in dialogue)
