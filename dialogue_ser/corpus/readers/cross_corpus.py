"""Combine two corpora: one for training and one for the test, with the classes or dimensions that both have."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.cut import all_dialogues
from dialogue_ser.corpus.label_maps import SHARED_CLASSES, LabelMap, label_map_as_text, relabel
from dialogue_ser.corpus.readers import read_without_warnings
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.corpus.splits import split_by_fractions
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

_SETTINGS = ("reader", "path", "labels", "options")


# Longer than 50 lines because every option of the reader is a parameter that the docstring explains.
def read_cross_corpus(
    path: str | Path | None = None,
    labels: str = "emotion",
    train: Mapping[str, Any] | None = None,
    test: Mapping[str, Any] | None = None,
    label_map: Mapping[str, str] | None = None,
    label_order: Sequence[str] | None = None,
    dev_share: float = 0.2,
    seed: int = 0,
    on_bad: str = "error",
) -> Corpus:
    """Read one corpus for training and another one for the test.

    If the first corpus has the splits train and dev, they stay. Otherwise dev is a share of its sessions, drawn by
    seed. If the turns name no session, dev is a share of the groups of people who talk to each other. So no dialogue is
    cut. Test is the whole second corpus. Ids become ``train/<id>``, ``dev/<id>`` and ``test/<id>``.

    Turns whose label is not in the map lose their label and votes, and stay as context. Dialogues that keep no label
    and no votes are left out (:func:`~dialogue_ser.corpus.label_maps.relabel`). The warnings count both, for each
    label. The readers' label sets ``shared-4``, … need no map, because they have the same labels in all corpora.

    Dimensions that both corpora have stay, and their targets do not change. You must know whether both corpora use the
    same scale. If one of the corpora has no classes, only the dimensions are used.

    Args:
        path: must be None, because each corpus has a path of its own.
        labels: name of the shared label set. shared-4, shared-5 or shared-7 is also the label set of both corpora, if
            there is no map and they state no labels of their own.
        train: settings of the first corpus: reader, and path, labels and options if they are not the reader's defaults.
        test: the same settings of the second corpus.
        label_map: label of either corpus → shared class; None = the labels that turns of both corpora have, unchanged.
        label_order: the shared classes in order; None = the order in the map, or in the first corpus.
        dev_share: share of the first corpus's groups that becomes dev.
        seed: seed of the draw of these groups.
        on_bad: ``error`` or ``mask``, for both corpora; see :func:`~dialogue_ser.corpus.readers.read_corpus`.

    Raises:
        ConfigError: a setting is missing or unknown, a corpus has no turn of a class of the map, the order does not
            hold exactly the classes, or a map or an order is given although there are no classes to share.
        CorpusError: the corpora have no label (without classes: no dimension) in common, or there are too few groups
            for dev.
        MissingDataError: a corpus is not on this machine.
    """
    if path is not None:
        raise ConfigError(
            "reader cross-corpus: reads two corpora; give their paths in options train and test, not as --data.path"
        )
    if not 0 < dev_share < 1:
        raise ConfigError(f"reader cross-corpus: option dev_share: found {dev_share}, expected a share between 0 and 1")
    own_labels = labels if labels in SHARED_CLASSES and label_map is None else "emotion"
    first, second = (
        _read_one(role, settings, on_bad, own_labels) for role, settings in (("train", train), ("test", test))
    )
    if first.fingerprint() == second.fingerprint():
        raise ConfigError(
            "reader cross-corpus: train and test have the same utterances; name another corpus for one of them"
        )
    train_and_dev = _train_and_dev(first, dev_share, seed)
    dimensions, warnings = _shared_dimensions(first, second)
    if first.label_set is None or second.label_set is None:
        _check_dimensions_alone(first, second, dimensions, label_map, label_order)
        training = _with_splits(first, train_and_dev, dimensions, None)
        testing = _with_splits(second, {"test": all_dialogues(second)}, dimensions, None)
    else:
        training = _with_splits(first, train_and_dev, dimensions, first.label_set)
        testing = _with_splits(second, {"test": all_dialogues(second)}, dimensions, second.label_set)
        shared = _shared_map(training, testing, label_map)
        warnings += _unused_labels(shared, first.label_set, second.label_set)
        order = _class_order(shared, label_order)
        training, testing = (_relabel_shared(corpus, labels, shared, order) for corpus in (training, testing))
    return Corpus(
        name=f"{first.name}-to-{second.name}",
        label_set=testing.label_set,
        dimensions=dimensions,
        splits={**training.splits, **testing.splits},
        licence=f"{first.name}: {first.licence}; {second.name}: {second.licence}",
        warnings=(*warnings, *training.warnings, *testing.warnings),
    )


def _read_one(role: str, settings: Mapping[str, Any] | None, on_bad: str, default_labels: str) -> Corpus:
    if not settings or "reader" not in settings:
        raise ConfigError(f"reader cross-corpus: option {role} is missing; give it as {{reader: NAME, path: …}}")
    unknown = [unknown_name("setting", name, _SETTINGS) for name in settings if name not in _SETTINGS]
    if unknown:
        raise ConfigError(*(f"reader cross-corpus: option {role}: {problem}" for problem in unknown))
    options = dict(settings.get("options") or {})
    path, labels = settings.get("path"), settings.get("labels", default_labels)
    corpus = read_without_warnings(settings["reader"], path, labels, on_bad=on_bad, **options)
    problems = corpus_problems(corpus)
    if problems:
        raise CorpusError(*problems)
    return corpus


def _train_and_dev(corpus: Corpus, dev_share: float, seed: int) -> dict[str, tuple[Dialogue, ...]]:
    """Return the corpus's own splits train and dev if it has both, otherwise whole groups of its dialogues.

    Raises:
        CorpusError: there are too few groups.
    """
    if {"train", "dev"} <= corpus.splits.keys():
        return {part: corpus.splits[part] for part in ("train", "dev")}
    dialogues = all_dialogues(corpus)
    has_sessions = all(turn.attributes.get("session") for turn in utterances(dialogues))
    group = {
        one.id: one.utterances[0].attributes["session"] if has_sessions else " + ".join(sorted(one.speakers))
        for one in dialogues
    }
    try:
        part = split_by_fractions(sorted(set(group.values())), {"train": 1 - dev_share, "dev": dev_share}, seed)
    except CorpusError as error:
        kind = "sessions" if has_sessions else "groups of speakers"
        raise CorpusError(
            f"reader cross-corpus: train ({corpus.name}) has only {len(set(group.values()))} {kind}, so a dev_share of "
            f"{dev_share} leaves dev or train empty; change dev_share, or use a corpus with splits train and dev"
        ) from error
    return {name: tuple(one for one in dialogues if part[group[one.id]] == name) for name in ("train", "dev")}


def _shared_dimensions(first: Corpus, second: Corpus) -> tuple[tuple[str, ...], list[str]]:
    """Return the dimensions of both corpora, in the order of the first, and a warning about each corpus with others."""
    shared = tuple(name for name in first.dimensions if name in second.dimensions)
    others = {one.name: [name for name in one.dimensions if name not in shared] for one in (first, second)}
    return shared, [
        f"dimensions that only {name} has are left out: {', '.join(own)}" for name, own in others.items() if own
    ]


def _check_dimensions_alone(
    first: Corpus,
    second: Corpus,
    dimensions: Sequence[str],
    label_map: Mapping[str, str] | None,
    label_order: Sequence[str] | None,
) -> None:
    """Check that two corpora of which one has no classes can be combined by their dimensions."""
    without = " and ".join(corpus.name for corpus in (first, second) if corpus.label_set is None)
    if label_map is not None or label_order is not None:
        raise ConfigError(
            f"reader cross-corpus: no classes can be shared ({without} has none); leave out label_map and label_order"
        )
    if not dimensions:
        raise CorpusError(
            f"reader cross-corpus: {first.name} and {second.name} have no dimension in common, and {without} has no "
            "classes; read them with the same classes, or name the same dimensions"
        )


def _shared_map(training: Corpus, testing: Corpus, label_map: Mapping[str, str] | None) -> dict[str, str]:
    """Return label → shared class.

    Both corpora must have turns of every shared class. Without them, every average over the classes would count the
    class as never found.

    Args:
        training: the first corpus, with only the dialogues that are used.
        testing: the second corpus.
        label_map: the map that the user states, or None.

    Raises:
        ConfigError: the map is empty, or one of the corpora has no turn of a class of the map.
        CorpusError: the corpora have no label in common.
    """
    found = [
        (corpus.name, {turn.label for turn in utterances(all_dialogues(corpus))}) for corpus in (training, testing)
    ]
    if label_map is None:
        first, second = (tuple(corpus.label_set or ()) for corpus in (training, testing))
        common = [label for label in first if all(label in labels for _, labels in found)]
        if not common:
            raise CorpusError(
                f"reader cross-corpus: {training.name} ({', '.join(first)}) and {testing.name} ({', '.join(second)}) "
                "have no label in common that turns of both have; map their labels with option label_map"
            )
        return {label: label for label in common}
    shared = {label: str(name) for label, name in label_map_as_text(label_map).items()}
    problems = [] if shared else ["is empty; name labels, or leave it out"]
    for corpus, labels in found:
        reached = {shared[label] for label in labels if label in shared}
        problems += [
            f"class {name!r} has no turn in {corpus} (labels: {', '.join(sorted(filter(None, labels)))}); map another "
            "label to it, or remove the class"
            for name in dict.fromkeys(shared.values())
            if name not in reached
        ]
    if problems:
        raise ConfigError(*(f"reader cross-corpus: label_map: {problem}" for problem in problems))
    return shared


def _unused_labels(shared: Mapping[str, str], first: LabelSet, second: LabelSet) -> list[str]:
    """Return a warning about the labels of the map that neither corpus has, if there are some."""
    unused = [label for label in shared if label not in {*first, *second}]
    return [f"label_map: neither corpus has the label(s) {', '.join(unused)}"] if unused else []


def _class_order(shared: Mapping[str, str], order: Sequence[str] | None) -> tuple[str, ...]:
    classes = tuple(dict.fromkeys(shared.values()))
    if order is None:
        return classes
    if sorted(order) != sorted(classes):
        raise ConfigError(
            f"reader cross-corpus: label_order {', '.join(order)}: name each of {', '.join(classes)} once"
        )
    return tuple(order)


def _with_splits(
    corpus: Corpus, splits: Mapping[str, Sequence[Dialogue]], dimensions: tuple[str, ...], label_set: LabelSet | None
) -> Corpus:
    """Return the corpus with other splits and only the given annotations. The ids begin with the new split."""
    return replace(
        corpus,
        label_set=label_set,
        dimensions=dimensions,
        splits={
            split: tuple(
                Dialogue(f"{split}/{one.id}", tuple(_convert_turn(turn, split, dimensions, label_set) for turn in one))
                for one in dialogues
            )
            for split, dialogues in splits.items()
        },
    )


def _convert_turn(turn: Utterance, split: str, dimensions: Sequence[str], label_set: LabelSet | None) -> Utterance:
    targets = {name: value for name, value in turn.targets.items() if name in dimensions}
    converted = replace(turn, id=f"{split}/{turn.id}", targets=targets)
    return converted if label_set is not None else replace(converted, label=None, votes=None)


def _relabel_shared(corpus: Corpus, name: str, shared: Mapping[str, str], order: tuple[str, ...]) -> Corpus:
    """Return the corpus with the shared classes. Warnings count the turns of each label that is left out."""
    # All labels are in this map. A label that the user's map leaves out must become None, because LabelMap would keep
    # its name, and that may be the name of a shared class.
    merge = {label: shared.get(label) for label in corpus.label_set or ()}
    relabelled = relabel(corpus, name, LabelMap(classes=order, merge=merge))
    warnings = []
    for split, dialogues in corpus.splits.items():
        counts = Counter(turn.label for turn in utterances(dialogues) if turn.label and turn.label not in shared)
        shown = ", ".join(f"{label} {count}" for label, count in counts.most_common())
        warnings += [f"{split} ({corpus.name}): turns with labels that are not in the map: {shown}"] if counts else []
    return replace(relabelled, warnings=(*relabelled.warnings, *warnings))
